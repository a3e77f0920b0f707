"""Layers that turn token ids into vectors."""
