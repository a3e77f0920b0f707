"""How far one training step moves a weight, by its own size."""

import tensorflow as tf

from custom_layers.core.protocols import Tensor


def update_ratio(before: Tensor, after: Tensor) -> Tensor:
    """|w_after - w_before| / |w_before|; about 1e-3 is usual, inf for a weight that was 0."""
    before, after = tf.cast(before, "float32"), tf.cast(after, "float32")
    return tf.norm(after - before) / tf.norm(before)
