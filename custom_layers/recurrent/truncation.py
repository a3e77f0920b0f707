"""Truncated back-propagation through time: the states' gradient ends where a block of steps begins.

    s_{t-1} -> stop_gradient(s_{t-1})     before the steps k + 1, 2 k + 1, ... in the order of processing

Forwards it changes no number. The initial states are cut off from no block but those after the first.
Source: Williams and Peng 1990, Neural Computation 2(4), whose h and h' are both k here: the blocks do
not overlap.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Tensor

Loop = Callable[..., Any]


def truncated_loop(loop: Loop, every: int | None) -> Loop:
    """`loop`, whose carry (states, output) is of constant states where a block begins."""
    return loop if every is None else partial(_run, loop, every, before=ops.stop_gradient)


def truncated_loop_backward(loop: Loop, every: int | None) -> Loop:
    """`loop`, run back in time, whose carry (d_states, d_output) loses d_states there."""
    return loop if every is None else partial(_run, loop, every, after=ops.zeros_like)


def _run(
    loop: Loop,
    every: int,
    step: Callable,
    init: Any,
    sequences: Any,
    *,
    reverse: bool,
    before: Callable | None = None,
    after: Callable | None = None,
) -> Any:
    """Exchange the states before, or after, each step that begins a block."""

    def exchanged(carry: Any, x: Any) -> tuple[Any, Any]:
        x, begins = x
        carry = _cut(carry, begins, before)
        carry, y = step(carry, x)
        return _cut(carry, begins, after), y

    steps = ops.shape(keras.tree.flatten(sequences)[0])[0]
    count = ops.arange(steps, dtype="int32")
    last_step_first = reverse if after is None else not reverse  # in the loop forwards
    if last_step_first:
        count = steps - 1 - count
    begins = (count % every == 0) & (count > 0)
    return loop(exchanged, init, (sequences, begins), reverse=reverse)


def _cut(carry: Any, begins: Tensor, exchange: Callable | None) -> Any:
    if exchange is None:
        return carry
    states, output = carry
    cut = keras.tree.map_structure(lambda s: ops.where(begins, exchange(s), s), states)
    return cut, output
