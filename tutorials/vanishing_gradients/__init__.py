"""Why gradients vanish, on which tasks one sees it, and what helps."""
