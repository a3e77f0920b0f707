"""Outputs and gradients of models on the first batch, before any step, and their differences."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from custom_layers.comparison.batches import Batch
from custom_layers.comparison.model_state import put_state, take_state


@dataclass(frozen=True)
class GradientDifference:
    """How far the gradients of one weight are apart at the first step.

    Attributes:
        path: the weight's path in the first model.
        difference: largest absolute difference of an entry, relative to the largest entry over
            all gradients of the first model (a weight whose true gradient is 0, such as the key
            bias of an attention, has no scale of its own). Infinite when only one of the models
            has a gradient.
        norms: Euclidean norm of the gradient in each model, by the model's name.
    """

    path: str
    difference: float
    norms: dict[str, float]


def logits_on(model: keras.Model, x: Any) -> list[np.ndarray]:
    """All outputs of `model` for the inputs `x` with `training=False`, as arrays."""
    return [np.asarray(output) for output in keras.tree.flatten(model(x, training=False))]


def gradients_on(model: keras.Model, batch: Batch) -> list[np.ndarray | None]:
    """Gradient of the compiled loss with respect to each trainable weight; leaves no trace.

    Computed eagerly with `training=True`, so that dropout is included. The seed generators and
    the moving averages that the call advances are put back.
    """
    before = take_state(model)
    with tf.GradientTape() as tape:
        outputs = model(batch.x, training=True)
        loss = model.compute_loss(batch.x, batch.y, outputs, batch.sample_weight, training=True)
    weights = [weight.value for weight in model.trainable_weights]
    gradients = tape.gradient(loss, weights)
    put_state(model, before, source_name="compare")
    return [None if g is None else np.asarray(tf.convert_to_tensor(g)) for g in gradients]


def largest_difference(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Largest absolute difference of any entry; infinite when the shapes disagree."""
    if [a.shape for a in ours] != [a.shape for a in theirs]:
        return float("inf")
    differences = [_largest_entry(_subtracted(a, b)) for a, b in zip(ours, theirs, strict=True)]
    return _largest(differences)


def largest_entry(arrays: list[np.ndarray | None]) -> float:
    """Largest absolute entry over all arrays; 0 when there is none."""
    return _largest([_largest_entry(a) for a in arrays if a is not None])


def gradient_differences(
    paths: list[str], gradients: dict[str, list[np.ndarray | None]], reference: str, other: str
) -> list[GradientDifference]:
    """Compare the gradients of two models, weight by weight, in the order of `paths`."""
    scale = largest_entry(gradients[reference]) or 1.0
    result = []
    pairs = zip(paths, gradients[reference], gradients[other], strict=True)
    for path, ours, theirs in pairs:
        if ours is None or theirs is None:
            difference = 0.0 if ours is theirs else float("inf")
        else:
            difference = _largest_entry(_subtracted(ours, theirs)) / scale
        norms = {reference: _norm(ours), other: _norm(theirs)}
        result.append(GradientDifference(path, float(difference), norms))
    return result


def _subtracted(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    if ours.dtype.kind not in "fiub" and ours.dtype.name != "bfloat16":  # strings
        return (ours != theirs).astype("float64")
    return ours.astype("float64") - theirs.astype("float64")


def _largest_entry(array: np.ndarray) -> float:
    return float(np.max(np.abs(array.astype("float64")))) if array.size else 0.0


def _largest(values: list[float]) -> float:
    """Maximum in which NaN wins, so that it is never lost; 0 for an empty list."""
    return float(np.max(values)) if values else 0.0


def _norm(gradient: np.ndarray | None) -> float:
    return 0.0 if gradient is None else float(np.linalg.norm(gradient.astype("float64")))
