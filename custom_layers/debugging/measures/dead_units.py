"""Units that are silent: a ReLU whose input is never positive has no gradient and does not come back."""

import tensorflow as tf

from custom_layers.core.protocols import Tensor


def dead_units(value: Tensor) -> Tensor:
    """Share of units that are exactly 0 for every example and every step, in [0, 1].

    Args:
        value: an output, (batch, ..., units).
    """
    others = list(range(len(value.shape) - 1))
    return tf.reduce_mean(tf.cast(tf.reduce_all(value == 0, axis=others), "float32"))
