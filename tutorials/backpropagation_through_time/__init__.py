"""Back-propagation through time: each term derived beside the line that computes it."""
