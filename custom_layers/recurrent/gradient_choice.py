"""The choice of an RNN between the framework's gradient and the one that is written by hand.

    LSTM(32)                                         autodiff: the framework differentiates the loop
    LSTM(32, gradient="bptt")                        back-propagation through time, back_propagation.py
    LSTM(32, gradient="bptt", truncate_every=20)     the same, ended at the borders of blocks

Both can be differentiated again, and give the same second derivatives. Written by hand is the gradient
from outputs to inputs, reverse mode: for `jax.jvp` and `torch.func` take autodiff.
"""

from collections.abc import Iterator
from typing import Any

from keras import ops

from custom_layers.core.protocols import Tensor
from custom_layers.core.shape_check import require
from custom_layers.core.taps import Listener
from custom_layers.recurrent.activation_slopes import slope_of
from custom_layers.recurrent.back_propagation import Arguments, Recurrence
from custom_layers.recurrent.recurrent_cell import RecurrentCell, is_plain
from custom_layers.recurrent.stacked_rnn_cells import StackedRNNCells
from custom_layers.recurrent.time_loop import time_loop, unrolled_time_loop
from custom_layers.recurrent.watched_loop import WatchedLoop

GRADIENTS = ("autodiff", "bptt")
FORWARDS = ("step", "step_with", "step_parameters", "recurrent_bias", "states_of")


def checked_gradient(
    owner: str, cell: Any, gradient: Any, truncate_every: Any
) -> tuple[str, int | None]:
    """The choice; ValueError, one line, if there is none of that name, or not for this cell."""
    require(
        gradient in GRADIENTS,
        owner,
        f"`gradient` must be one of {GRADIENTS}",
        f"gradient={gradient!r}",
        "The default is 'autodiff'.",
    )
    is_count = hasattr(truncate_every, "__index__") and not isinstance(truncate_every, bool)
    require(
        truncate_every is None or (gradient == "bptt" and is_count and truncate_every >= 1),
        owner,
        '`truncate_every` must be None or, with gradient="bptt", an integer of 1 or more',
        f"truncate_every={truncate_every!r}, gradient={gradient!r}",
        'Pass gradient="bptt", truncate_every=20 to end the gradient at blocks of 20 steps.',
    )
    if gradient == "bptt":
        for inner in _cells(cell):
            require(
                isinstance(inner, RecurrentCell) and is_plain(inner) and _has_backward_step(inner),
                owner,
                'gradient="bptt" needs cells with a backward step that fits their step: those of '
                "custom_layers but BatchNormLSTMCell, LayerNormLSTMCell, ProjectionLSTMCell and "
                "ZoneoutCell, without an activity regularizer, alone or in one "
                "custom_layers.StackedRNNCells",
                f"cell={inner!r}",
                'Use gradient="autodiff", or write `step_backward` and `parameters_backward` as well.',
            )
            for name in ("activation", "recurrent_activation"):
                if hasattr(inner, name):
                    slope_of(getattr(inner, name))
    return gradient, None if truncate_every is None else int(truncate_every)


def gradient_config(layer: Any) -> dict[str, Any]:
    """What `get_config` says of the choice: nothing where it is the default, which Keras shares."""
    if layer.gradient == "autodiff":
        return {}
    truncation = {} if layer.truncate_every is None else {"truncate_every": layer.truncate_every}
    return {"gradient": layer.gradient, **truncation}


def back_propagated_loop(
    layer: Any,
    listener: Listener | None,
    inputs: Tensor,
    initial_state: list[Any],
    mask: Tensor | None,
    training: bool,
) -> tuple[Tensor, list[Any]]:
    """Run a layer's cells over time, one cell after the other, each with its own backward loop.

    Args:
        layer: the RNN.
        listener: who is told of gates and states, if anyone.
        inputs: (steps, batch, features).
        initial_state: nested as the cell has its states.
        mask: bool (steps, batch), or None.
        training: whether dropout is applied.

    Returns:
        Outputs and last states, as `masked_time_loop` gives them.
    """
    steps = inputs.shape[0]
    require(
        None in (layer.truncate_every, steps) or layer.truncate_every <= steps,
        layer.name,
        "`truncate_every` must be at most the number of steps, if that is known",
        f"truncate_every={layer.truncate_every}, {steps} steps",
        "Give longer sequences, or leave it out: nothing is to be cut here.",
    )
    cells = list(_cells(layer.cell))
    is_stack = isinstance(layer.cell, StackedRNNCells)
    watched = None if listener is None else WatchedLoop(layer, listener, inputs, training)
    records: dict[str, Tensor] = {}
    last_states = []
    for index, cell in enumerate(cells):
        before = initial_state[index] if is_stack else initial_state
        is_nested = isinstance(before, (list, tuple))
        states = [ops.cast(s, cell.compute_dtype) for s in (before if is_nested else [before])]
        projected = cell.project_inputs(ops.cast(inputs, cell.compute_dtype), training)
        probes: dict[str, Tensor] = {}
        if watched is not None:
            projected, probes = watched.probe_cell(index, projected)
        is_last = index == len(cells) - 1
        recurrence = Recurrence(
            cell,
            unrolled_time_loop if layer.unroll else time_loop,
            layer.truncate_every,
            keeps_records=watched is not None,
            reverse=layer.go_backwards,
            return_sequences=layer.return_sequences or not is_last,
            zero_output_for_mask=layer.zero_output_for_mask and is_last,
        )
        parameters = cell.step_parameters(states[0], training)
        inputs, after, shown = recurrence.run(
            Arguments(projected, states, parameters, probes, mask)
        )
        last_states.append(after if is_nested else after[0])
        if watched is not None:
            prefix = watched.cells[index].prefix
            records |= {prefix + k: ops.stop_gradient(value) for k, value in shown.items()}
    if watched is not None:
        watched.hand_over(records, mask)
    return inputs, last_states if is_stack else last_states[0]


def _cells(cell: Any) -> Iterator[Any]:
    """The cell, or the cells of a stack of ours."""
    if type(cell) is StackedRNNCells:
        yield from cell.cells
    else:
        yield cell


def _has_backward_step(cell: RecurrentCell) -> bool:
    """Whether no subclass has changed the step and left the backward step as it was."""
    family = type(cell).__mro__

    def youngest(name: str) -> int:
        return next(age for age, cls in enumerate(family) if name in vars(cls))

    return all(
        youngest(backwards) <= youngest(forwards)
        and family[youngest(backwards)] is not RecurrentCell
        for backwards in ("step_backward", "parameters_backward")
        for forwards in FORWARDS
    )
