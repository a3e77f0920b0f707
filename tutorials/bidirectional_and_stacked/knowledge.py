r"""What an output knows of each input: |dy_t / dx_s|, the norm of the Jacobian's block."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf


def jacobian_norms(layer: Callable[[Any], Any], x: np.ndarray) -> np.ndarray:
    """One norm for each pair of an output's step and an input's step.

    Args:
        layer: from (1, steps, features) to (1, steps, units).
        x: (steps, features).
    Returns: (steps, steps), row t and column s: the Frobenius norm of dy_t / dx_s.
    """
    outputs = np.prod(layer(x[None]).shape)
    # A row of the batch for each single output:
    asked = np.eye(outputs).reshape(outputs, len(x), -1)
    inputs = tf.constant(np.repeat(x[None], outputs, axis=0))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = tf.reduce_sum(layer(inputs) * asked)
    jacobian = tape.gradient(loss, inputs).numpy().reshape(len(x), -1, *x.shape)
    return np.sqrt(np.sum(np.square(jacobian), axis=(1, 3)))  # over units and features
