"""What layers say of the gradients of the network of the page."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf


def layer_gradients(
    layers: Any, x: np.ndarray, y: np.ndarray, weights: Mapping[str, np.ndarray], **options: Any
) -> dict[str, np.ndarray]:
    """Gradients of the mean binary cross-entropy, in float64.

    Args:
        layers: `keras.layers` or `custom_layers`.
        x, y: (batch, steps, features) and (batch, steps, 1).
        weights: W, U, b_x, b_h, V and c of the page; the layer's one bias is b_x + b_h.
        options: of the SimpleRNN.
    Returns: by W, U, b, V, c.
    """
    units = len(weights["U"])
    elman = layers.SimpleRNN(units, return_sequences=True, dtype="float64", **options)
    logit = layers.Dense(1, dtype="float64")
    logit(elman(x))
    elman.set_weights([weights["W"], weights["U"], weights["b_x"] + weights["b_h"]])
    logit.set_weights([weights["V"], weights["c"]])
    variables = [v.value for layer in (elman, logit) for v in layer.trainable_variables]
    with tf.GradientTape() as tape:
        z = logit(elman(x))
        loss = tf.reduce_mean(tf.nn.softplus(z) - y * z)
    found = tape.gradient(loss, variables)
    return dict(zip(("W", "U", "b", "V", "c"), (g.numpy() for g in found), strict=True))
