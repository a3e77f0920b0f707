"""Statistics of one gradient, the same for a weight's and for an intermediate quantity's."""

import tensorflow as tf

from custom_layers.core.protocols import Tensor


def gradient_statistics(gradient: Tensor) -> dict[str, Tensor]:
    """Scalars that describe a gradient of any shape; NaN and inf are counted, and never dropped.

    Returns:
        norm: sqrt of the sum of squares. mean: of the entries. largest: the largest absolute entry.
        zeros: share of entries that are exactly 0, in [0, 1]. not_finite: share that are NaN or inf.
        All float32; the first three are NaN or inf where an entry is.
    """
    entries = tf.cast(tf.reshape(gradient, [-1]), "float32")
    return {
        "norm": norm(entries),
        "mean": tf.reduce_mean(entries),
        "largest": tf.maximum(tf.reduce_max(entries), -tf.reduce_min(entries)),
        "zeros": 1 - share(entries != 0),
        "not_finite": share_not_finite(entries),
    }


def norm(tensor: Tensor) -> Tensor:
    """sqrt of the sum of squares, in float32, in one pass over the entries."""
    return tf.sqrt(2 * tf.nn.l2_loss(tf.cast(tensor, "float32")))


def share_not_finite(tensor: Tensor) -> Tensor:
    """Share of entries that are NaN or inf. Where their sum of squares is finite, all of them are."""
    return tf.cond(
        tf.math.is_finite(norm(tensor)),
        lambda: tf.constant(0.0),
        lambda: 1 - share(tf.math.is_finite(tf.cast(tensor, "float32"))),
    )


def share(condition: Tensor) -> Tensor:
    """Share of entries that are True, float32 in [0, 1]."""
    return tf.reduce_mean(tf.cast(condition, "float32"))
