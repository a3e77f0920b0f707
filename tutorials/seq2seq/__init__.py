"""Sequences to sequences: every shape of the task, attention over length, and what is fed in."""
