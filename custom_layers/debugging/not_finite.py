"""Where NaN and inf come from: the tensors of one training step in the order they are computed in.

    weights before the step -> activations -> loss -> gradients, from the loss backwards -> weights after

The first tensor of this order that holds a NaN or inf is where it began; the rest has it from there.
Within a loop over time all gates and states of step t come before those of step t + 1, and backwards in
time where gradients are looked at (or both turned round, in a layer that takes the last step first).
"""

import itertools
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.debugging.forward_pass import forward_pass, loss_of
from custom_layers.debugging.recorder import Quantity, record


class NotFinite(NamedTuple):
    """A tensor with entries that are NaN or inf. Rows and time steps are counted from 0.

    Attributes:
        kind: "weight", "activation", "loss" or "gradient".
        name: `<layer>/<quantity>`, as `record` has it, or the path of a weight.
        value: "NaN", "inf" or "-inf", the first such entry.
        bad: how many entries are not finite, of `size`.
        row: the first row of the batch that has one (at that time step), if the tensor has rows.
        time_step: the first time step that has one, in order of computation, if the tensor has steps.
        when: "before the step" or "after the step" for a weight, otherwise "".
        finite_until: the last tensor in order of computation before which, and in which, all is finite.
    """

    kind: str
    name: str
    value: str
    bad: int
    size: int
    row: int | None = None
    time_step: int | None = None
    when: str = ""
    finite_until: str = ""

    def __str__(self) -> str:
        place = self.name if self.kind == "loss" else f"{self.kind} `{self.name}`"
        where = [f"time step {self.time_step}"] if self.time_step is not None else []
        where += [f"batch row {self.row}"] if self.row is not None else []
        at = f" at {', '.join(where)}" if where else ""
        when = f" {self.when}" if self.when else ""
        count = f" ({self.bad:,} of {self.size:,} entries)" if self.size > 1 else ""
        until = f", finite up to `{self.finite_until}`" if self.finite_until else ""
        return f"{self.value} in the {place}{when}{at}{count}{until}"


def look_inside(model: keras.Model, batch: Any, skips_gradients: bool = False) -> list[NotFinite]:
    """Run forward and backward pass on a batch, as in training: all that is not finite, first to last.

    Args:
        model: compiled. Its seeds, moving averages and metrics move on as in any call.
        batch: (x, y, sample_weight) or less, as the training function gets it.
        skips_gradients: leave the gradients out.
    """
    weights = weights_not_finite(model, "before the step")
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(without_optionals(batch))
    with record(model) as trace, tf.GradientTape() as tape:
        prediction = forward_pass(model, x)
        loss = loss_of(model, x, y, prediction, sample_weight)
        scaled = model.optimizer.scale_loss(loss)
    recording = trace.read(tape, scaled)
    rows = _rows(x)
    findings = _in_order([_Place.of(*item, rows) for item in recording.items()], "activation")
    found = [*weights, *findings, *_in_order([_Place("loss", loss)], "loss")]
    if not skips_gradients:
        found += _in_order(_gradients(recording, recording.weights, rows), "gradient")
    return found


def weights_not_finite(model: keras.Model, when: str) -> list[NotFinite]:
    """The weights that hold a NaN or inf now."""
    places = [_Place(_path(model, weight), weight.value) for weight in model.weights]
    return [finding._replace(when=when, finite_until="") for finding in _in_order(places, "weight")]


def mean_loss_not_finite(logs: Any) -> list[NotFinite]:
    """The loss in what a training step returns."""
    loss = logs.get("loss") if isinstance(logs, Mapping) else None
    places = [] if loss is None else [_Place("loss, Keras's mean over the epoch", loss)]
    return list(_in_order(places, "loss"))


def batch_not_finite(batch: Any) -> list[str]:
    """What of x, y and sample_weight holds a NaN or inf already, a sentence for each."""
    found = []
    parts = keras.utils.unpack_x_y_sample_weight(without_optionals(batch))
    for name, part in zip(("x", "y", "sample_weight"), parts, strict=True):
        for leaf in keras.tree.flatten(part):
            if isinstance(leaf, tf.Tensor) and leaf.dtype.is_floating:
                place = _Place(name, leaf, rows=_rows(leaf))
                found += [str(finding) for finding in _in_order([place], "batch's")]
    return found


def without_optionals(batch: Any) -> Any:
    """The batch with None where tf.data says that there is nothing."""
    return keras.tree.map_structure(
        lambda leaf: None if isinstance(leaf, tf.experimental.Optional) else leaf, batch
    )


# -- order of computation ------------------------------------------------------------------------


class _Place(NamedTuple):
    """A tensor, and how to read it: `rows` is the size of the batch, None if it has no rows."""

    name: str
    value: Tensor
    mask: Tensor | None = None
    steps_axis: int | None = None
    last_step_first: bool = False
    rows: int | None = None

    @classmethod
    def of(cls, name: str, quantity: Quantity, rows: int | None) -> "_Place":
        return cls(
            *(name, quantity.value, quantity.mask, quantity.steps_axis, quantity.backwards, rows)
        )

    def look(self, kind: str) -> NotFinite | None:
        values = np.asarray(tf.cast(tf.convert_to_tensor(self.value), "float64"))
        bad = ~np.isfinite(values)
        if self.mask is not None:  # no step was taken there
            bad &= np.asarray(self.mask)[..., None]
        if not bad.any():
            return None
        entries = np.argwhere(bad)  # in the order of the rows
        time_step = None
        # A layer's output does not say what its axes are: of three, Keras's second one is time.
        has_steps = self.rows is not None and values.ndim == 3
        axis = 1 if self.steps_axis is None and has_steps else self.steps_axis
        if axis is not None:
            steps = entries[:, axis]
            time_step = int(steps.max() if self.last_step_first else steps.min())
            entries = entries[steps == time_step]
        has_rows = values.ndim > 0 and values.shape[0] == self.rows
        row = int(entries[0][0]) if has_rows else None
        first = values[tuple(entries[0])]
        value = "NaN" if np.isnan(first) else "inf" if first > 0 else "-inf"
        return NotFinite(kind, self.name, value, int(bad.sum()), values.size, row, time_step)


def _in_order(places: list[_Place], kind: str) -> Iterator[NotFinite]:
    """What is not finite, of places that stand in the order of computation."""
    finite_until, all_finite = "", True
    for loop in _loops(places):
        found = [finding for place in loop if (finding := place.look(kind))]
        # What a loop over time computes is recorded one quantity after another: order it by time.
        found.sort(key=attrgetter("time_step"), reverse=loop[0].last_step_first)
        for finding in found:
            yield finding._replace(finite_until=finite_until)
        all_finite = all_finite and not found
        finite_until = loop[-1].name if all_finite else finite_until


def _loops(places: list[_Place]) -> Iterator[list[_Place]]:
    """The quantities that come out of one loop over time together, all others by themselves."""
    for (in_a_loop, _), group in itertools.groupby(
        places, key=lambda place: (place.steps_axis == 1, place.last_step_first)
    ):
        together = list(group)
        yield from [together] if in_a_loop else [[place] for place in together]


def _gradients(
    quantities: Mapping[str, Quantity], weights: Mapping[str, Tensor | None], rows: int | None
) -> list[_Place]:
    """From the loss backwards; those of the weights come after all others."""
    places = [_Place.of(*item, rows) for item in reversed(list(quantities.items()))]
    gradients = [
        place._replace(
            value=quantities[place.name].gradient, last_step_first=not place.last_step_first
        )
        for place in places
    ]
    for path, gradient in reversed(list(weights.items())):
        if gradient is not None:
            gradients.append(_Place(path, gradient))
    return gradients


def _rows(x: Any) -> int | None:
    """The size of the batch, None if its first input has no rows."""
    for leaf in keras.tree.flatten(x):
        if leaf is not None and leaf.shape.rank:  # ragged and sparse ones have rows too
            return int(leaf.shape[0])
    return None


def _path(model: keras.Model, weight: Any) -> str:
    return weight.path.removeprefix(f"{model.name}/")
