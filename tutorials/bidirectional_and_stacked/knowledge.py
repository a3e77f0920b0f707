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
    inputs = tf.constant(x[None])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(inputs)
        outputs = layer(inputs)
    jacobian = tape.jacobian(outputs, inputs, experimental_use_pfor=False)[0, :, :, 0]
    return np.sqrt(
        np.sum(np.square(jacobian.numpy()), axis=(1, 3))
    )  # (steps, units, steps, features)
