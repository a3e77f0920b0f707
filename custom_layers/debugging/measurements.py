"""What is measured of one recording, by the tag that TensorBoard shows it under.

Each measure has a file in `measures/`, and a line here that says what it is taken of:

    every weight            gradient_statistics, histogram, gradient_angle, update_ratio
    all weights together    global_norm, clipped_norm
    every quantity          gradient_statistics, share of NaN and inf, first_not_finite_step
    every layer's output    dead_units
    every state             vanishing_ratio, norms_by_step, norms_by_steps_back
    every gate              gate_saturation, norms_by_step
    attention weights       attention_entropy;   attention scores   norms_by_step

Nothing here writes, decides when to look, or judges.
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.debugging.measures.attention_entropy import attention_entropy
from custom_layers.debugging.measures.clipped_norm import clipped_norm, global_norm
from custom_layers.debugging.measures.dead_units import dead_units
from custom_layers.debugging.measures.first_not_finite_step import first_not_finite_step
from custom_layers.debugging.measures.gate_saturation import gate_saturation
from custom_layers.debugging.measures.gradient_angle import gradient_angle
from custom_layers.debugging.measures.gradient_statistics import (
    gradient_statistics,
    share_not_finite,
)
from custom_layers.debugging.measures.histogram import histogram
from custom_layers.debugging.measures.norms_by_step import norms_by_step, norms_by_steps_back
from custom_layers.debugging.measures.update_ratio import update_ratio
from custom_layers.debugging.measures.vanishing_ratio import vanishing_ratio
from custom_layers.debugging.recorder import Quantity, Recording, names_of_weights

STATES = ("h", "c")
CANDIDATES = ("g", "n")  # of LSTM and GRU: a tanh, where the other gates are a sigmoid
ATTENTION_SCORES, ATTENTION_WEIGHTS = "attention_scores", "attention_weights"
FIRST_NOT_FINITE_STEP = "first_not_finite_step"
BY_STEP, BY_STEPS_BACK = "gradient_norm_by_step", "gradient_norm_by_steps_back"


class Measurements(NamedTuple):
    """Measures by tag, `<layer>/<quantity>/<measure>`, and what the next look needs of this one.

    scalars: (). series: (steps,). histograms: (buckets, 3), rows of left, right, count. gradients: of
    each weight that the loss reaches, float32, by its path.
    """

    scalars: dict[str, Tensor]
    series: dict[str, Tensor]
    histograms: dict[str, Tensor]
    gradients: dict[str, Tensor]


def measure(
    recording: Recording,
    scale: Tensor | float = 1.0,
    optimizer: Any = None,
    last_gradients: dict[str, Tensor] | None = None,
    histograms: bool = False,
) -> Measurements:
    """Take all measures of a recording.

    Args:
        recording: what was recorded of one batch.
        scale: what the loss was multiplied by before it was differentiated.
        optimizer: whose clipping is measured; None measures no clipping.
        last_gradients: of the weights at the last look, for the angle to it.
        histograms: whether to count the weights' gradients into buckets.
    """
    as_they_came = {
        path: _unscaled(gradient, scale)
        for path, gradient in recording.weights.items()
        if gradient is not None  # the loss does not reach it: it has no chart
    }
    gradients = {path: tf.convert_to_tensor(gradient) for path, gradient in as_they_came.items()}
    all_gradients = list(gradients.values())
    scalars = {"all_weights/gradient_norm": global_norm(all_gradients)}
    clipped = None if optimizer is None else clipped_norm(list(as_they_came.values()), optimizer)
    if clipped is not None:
        scalars["all_weights/gradient_norm_clipped"] = clipped
    for path, gradient in gradients.items():
        scalars |= _prefixed(f"{path}/gradient_", gradient_statistics(gradient))
    if last_gradients:
        scalars |= angles(gradients, last_gradients)
    series: dict[str, Tensor] = {}
    for name, quantity in recording.items():
        quantity = quantity.by_unit()
        unscaled = quantity._replace(gradient=_unscaled(quantity.gradient, scale))
        _measure_quantity(name, unscaled, scalars, series)
    buckets = histograms_of(gradients) if histograms else {}
    return Measurements(scalars, series, buckets, gradients)


def angles(gradients: dict[str, Tensor], last: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of each weight's gradient to the one at the last look."""
    return {
        f"{path}/angle_to_last_look": gradient_angle(gradient, last[path])
        for path, gradient in gradients.items()
    }


def histograms_of(gradients: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of each weight's gradient."""
    return {f"{path}/gradient": histogram(gradient) for path, gradient in gradients.items()}


def update_ratios(model: keras.Model, before: list[Tensor]) -> dict[str, float]:
    """How far each trainable weight has been moved since `before`."""
    # As tensors: a variable of several replicas would stay in the traced function, for every model.
    after = [tf.convert_to_tensor(weight.value) for weight in model.trainable_variables]
    ratios = _all_update_ratios(before, after).numpy().tolist()
    return {
        f"{name}/update_ratio": ratio
        for name, ratio in zip(names_of_weights(model), ratios, strict=True)
    }


@tf.function(reduce_retracing=True)
def _all_update_ratios(before: list[Tensor], after: list[Tensor]) -> Tensor:
    ratios = [update_ratio(b, a) for b, a in zip(before, after, strict=True)]
    return tf.stack(ratios) if ratios else tf.zeros([0])


def _measure_quantity(
    name: str, quantity: Quantity, scalars: dict[str, Tensor], series: dict[str, Tensor]
) -> None:
    kind = name.rpartition("/")[2]
    value, gradient, mask = quantity.value, quantity.gradient, quantity.mask
    scalars |= _prefixed(f"{name}/gradient_", gradient_statistics(gradient))
    scalars[f"{name}/not_finite"] = share_not_finite(value)
    if len(value.shape) == 3 and quantity.steps_axis in (1, None):  # of an output: as Keras has it
        first = first_not_finite_step(value, mask, quantity.backwards)
        scalars[f"{name}/{FIRST_NOT_FINITE_STEP}"] = first
    if kind.startswith("output"):
        if len(value.shape) > 1:
            scalars[f"{name}/dead_units"] = dead_units(value)
    elif kind in STATES:
        ratio = vanishing_ratio(gradient, mask, quantity.backwards)
        scalars[f"{name}/vanishing_ratio"] = tf.cast(ratio, "float32")
        series[f"{name}/{BY_STEP}"] = norms_by_step(gradient)
        series[f"{name}/{BY_STEPS_BACK}"] = norms_by_steps_back(gradient, mask, quantity.backwards)
    elif kind == ATTENTION_WEIGHTS:
        scalars[f"{name}/entropy"] = attention_entropy(value)
    elif kind == ATTENTION_SCORES:
        series[f"{name}/{BY_STEP}"] = norms_by_step(gradient, -2)
    else:
        least = -1.0 if kind in CANDIDATES else 0.0
        scalars |= _prefixed(f"{name}/", gate_saturation(value, mask, least))
        series[f"{name}/{BY_STEP}"] = norms_by_step(gradient)


def _unscaled(gradient: Any, scale: Tensor | float) -> Any:
    if isinstance(gradient, tf.IndexedSlices):  # of an embedding
        values = _unscaled(gradient.values, scale)
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    gradient = tf.cast(gradient, "float32")
    return gradient if isinstance(scale, float) and scale == 1 else gradient / scale


def _prefixed(prefix: str, measures: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in measures.items()}
