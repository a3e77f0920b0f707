"""Layers whose weights, or whose windows, slide over the axes of space."""
