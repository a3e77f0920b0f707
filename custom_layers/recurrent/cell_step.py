"""What is left of a cell inside the time loop, and the sequences that it reads there."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Tensor, accepts
from custom_layers.recurrent.masked_time_loop import CellStep
from custom_layers.recurrent.recurrent_cell import is_plain


def cell_step(cell: Any, inputs: Tensor, training: bool) -> tuple[CellStep, Any]:
    """The step of `masked_time_loop`, and its sequences.

    Args:
        cell: ours, whose projections are taken here for all steps at once; or another one, which is
            called at each step.
        inputs: (steps, batch, features).
        training: whether dropout is applied.

    The step's record is what the cell keeps for `take_over`; None where that is nothing.
    """
    if is_plain(cell):
        kept = cell.statistic_names if training else ()

        def own_step(projected: Any, states: Sequence[Tensor]) -> tuple[Tensor, Any, Any]:
            record = cell.step(projected, states, training)
            statistics = {name: getattr(record, name) for name in kept}
            return record.h, cell.states_of(record), statistics or None

        inputs = ops.cast(inputs, cell.compute_dtype)
        return own_step, cell.project_inputs(inputs, training)

    run: Callable = cell if callable(cell) else cell.call
    options = {"training": training} if accepts(cell.call, "training") else {}

    def foreign_step(x_t: Tensor, states: Any) -> tuple[Tensor, Any, None]:
        output, new_states = run(x_t, states, **options)
        return output, keras.tree.pack_sequence_as(states, keras.tree.flatten(new_states)), None

    return foreign_step, inputs
