"""The time loop on Torch: Python runs it step by step, autograd remembers it."""

from typing import Any

import keras
import torch

from custom_layers.recurrent.time_loop import Backward, Forward, Structure
from custom_layers.recurrent.time_loop import unrolled_time_loop as time_loop

__all__ = ["time_loop", "with_backward"]


def with_backward(forward: Forward, backward: Backward, arguments: Structure) -> Structure:
    """See `custom_layers.recurrent.time_loop.with_backward`."""
    leaves = keras.tree.flatten(arguments)
    structures: dict[str, Structure] = {}

    def refilled(structure: Structure, tensors: Any) -> Structure:
        return keras.tree.pack_sequence_as(structure, list(tensors))

    class HandWritten(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *given: Any) -> tuple[Any, ...]:
            results, kept = forward(refilled(arguments, given))
            for name, structure in (("results", results), ("kept", kept)):
                structures[name] = keras.tree.map_structure(lambda _: None, structure)
            ctx.save_for_backward(*given, *keras.tree.flatten(kept))
            return tuple(keras.tree.flatten(results))

        @staticmethod
        def backward(ctx: Any, *d_results: Any) -> tuple[Any, ...]:
            saved = ctx.saved_tensors  # asked for once, as checkpointing wants it
            given, flat = saved[: len(leaves)], saved[len(leaves) :]
            kept = refilled(structures["kept"], flat)
            if (
                torch.is_grad_enabled()
            ):  # somebody differentiates twice: `kept` needs a gradient too
                _, kept = forward(refilled(arguments, given))
            found = backward(kept, refilled(structures["results"], d_results))
            return tuple(keras.tree.flatten(found))

    results = HandWritten.apply(*leaves)
    return refilled(structures["results"], results)
