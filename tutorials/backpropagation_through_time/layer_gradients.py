"""What a layer itself says of its gradient, with either choice of `gradient`."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def gradients_of(
    layer: keras.Layer, x: np.ndarray, loss_of_outputs: Callable[[Any], Any]
) -> list[np.ndarray]:
    """dL/dx and dL/dw of each weight, in the order of the weights.

    Args:
        layer: a built layer.
        x: its inputs.
        loss_of_outputs: from the layer's outputs to a scalar.
    """
    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = loss_of_outputs(layer(inputs))
    found = tape.gradient(loss, [inputs, *(w.value for w in layer.trainable_variables)])
    return [gradient.numpy() for gradient in found]


def with_the_weights_of(layer: keras.Layer, **choice: Any) -> keras.Layer:
    """A copy of a built layer, with other settings: `gradient`, `truncate_every`."""
    copy = type(layer).from_config({**layer.get_config(), **choice})
    copy.build((None, None, layer.cell.kernel.shape[0]))
    copy.set_weights(layer.get_weights())
    return copy
