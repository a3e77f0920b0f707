r"""Three ways to shorten gradients, by hand.

    g_i <- min(max(g_i, -c), c)                       (1) by value: each entry
    g_w <- g_w min(1, c / |g_w|)                      (2) by norm: each weight by itself
    g_w <- g_w min(1, c / sqrt(sum_v |g_v|^2))        (3) by global norm: all weights together

Source: (3) is algorithm 1 of Pascanu et al. 2013, arXiv:1211.5063, which clips the gradient of all
weights; (2) is the same of each.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

Gradients = Sequence[np.ndarray]  # one for each weight


def length(gradients: Gradients) -> float:
    """The norm of all together."""
    return float(np.sqrt(sum(np.sum(np.square(g, dtype="float64")) for g in gradients)))


def by_value(gradients: Gradients, c: float) -> Gradients:
    """(1)."""
    return [np.clip(g, -c, c) for g in gradients]


def by_norm(gradients: Gradients, c: float) -> Gradients:
    """(2)."""
    return [g * (c / max(c, length([g]))) for g in gradients]


def by_global_norm(gradients: Gradients, c: float) -> Gradients:
    """(3)."""
    return [g * (c / max(c, length(gradients))) for g in gradients]


# by the name of the argument that every Keras optimizer has for it
RULES: Mapping[str, Callable[[Gradients, float], Gradients]] = {
    "clipvalue": by_value,
    "clipnorm": by_norm,
    "global_clipnorm": by_global_norm,
}


def applied(gradients: Sequence[Any], **clipping: float) -> Gradients:
    """What Keras makes of them: SGD with a rate of 1, from weights that are 0, ends at -g.

    Args:
        gradients: arrays, tensors or tf.IndexedSlices.
    """
    weights = [
        keras.Variable(np.zeros(g.shape), dtype=keras.backend.standardize_dtype(g.dtype))
        for g in gradients
    ]
    optimizer = keras.optimizers.SGD(1.0, **clipping)
    optimizer.apply(
        [tf.constant(g) if isinstance(g, np.ndarray) else g for g in gradients], weights
    )
    return [-keras.ops.convert_to_numpy(w) for w in weights]


def turned(before: Gradients, after: Gradients) -> float:
    """Angle between two gradients of all weights, in degrees."""
    along: Any = sum(np.sum(a * b, dtype="float64") for a, b in zip(before, after, strict=True))
    cosine = along / (length(before) * length(after))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def threshold(rule: str, gradients: Gradients, share: float) -> float:
    """The c under which a rule leaves that share of the length, in (0, 1)."""
    low, high = 0.0, length(gradients)
    for _ in range(60):
        middle = (low + high) / 2
        if length(RULES[rule](gradients, middle)) < share * length(gradients):
            low = middle
        else:
            high = middle
    return high
