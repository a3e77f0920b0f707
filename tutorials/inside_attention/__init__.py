"""Attention from the inside: how anyone came to multiply q and k, and then v."""
