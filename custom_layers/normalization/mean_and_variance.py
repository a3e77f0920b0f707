"""Mean and variance of each example, with exact derivatives of every order.

    mu      = mean(x)             (1)
    sigma^2 = mean((x - mu)^2)    (2)
            = mean((x - c)^2) - (mu - c)^2    for any constant c: the shift theorem    (3)

Keras's `moments` compute (2), on TensorFlow with a mu that counts as constant there: the first part of
(3) with c = mu. Its value and its gradient are right, its second derivative is not. The second part adds
what is missing; it is 0, and so is its gradient, so that both stay the built-in's, bit for bit. It is of
the size of the means, and costs nothing beside what is of the size of x.
"""

from collections.abc import Sequence

import keras
from keras import ops

from custom_layers.core.protocols import Tensor


def mean_and_variance(x: Tensor, axes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Equations (1) and (2), with size 1 along the axes; x is float32 or better."""
    mean, variance = ops.moments(x, axes, keepdims=True)
    if keras.backend.backend() == "tensorflow":
        variance = variance - ops.square(mean - ops.stop_gradient(mean))  # (3)
    return mean, variance
