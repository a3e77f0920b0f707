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
    entries = tf.cast(tf.reshape(tf.convert_to_tensor(gradient), [-1]), "float32")
    return {
        "norm": tf.norm(entries),
        "mean": tf.reduce_mean(entries),
        "largest": tf.reduce_max(tf.abs(entries)),
        "zeros": tf.reduce_mean(tf.cast(entries == 0, "float32")),
        "not_finite": 1 - tf.reduce_mean(tf.cast(tf.math.is_finite(entries), "float32")),
    }
