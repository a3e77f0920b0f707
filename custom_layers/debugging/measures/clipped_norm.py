"""What clipping leaves of the gradients."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.debugging.measures.gradient_statistics import norm


def global_norm(gradients: Sequence[Tensor]) -> Tensor:
    """sqrt of the sum of squares over all gradients; 0 where there is none."""
    return norm(tf.stack([norm(g) for g in gradients])) if gradients else tf.constant(0.0)


def clipped_norm(gradients: Sequence[Any], optimizer: Any) -> Tensor | None:
    """Norm of all gradients together after the optimizer's own clipping.

    It is the optimizer itself that clips here: the gradient of an Embedding is a tf.IndexedSlices, a
    slice for each occurrence of a word, and Keras clips and measures the slices before it adds up those
    of one word. What it applies may be longer than the threshold, or shorter than need be.

    Args:
        gradients: tensors or tf.IndexedSlices, one for each weight that the loss reaches.
        optimizer: a keras.optimizers.Optimizer, with at most one of `clipnorm` (of each gradient),
            `global_clipnorm` (of all together) and `clipvalue` (of each entry).

    Returns: scalar; None of an optimizer that does not clip, and of one with
        `gradient_accumulation_steps`, which clips the mean of several steps' gradients.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
    thresholds = (optimizer.clipnorm, optimizer.global_clipnorm, optimizer.clipvalue)
    if optimizer.gradient_accumulation_steps or not any(c and c > 0 for c in thresholds):
        return None
    return global_norm([tf.convert_to_tensor(g) for g in optimizer._clip_gradients(gradients)])
