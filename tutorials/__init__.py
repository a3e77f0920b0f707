"""Tutorials: each folder holds a model, its data, a training command and a notebook."""
