"""What is wrong, in words: rules that read the measures, each with its limit and what to try.

A rule knows measures by their tags (`measurements.py`) and computes none. The limits are such that a
healthy model raises no alarm, fresh or trained; tests/debugging/test_findings.py says on which ones.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from custom_layers.debugging.layer_outputs import layers_with_an_output
from custom_layers.debugging.measurements import BY_STEPS_BACK, FIRST_NOT_FINITE_STEP
from custom_layers.debugging.recorder import names_of_layers, names_of_weights

VANISHED = float(
    np.finfo("float32").eps
)  # of the largest |dL/dh_t|: beside it, float32 rounds it off
EXPLODED = 10.0  # times, over one half of the steps back and over the other half again
LARGE_RADIUS = 1.4  # of a recurrent kernel without gates; 1 keeps a state's size
LARGE_NORM = 1e3  # of all gradients together
STARVED = 1e-8  # a layer's gradient, of the largest layer's
DEAD = 0.5  # share of a layer's ReLU units
SATURATED = 0.9  # share of a gate's entries
LARGE_UPDATE = 0.3  # of a weight's own size, in one training step
LOSS_GREW = 1.5  # times, when a few steps are taken on one batch
RELUS = ("relu", "relu6", "ReLU")
CLIPPING = "clipping (optimizer with global_clipnorm=1)"
OFFSETS = ("bias", "beta")  # weights that start at 0: a step is large beside them


class Finding(NamedTuple):
    """One thing that is wrong.

    Attributes:
        layer: where, by the layer's path within the model; "" is the model as a whole.
        text: what, in plain words.
        tag: the measure that says so. value: of that measure. limit: what it is held against.
        advice: what to try.
    """

    layer: str
    text: str
    tag: str
    value: float
    limit: float
    advice: str

    @property
    def measure(self) -> str:
        """The measure's tag without a place within it: `gru/h/gradient_norm_by_steps_back`."""
        return self.tag.partition("[")[0]

    def __str__(self) -> str:
        place = f"{self.layer}: " if self.layer else ""
        return (
            f"{place}{self.text} ({self.tag} = {self.value:.3g}, limit {self.limit:.3g}). "
            f"Try {self.advice}."
        )


class Measured:
    """What the rules read: the measures of one look by tag, and the model that they are of."""

    def __init__(
        self,
        model: keras.Model,
        scalars: Mapping[str, float],
        series: Mapping[str, np.ndarray],
    ) -> None:
        self.model = model
        self.scalars = scalars
        self.series = series
        names = names_of_layers(model)
        self.layers: dict[str, Any] = {
            names[id(layer)]: layer for layer in layers_with_an_output(model)
        }
        self.weights = names_of_weights(model)
        owners = {  # an inner layer comes after the one that it lies in
            id(weight): path
            for path, layer in self.layers.items()
            for weight in layer.trainable_variables
        }
        self._owners = {
            name: owners.get(id(weight), "")
            for name, weight in zip(self.weights, model.trainable_variables, strict=True)
        }

    def ending(self, *measures: str) -> Iterator[tuple[str, float]]:
        """Place and value of these measures: `gru/h`, for the tag `gru/h/vanishing_ratio`."""
        for tag, value in self.scalars.items():
            place, _, measure = tag.rpartition("/")
            if measure in measures:
                yield place, value

    def layer_of(self, place: str) -> str:
        """The layer of a quantity or a weight: `gru`, for `gru/h`, `gru:2/h`, `gru/gru_cell/bias`."""
        if place in self._owners:
            return self._owners[place]
        while place:
            place = place.rpartition("/")[0]
            name, _, count = place.rpartition(":")
            bare = name if count.isdigit() else place
            if bare in self.layers:
                return bare
        return ""

    def has_gradient(self, weight: str) -> bool:
        """Whether any entry of a weight's gradient is not exactly 0, however small."""
        return self.scalars.get(f"{weight}/gradient_zeros", 1.0) < 1

    def norms_by_layer(self) -> dict[str, float]:
        """The gradient's norm over all weights of each layer that the loss reaches."""
        squares: dict[str, float] = {}
        for weight in self.weights:
            norm = self.scalars.get(f"{weight}/gradient_norm")
            if norm is not None:
                layer = self.layer_of(weight)
                squares[layer] = squares.get(layer, 0.0) + norm**2
        return {layer: math.sqrt(square) for layer, square in squares.items()}


def not_finite(measured: Measured) -> Iterator[Finding]:
    """NaN or inf: the first quantity, in the order of computation, that holds one."""
    for place, share in measured.ending("not_finite"):
        if share > 0:
            step = measured.scalars.get(f"{place}/{FIRST_NOT_FINITE_STEP}", math.nan)
            when = "" if math.isnan(step) else f", at time step {int(step)}"
            yield Finding(
                measured.layer_of(place),
                f"the first NaN or inf of the forward pass is in `{place}`{when}",
                *(f"{place}/not_finite", share, 0.0),
                "a small constant inside log, sqrt and divisions; NaNGuard keeps the batch",
            )
            return
    for tag in ("loss/probe", "loss/batch"):
        value = measured.scalars.get(tag, 0.0)
        if not math.isfinite(value):
            yield Finding(
                *("", "the loss is NaN or inf though all outputs are finite", tag, value, math.inf),
                "a loss from logits (from_logits=True), labels within their range",
            )
            return
    gradients = [found for found in measured.ending("gradient_not_finite") if found[1] > 0]
    skipped = isinstance(measured.model.optimizer, keras.optimizers.LossScaleOptimizer)
    if gradients and not skipped:  # of float16 it leaves out a step that overflows, and scales down
        place, share = next(
            ((p, s) for p, s in reversed(gradients) if "/output" in p), gradients[-1]
        )
        yield Finding(
            measured.layer_of(place),
            f"the gradient first becomes NaN or inf at `{place}`, on its way back from the loss",
            *(f"{place}/gradient_not_finite", share, 0.0),
            "a small constant inside sqrt, norms and divisions, whose derivative at 0 is infinite",
        )


def exploding(measured: Measured) -> Iterator[Finding]:
    """Gradients that grow on their way back through time, or are too large altogether."""
    found = []
    for tag, norms in measured.series.items():
        if not tag.endswith(BY_STEPS_BACK):
            continue
        back = int(
            np.max(np.flatnonzero(norms), initial=0)
        )  # the first step of the longest sequence
        last, middle, first = norms[0], norms[back // 2], norms[back]
        if last > 0 and min(middle / last, first / middle) > EXPLODED:  # growth all the way
            ratio = float(first / last)
            found.append(
                Finding(
                    measured.layer_of(tag.rpartition("/")[0]),
                    f"gradients explode: {ratio:.3g} times as large {back} steps back",
                    *(f"{tag}[{back}] / [0]", ratio, EXPLODED**2),
                    f"{CLIPPING}, recurrent_initializer='orthogonal', or a gated cell (GRU, LSTM)",
                )
            )
    yield from _one_for_each_layer(found, by=lambda finding: -finding.value)
    for place, radius in measured.ending("spectral_radius"):
        if radius > LARGE_RADIUS:
            yield Finding(
                measured.layer_of(place),
                f"gradients can explode: the recurrent kernel makes a state {radius:.3g} times as "
                "large at each step",
                *(f"{place}/spectral_radius", radius, LARGE_RADIUS),
                f"recurrent_initializer='orthogonal', a smaller learning rate, or {CLIPPING}",
            )
    norm = measured.scalars.get("all_weights/gradient_norm", 0.0)
    if norm > LARGE_NORM:
        yield Finding(
            *("", "the gradients are very large", "all_weights/gradient_norm", norm, LARGE_NORM),
            f"inputs and targets scaled to about 1, or {CLIPPING}",
        )


def learning_rate(measured: Measured) -> Iterator[Finding]:
    """Steps that throw weights about, or a loss that grows on the batch it is trained on."""
    grew = measured.scalars.get("loss/growth_in_trial", 0.0)
    if not grew <= LOSS_GREW:
        yield Finding(
            "",
            f"a few training steps on one batch make its own loss {grew:.3g} times as large",
            *("loss/growth_in_trial", grew, LOSS_GREW),
            "a learning rate a tenth or a hundredth of this one",
        )
    large = [
        (ratio, place)
        for place, ratio in measured.ending("update_ratio")
        if LARGE_UPDATE < ratio < math.inf and not place.endswith(OFFSETS)
    ]
    for ratio, place in sorted(large, reverse=True)[:1]:
        by = f"{ratio:.0%} of its size" if ratio < 10 else f"{ratio:.3g} times its size"
        yield Finding(
            measured.layer_of(place),
            f"one training step moves `{place}` by {by}",
            *(f"{place}/update_ratio", ratio, LARGE_UPDATE),
            "a learning rate a tenth or a hundredth of this one",
        )


def unused(measured: Measured) -> Iterator[Finding]:
    """Layers that the loss does not depend on."""
    norms = measured.norms_by_layer()
    for layer in dict.fromkeys(measured.layer_of(weight) for weight in measured.weights):
        if layer not in norms:
            yield Finding(
                layer,
                "unused: the loss does not depend on it",
                *(f"{layer}/*/gradient_norm", 0.0, 0.0),
                "connecting its output to the loss, or leaving it out",
            )


def without_gradient(measured: Measured) -> Iterator[Finding]:
    """Layers whose gradients are exactly 0: something above them lets none through."""
    some = {measured.layer_of(w) for w in measured.weights if measured.has_gradient(w)}
    for layer in measured.norms_by_layer():
        if layer not in some:
            yield Finding(
                layer,
                "all its gradients are exactly 0",
                *(f"{layer}/*/gradient_norm", 0.0, 0.0),
                "looking for dead units or a gradient that is stopped between it and the loss",
            )


def vanishing(measured: Measured) -> Iterator[Finding]:
    """Gradients that are lost on their way back through time, or through the layers."""
    found = []
    for tag, norms in measured.series.items():
        if not tag.endswith(BY_STEPS_BACK):
            continue
        limit = float(VANISHED * np.max(norms, initial=0.0))
        back = int(np.argmax(norms < limit))  # the first one, or 0 if there is none
        if back > 0 and norms[back] > 0:  # a sequence that ends there has exactly 0 from there on
            found.append(
                Finding(
                    measured.layer_of(tag.rpartition("/")[0]),
                    f"gradients vanish {back} steps back",
                    *(f"{tag}[{back}]", float(norms[back]), limit),
                    "a gated cell (LSTM, GRU), recurrent_initializer='orthogonal', attention "
                    "over the steps, or shorter sequences",
                )
            )
    yield from _one_for_each_layer(found, by=lambda finding: finding.value / finding.limit)
    norms_by_layer = measured.norms_by_layer()
    largest = max((n for n in norms_by_layer.values() if math.isfinite(n)), default=0.0)
    for layer, norm in norms_by_layer.items():
        if 0 < norm < STARVED * largest:
            yield Finding(
                layer,
                "almost no gradient arrives",
                *(f"{layer}/*/gradient_norm", norm, STARVED * largest),
                "normalization, residual connections, or relu in place of sigmoid and tanh",
            )


def dead(measured: Measured) -> Iterator[Finding]:
    """ReLU units that are silent for every example."""
    with_relu = {name for name, layer in measured.layers.items() if _is_relu(layer)}
    for place, share in measured.ending("dead_units"):
        if measured.layer_of(place) in with_relu and share > DEAD:
            yield Finding(
                measured.layer_of(place),
                f"{share:.0%} of its ReLU units are dead: 0 for every example",
                *(f"{place}/dead_units", share, DEAD),
                "a smaller learning rate, kernel_initializer='he_normal', a bias of 0, or leaky_relu",
            )


def saturated(measured: Measured) -> Iterator[Finding]:
    """Gates that are stuck open or shut."""
    stuck: dict[str, list[tuple[float, str, str]]] = {}
    for tag, share in measured.scalars.items():
        if tag.endswith(("/saturated_low", "/saturated_high")) and share > SATURATED:
            gate = tag.split("/")[-2]
            end = "above 0.95" if tag.endswith("high") else "at the lower end"
            words = f"gate `{gate}` ({share:.0%} {end})"
            stuck.setdefault(measured.layer_of(tag.rpartition("/")[0]), []).append(
                (share, tag, words)
            )
    for layer, gates in stuck.items():
        share, tag, _ = max(gates)
        yield Finding(
            layer,
            f"saturated: {', '.join(words for *_, words in gates)}",
            *(tag, share, SATURATED),
            "a bias nearer to 0 (unit_forget_bias starts at 1), smaller inputs, or normalization",
        )


def frozen(measured: Measured) -> Iterator[Finding]:
    """Layers that are not trained."""
    found: list[str] = []
    for name, layer in measured.layers.items():
        inside_one = any(name.startswith(f"{outer}/") for outer in found)
        if not layer.trainable and layer.weights and not inside_one:
            found.append(name)
            yield Finding(
                *(name, "frozen: its weights are not trained", f"{name}/trainable", 0.0, 1.0),
                "layer.trainable = True before compile, unless it is meant to be frozen",
            )


Rule = Callable[[Measured], Iterator[Finding]]
RULES: tuple[Rule, ...] = (
    *(exploding, learning_rate, unused, dead, saturated),
    *(vanishing, without_gradient, frozen),
)


def findings_of(measured: Measured) -> list[Finding]:
    """Everything that is wrong, the worst first. A NaN spoils the other measures, and is told alone."""
    spoiled = list(not_finite(measured))
    rules: tuple[Rule, ...] = (frozen,) if spoiled else RULES
    return spoiled + [finding for rule in rules for finding in rule(measured)]


def _one_for_each_layer(
    findings: list[Finding], by: Callable[[Finding], float]
) -> Iterator[Finding]:
    """The least of each layer: its states tell the same story."""
    for layer in dict.fromkeys(finding.layer for finding in findings):
        yield min((finding for finding in findings if finding.layer == layer), key=by)


def _is_relu(layer: Any) -> bool:
    activation = getattr(layer, "activation", None)
    return type(layer).__name__ in RELUS or getattr(activation, "__name__", "") in RELUS
