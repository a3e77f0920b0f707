"""The time loop on Torch: Python runs it step by step, autograd remembers it."""

from custom_layers.recurrent.time_loop import unrolled_time_loop as time_loop

__all__ = ["time_loop"]
