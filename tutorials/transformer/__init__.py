"""A translator of attention alone: the official Transformer tutorial, working."""
