"""Layers that only act in training, against overfitting."""
