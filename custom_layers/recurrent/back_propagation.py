r"""Back-propagation through time, written by hand: the recurrent part of a layer and its gradient.

    forwards      record_t, s_t = step(a_t, s_{t-1}; U)                                t = 1 ... T    (1)
    backwards     da_t, ds_{t-1} = step_backward(record_t, s_{t-1}; U; ds_t + dy_t)    t = T ... 1    (2)
    at the end    dU = sum over t of the step's own dU, as one matrix product                        (3)

a_t are the projected inputs, s_t the states, y_t = h_t the outputs; dq is dL/dq. ds_t holds all that
the later steps say of s_t, so that ds_t + dy_t is the total derivative. The input projection lies
before the loop, one product for all steps, and so does its gradient: the framework's for a product. A
stack of cells is run cell by cell, each over all steps, so that this holds for the upper cells too.

Source: Werbos 1990, Proceedings of the IEEE 78(10), section V.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
from keras import ops

from custom_layers.core.protocols import Tensor
from custom_layers.recurrent.masked_time_loop import masked_time_loop, masked_time_loop_backward
from custom_layers.recurrent.recurrent_cell import RecurrentCell, StepParameters
from custom_layers.recurrent.time_loop import with_backward
from custom_layers.recurrent.truncation import truncated_loop, truncated_loop_backward


class Arguments(NamedTuple):
    """What the loop is differentiated by, and its mask.

    projected: (steps, batch, gates x units). states: a list of (batch, units), before the first step.
    probes: zeros (steps, batch, units) by the name of the state they are added to. mask: bool (steps,
    batch) or None.
    """

    projected: Tensor
    states: list[Tensor]
    parameters: StepParameters
    probes: dict[str, Tensor]
    mask: Tensor | None


class Results(NamedTuple):
    """outputs and states as `masked_time_loop` gives them; records of all steps, or None."""

    outputs: Tensor
    states: list[Tensor]
    records: Any


class Kept(NamedTuple):
    """What the way forwards leaves to the way back: of all steps, the records and the states before."""

    given: Arguments
    records: Any
    before: list[Tensor]


@dataclass(frozen=True)
class Recurrence:
    """One cell over all steps: (1) as `forward`, (2) and (3) as `backward`.

    Attributes:
        cell: one of ours that has a backward step.
        loop: `time_loop` or `unrolled_time_loop`.
        truncate_every: see `truncation.py`.
        keeps_records: whether the records are returned, for a listener.
        reverse, return_sequences, zero_output_for_mask: see `masked_time_loop`.
    """

    cell: RecurrentCell
    loop: Any
    truncate_every: int | None
    keeps_records: bool
    reverse: bool
    return_sequences: bool
    zero_output_for_mask: bool

    def run(self, given: Arguments) -> Results:
        """The results, whose gradient is the one that is written here."""
        return with_backward(self.forward, self.backward, given)

    def forward(self, given: Arguments) -> tuple[Results, Kept]:
        """Equation (1)."""
        inner = [name for name in given.probes if name != "h"]

        def step(x: Any, states: Any) -> tuple[Tensor, Any, Any]:
            probes = {f"{name}_probe": x[name] for name in inner}
            record = self.cell.step_with(given.parameters, x["projected"], states, **probes)
            if "h" in given.probes:
                record = record._replace(h=record.h + x["h"])
            before = [] if given.mask is None else states  # without a mask they are in the records
            return record.h, self.cell.states_of(record), (record, before)

        outputs, states, (records, before) = masked_time_loop(
            step,
            given.states,
            {"projected": given.projected, **given.probes},
            given.mask,
            zero_output=ops.zeros_like(given.states[0]),
            reverse=self.reverse,
            return_sequences=self.return_sequences,
            zero_output_for_mask=self.zero_output_for_mask,
            loop=truncated_loop(self.loop, self.truncate_every),
        )
        if given.mask is None:
            before = self._states_before(given.states, records)
        shown = records._asdict() if self.keeps_records else None
        return Results(outputs, states, shown), Kept(given, records, before)

    def _states_before(self, first: list[Tensor], records: Any) -> list[Tensor]:
        """s_{t-1} of all steps where none is masked: what the step before them left."""
        found = []
        for state, after in zip(first, self.cell.states_of(records), strict=True):
            state = ops.expand_dims(state, axis=0)
            before = (after, state) if self.reverse else (state, after)
            all_states = ops.concatenate(before, axis=0)
            found.append(all_states[1:] if self.reverse else all_states[:-1])
        return found

    def backward(self, kept: Kept, d: Results) -> Arguments:
        """Equations (2) and (3)."""
        given = kept.given

        def step_backward(x: Any, d_states: list[Tensor]) -> tuple[list[Tensor], Any]:
            record, before = x
            found = self.cell.step_backward(given.parameters, record, before, d_states)
            y = {"projected": found.projected}
            if given.probes:
                y |= {"h": d_states[0], **found.probes}
            return found.states, y

        d_states, ys = masked_time_loop_backward(
            step_backward,
            d.outputs,
            d.states,
            (kept.records, kept.before),
            given.mask,
            reverse=self.reverse,
            return_sequences=self.return_sequences,
            zero_output_for_mask=self.zero_output_for_mask,
            loop=truncated_loop_backward(self.loop, self.truncate_every),
        )
        d_projected = ys.pop("projected")
        d_parameters = self.cell.parameters_backward(
            given.parameters, kept.records, kept.before, d_projected
        )
        no_masks = keras.tree.map_structure(lambda _: None, given.parameters.mask)
        d_parameters = d_parameters._replace(mask=no_masks)
        return Arguments(d_projected, d_states, d_parameters, ys, None)
