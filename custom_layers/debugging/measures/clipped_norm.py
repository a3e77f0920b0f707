"""What clipping leaves of the gradients."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.debugging.measures.gradient_statistics import norm


def global_norm(gradients: Sequence[Tensor]) -> Tensor:
    """sqrt of the sum of squares over all gradients; 0 where there is none."""
    return norm(tf.stack([norm(g) for g in gradients])) if gradients else tf.constant(0.0)


def entry_wise(function: Callable[[Tensor], Tensor], gradient: Any) -> Any:
    """The function of each entry; of a tf.IndexedSlices, of each of its slices' entries."""
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(function(gradient.values), gradient.indices, gradient.dense_shape)
    return function(gradient)


def clipped_norm(gradients: Sequence[Any], optimizer: Any) -> Tensor | None:
    """Norm of all gradients together after the optimizer's own clipping; None if it does not clip.

    The gradient of an Embedding is a tf.IndexedSlices, a slice for each occurrence of a word. Keras
    clips these before those of one word are added up, so that what is applied may be longer than the
    threshold; and so does this.

    Args:
        gradients: tensors or tf.IndexedSlices, one for each weight.
        optimizer: a keras.optimizers.Optimizer, with at most one of `clipnorm` (of each gradient),
            `global_clipnorm` (of all together) and `clipvalue` (of each entry).
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of a LossScaleOptimizer
    dense = [tf.convert_to_tensor(g) for g in gradients]
    norms = [norm(g.values if isinstance(g, tf.IndexedSlices) else g) for g in gradients]
    if c := optimizer.clipnorm:
        return norm(
            tf.stack(
                [norm(g) * tf.minimum(1.0, c / own) for g, own in zip(dense, norms, strict=True)]
            )
        )
    if c := optimizer.global_clipnorm:
        return global_norm(dense) * tf.minimum(1.0, c / norm(tf.stack(norms)))
    if c := optimizer.clipvalue:
        clipped = [entry_wise(lambda g: tf.clip_by_value(g, -c, c), g) for g in gradients]
        return global_norm([tf.convert_to_tensor(g) for g in clipped])
    return None
