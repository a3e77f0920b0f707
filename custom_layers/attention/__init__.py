"""Layers that let each query look at all keys and average their values."""
