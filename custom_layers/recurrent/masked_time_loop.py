"""Run a cell over sequences of unequal length: a masked step changes nothing.

    output_t = output_t   where mask_t, else output_{t-1} (or 0)
    states_t = states_t   where mask_t, else states_{t-1}

Before the first step that is kept, output_{t-1} is 0. Backwards, each gradient goes where its value came
from: to the step where mask_t, else on to what stood there before.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Tensor
from custom_layers.recurrent.time_loop import time_loop

CellStep = Callable[[Any, Any], tuple[Tensor, Any, Any]]
StepBackward = Callable[[Any, list[Tensor]], tuple[list[Tensor], Any]]


def masked_time_loop(
    step: CellStep,
    states: Any,
    sequences: Any,
    mask: Tensor | None,
    *,
    zero_output: Tensor,
    reverse: bool,
    return_sequences: bool,
    zero_output_for_mask: bool,
    loop: Callable[..., Any] = time_loop,
) -> tuple[Tensor | None, Any, Any]:
    """Carry a cell's states over time, and hold them where the mask is False.

    Args:
        step: `(x_t, states) -> (output_t, states, record_t)`, the record None where nobody listens.
        states: before the first step, nested as the cell has them.
        sequences: (steps, batch, ...), one tensor or several in a structure.
        mask: bool (steps, batch), True = keep; or None.
        zero_output: zeros (batch, output_size).
        reverse: start at the last step.
        return_sequences: whether all outputs are wanted, or the last one.
        zero_output_for_mask: whether a masked step puts out zero instead of the output before it.
        loop: `time_loop`, or `unrolled_time_loop`.

    Returns:
        All outputs (steps, batch, output_size), each at its own time, or else the output of the step
        that came last (batch, output_size); the last states; and the records of all steps, each of
        their tensors (steps, batch, ...), of masked steps too.
    """
    holds_output = mask is not None and not zero_output_for_mask

    def advance(carry: Any, x: Any) -> tuple[Any, Any]:
        states, before = carry
        x_t, keep = (x, None) if mask is None else x
        output, new_states, record = step(x_t, states)
        if keep is not None:
            new_states = _where(keep, new_states, states)
            output = _where(keep, output, before if holds_output else zero_output)
        carried = output if holds_output or not return_sequences else before
        y = output if return_sequences else None
        return (new_states, carried), y if record is None else (output, record)

    inputs = sequences if mask is None else (sequences, mask)
    (states, last_output), ys = loop(advance, (states, zero_output), inputs, reverse=reverse)
    outputs, records = ys if isinstance(ys, tuple) else (ys, None)
    return outputs if return_sequences else last_output, states, records


def masked_time_loop_backward(
    step_backward: StepBackward,
    d_output: Tensor,
    d_states: Any,
    sequences: Any,
    mask: Tensor | None,
    *,
    reverse: bool,
    return_sequences: bool,
    zero_output_for_mask: bool,
    loop: Callable[..., Any] = time_loop,
) -> tuple[Any, Any]:
    """Carry the gradients of `masked_time_loop` back in time, where a cell's output is its state h.

    Args:
        step_backward: `(x_t, d_states_t) -> (d_states_{t-1}, y_t)`, the step's own states, not masked.
        d_output: dL/d of what the loop returned as outputs, of the same shape.
        d_states: dL/d of the last states, a list, h the first.
        sequences: what `step_backward` reads at each step, (steps, ...).
        mask, reverse, return_sequences, zero_output_for_mask: as the loop had them.
        loop: as there; it runs the other way round.

    Returns:
        dL/d of the states before the first step, and the y of all steps, each at its own time.
    """
    is_held = mask is not None and not zero_output_for_mask

    def retreat(carry: Any, x: Any) -> tuple[Any, Any]:
        d_states, d_output = carry  # d_output: by the output that this step leaves to the next
        if return_sequences:
            d_output = d_output + x["d_output"]
        d_new, d_kept, d_before = d_states, None, ops.zeros_like(d_output)
        if mask is not None:
            nothing = [ops.zeros_like(d) for d in d_states]
            d_new = _where(x["keep"], d_states, nothing)
            d_kept = _where(x["keep"], nothing, d_states)
            if is_held:
                d_before = _where(x["keep"], d_before, d_output)
            d_output = _where(x["keep"], d_output, ops.zeros_like(d_output))
        d_states, y = step_backward(x["step"], [d_new[0] + d_output, *d_new[1:]])
        if d_kept is not None:
            d_states = [d + kept for d, kept in zip(d_states, d_kept, strict=True)]
        return (d_states, d_before), y

    inputs = {"step": sequences}
    if mask is not None:
        inputs["keep"] = mask
    if return_sequences:
        inputs["d_output"] = d_output
        d_output = ops.zeros_like(d_states[0])
    (d_states, _), ys = loop(retreat, (d_states, d_output), inputs, reverse=not reverse)
    return d_states, ys


def _where(keep: Tensor, new: Any, old: Any) -> Any:
    """`new` in the rows that are kept, `old` in the others, in each tensor of a structure."""
    flat_new: Sequence[Tensor] = keras.tree.flatten(new)
    flat_old: Sequence[Tensor] = keras.tree.flatten(old)
    chosen = [
        ops.where(ops.reshape(keep, (-1,) + (1,) * (len(n.shape) - 1)), n, o)
        for n, o in zip(flat_new, flat_old, strict=True)
    ]
    return keras.tree.pack_sequence_as(old, chosen)
