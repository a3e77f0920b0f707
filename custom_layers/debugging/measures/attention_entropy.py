"""How widely attention looks: at one key, or at all of them alike."""

import tensorflow as tf

from custom_layers.core.protocols import Tensor


def attention_entropy(weights: Tensor) -> Tensor:
    """Mean of -sum_k w_k log w_k over batch, heads and queries, in nats.

    0 where each query looks at one key; log(key_steps) where it looks at all alike. Rows without any
    attended key count as 0.

    Args:
        weights: attention weights (..., query_steps, key_steps), rows that sum to 1.
    """
    weights = tf.cast(weights, "float32")
    return tf.reduce_mean(-tf.reduce_sum(tf.math.xlogy(weights, weights), axis=-1))
