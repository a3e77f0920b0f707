"""Run a step function over time: one contract, one file for each backend.

    carry_t, y_t = step(carry_{t-1}, x_t)        t = 1 ... steps

The contract is that of `keras.ops.scan` (and `jax.lax.scan`), restated here because `ops.scan` on
TensorFlow forces every y_t into the shape of the carry, where the gates of a cell do not fit. The file
of a backend also knows how a function gets a gradient that is written by hand.
"""

import importlib
from collections.abc import Callable
from typing import Any

import keras

Structure = Any  # a tensor, or nested lists, tuples and named tuples of tensors, or None
Step = Callable[[Structure, Structure], tuple[Structure, Structure]]
Forward = Callable[[Structure], tuple[Structure, Structure]]
Backward = Callable[[Structure, Structure], Structure]


def time_loop(
    step: Step, init: Structure, sequences: Structure, *, reverse: bool = False
) -> tuple[Structure, Structure]:
    """Scan `step` over the leading axis of `sequences`.

    Args:
        step: `(carry, x) -> (carry, y)`. The carry keeps its structure, shapes and dtypes; `y` may
            have any, and may be None where only the last carry is wanted.
        init: carry before the first step.
        sequences: tensors (steps, ...), all equally long.
        reverse: start at the last step. y_t still stands at index t.

    Returns:
        The last carry, and `y` with each tensor stacked to (steps, ...).
    """
    return _of_backend().time_loop(step, init, sequences, reverse=reverse)


def with_backward(forward: Forward, backward: Backward, arguments: Structure) -> Structure:
    """The results of a function whose gradient is written by hand.

    Args:
        forward: `arguments -> (results, kept)`. It reads no variable and no tensor but its arguments.
        backward: `(kept, d_results) -> d_arguments`, structured as the results and the arguments are,
            None for an argument without a gradient. Both are made of operations that have a gradient
            themselves, and so the second derivatives are right as well.
        arguments: tensors, or None, in a structure.
    """
    return _of_backend().with_backward(forward, backward, arguments)


def _of_backend() -> Any:
    return importlib.import_module(f"custom_layers.recurrent.time_loop_{keras.backend.backend()}")


def unrolled_time_loop(
    step: Step, init: Structure, sequences: Structure, *, reverse: bool = False
) -> tuple[Structure, Structure]:
    """The same loop, written out step by step in Python: the number of steps must be known.

    It is the plainest form of the contract and the reference of the others.
    """
    leaves = keras.tree.flatten(sequences)
    steps = leaves[0].shape[0]
    if steps is None:
        raise ValueError(
            "unrolled_time_loop: the number of steps must be known. Received: sequences.shape="
            f"{tuple(leaves[0].shape)}. Give the input a fixed length, or use unroll=False."
        )
    per_step = [keras.ops.unstack(leaf, axis=0) for leaf in leaves]
    carry, ys = init, []
    for t in reversed(range(steps)) if reverse else range(steps):
        x_t = keras.tree.pack_sequence_as(sequences, [leaf[t] for leaf in per_step])
        carry, y_t = step(carry, x_t)
        ys.append(y_t)
    if reverse:
        ys.reverse()
    if not ys or all(y is None for y in keras.tree.flatten(ys[0])):
        return carry, None
    return carry, keras.tree.map_structure(lambda *y: keras.ops.stack(y, axis=0), *ys)
