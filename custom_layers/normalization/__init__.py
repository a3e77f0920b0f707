"""Layers that bring activations to a common scale."""
