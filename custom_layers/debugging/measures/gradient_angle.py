"""Whether the gradient still points where it pointed at the last look."""

import math

import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.debugging.measures.gradient_statistics import norm


def gradient_angle(gradient: Tensor, last: Tensor) -> Tensor:
    """Angle between two gradients of one weight, in degrees, 0 to 180; NaN where one of them is 0.

    Near 0 the steps agree; beyond 90 the second step takes back what the first one did.
    """
    gradient, last = (tf.cast(tf.reshape(g, [-1]), "float32") for g in (gradient, last))
    cosine = tf.reduce_sum(gradient * last) / (norm(gradient) * norm(last))
    return tf.acos(tf.clip_by_value(cosine, -1.0, 1.0)) * (180 / math.pi)
