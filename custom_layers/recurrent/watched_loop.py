"""The time loop while somebody listens: the same steps, with probes going in and records coming out.

    gates of step t:   a_t + p_t                     before their activation, by the names of the gates
    states of step t:  c_t + p_t,  h_t + p_t

The probes p are zero, so that the numbers are those of the loop that nobody watches. dL/dp_t is the
total derivative of the loss by what p_t is added to: for a state, through its own output, through all
later steps and through all that reads it. Where the mask is False there is no step, and dL/dp_t = 0.
A step record's field holds a gate after its activation; its gradient is taken before the activation.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.taps import Listener, unused_name
from custom_layers.recurrent.recurrent_cell import RecurrentCell, is_plain
from custom_layers.recurrent.stacked_rnn_cells import StackedRNNCells

GATES = "gates"  # the probes of all gates together, (batch, gates x units)


class WatchedCell(NamedTuple):
    """A plain cell, and the beginning of its quantities' names: "" for a cell alone."""

    prefix: str
    cell: RecurrentCell


def watched_cells(cell: Any) -> Iterator[WatchedCell]:
    """The cell, or the cells of a stack, named after the cells."""
    if type(cell) is StackedRNNCells:
        names: list[str] = []
        for inner in cell.cells:
            names.append(unused_name(inner.name, names))
            yield WatchedCell(f"{names[-1]}/", inner)
    else:
        yield WatchedCell("", cell)


def can_be_watched(cell: Any) -> bool:
    """Whether every cell shows its step: ours do, unless a subclass overrides `call`."""
    return all(is_plain(w.cell) for w in watched_cells(cell))


class WatchedLoop:
    """What `masked_time_loop` needs to run a layer's cells under watch.

    Args:
        layer: the RNN.
        listener: who is told.
        inputs: (steps, batch, features).
        training: whether dropout is applied.
    """

    def __init__(self, layer: Any, listener: Listener, inputs: Tensor, training: bool) -> None:
        self.layer = layer
        self.listener = listener
        self.training = training
        self.is_stack = isinstance(layer.cell, StackedRNNCells)
        self.cells = list(watched_cells(layer.cell))
        first = self.cells[0].cell
        inputs = ops.cast(inputs, first.compute_dtype)
        steps, batch = ops.shape(inputs)[:2]
        self.probes = {
            prefix + name: listener.probe((steps, batch, *shape), cell.compute_dtype)
            for prefix, cell in self.cells
            for name, shape in _probed(cell)
        }
        # One cell alone projects all steps at once, as it does when it is not watched.
        projected = inputs if self.is_stack else first.project_inputs(inputs, training)
        self.inputs = (projected, [self._probes_of_loop(watched) for watched in self.cells])
        self.zero_output = ops.zeros_like(self.inputs[1][-1]["h"][0])

    def _probes_of_loop(self, watched: WatchedCell) -> dict[str, Tensor]:
        """A cell's probes as its step takes them: those of the gates in the slots of the kernel."""
        prefix, cell = watched
        probes = {name: self.probes[prefix + name] for name in cell.state_names}
        if cell.gate_names:
            slots = [self.probes[prefix + name] for name in cell.gate_names]
            probes[GATES] = ops.concatenate(slots, axis=cell.slots_axis)
        return probes

    def probe_cell(self, index: int, projected: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """A cell's projected inputs with the probes of its gates added, and the probes of its states."""
        probes = dict(self.inputs[1][index])
        if GATES in probes:
            projected = _with_probes(projected, probes.pop(GATES))
        return projected, probes

    def step(self, x: Any, states: Any) -> tuple[Tensor, Any, Any]:
        """One step of the cell, or of all cells of a stack: output, states, records by name."""
        x_t, probes = x
        records: dict[str, Tensor] = {}
        new_states = []
        for index, (prefix, cell) in enumerate(self.cells):
            before = states[index] if self.is_stack else states
            is_nested = isinstance(before, (list, tuple))
            projected = cell.project_inputs(x_t, self.training) if self.is_stack else x_t
            if cell.gate_names:
                projected = _with_probes(projected, probes[index][GATES])
            inner = {
                f"{name}_probe": probes[index][name] for name in cell.state_names if name != "h"
            }
            nested = list(before) if is_nested else [before]
            record = cell.step(projected, nested, self.training, **inner)
            record = record._replace(h=record.h + probes[index]["h"])
            records |= {prefix + name: value for name, value in record._asdict().items()}
            after = cell.states_of(record)
            new_states.append(after if is_nested else after[0])
            x_t = record.h
        return x_t, new_states if self.is_stack else new_states[0], records

    def hand_over(self, records: dict[str, Tensor], mask: Tensor | None) -> None:
        """Tell the listener of every gate and state: (batch, steps, units), or of a film's."""
        batch_mask = None if mask is None else ops.transpose(mask, (1, 0))
        for prefix, cell in self.cells:
            if self.training and cell.statistic_names:
                cell.take_over({name: records[prefix + name] for name in cell.statistic_names})
            for name, _ in _probed(cell):
                value = records[prefix + name]
                value = ops.transpose(value, (1, 0, *range(2, len(value.shape))))
                probe = self.probes[prefix + name]
                self.listener.keep(
                    *(self.layer, prefix + name, value, probe, batch_mask),
                    steps_first=True,
                    backwards=self.layer.go_backwards,
                )


def _with_probes(projected: Any, probes: Tensor) -> Any:
    """Added to the projected inputs, or to the first of what a wrapped cell's projection gives."""
    if isinstance(projected, tuple):
        return (projected[0] + probes, *projected[1:])
    return projected + probes


def _probed(cell: RecurrentCell) -> list[tuple[str, Shape]]:
    """Names of the quantities that have a probe, every gate and state, as they are computed, and the
    shape of one sequence's at one step: (units,), or of a film's (*windows, filters).

    The output h comes out of all others: it stands last here, and first among the states.
    """
    sizes = keras.tree.flatten(cell.state_size)
    gates = [(name, cell.state_shape or (cell.units,)) for name in cell.gate_names]
    states = [
        (name, cell.state_shape or (size,))
        for name, size in zip(cell.state_names, sizes, strict=True)
    ]
    return gates + sorted(states, key=lambda state: state[0] == "h")
