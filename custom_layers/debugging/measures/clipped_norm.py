"""What clipping leaves of the gradients."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.debugging.measures.gradient_statistics import norm


def global_norm(gradients: Sequence[Tensor]) -> Tensor:
    """sqrt of the sum of squares over all gradients; 0 where there is none."""
    return norm(tf.stack([norm(g) for g in gradients])) if gradients else tf.constant(0.0)


def clipped_norm(gradients: Sequence[Tensor], optimizer: Any) -> Tensor | None:
    """Norm of all gradients together after the optimizer's own clipping; None if it does not clip.

    Args:
        gradients: tensors, one for each weight.
        optimizer: a keras.optimizers.Optimizer, with at most one of `clipnorm` (of each gradient),
            `global_clipnorm` (of all together) and `clipvalue` (of each entry).
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
    if optimizer.clipnorm:
        return norm(tf.stack([tf.minimum(norm(g), optimizer.clipnorm) for g in gradients]))
    if optimizer.global_clipnorm:
        return tf.minimum(global_norm(gradients), optimizer.global_clipnorm)
    if optimizer.clipvalue:
        bound = optimizer.clipvalue
        return global_norm([tf.clip_by_value(g, -bound, bound) for g in gradients])
    return None
