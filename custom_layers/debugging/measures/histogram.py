"""How a tensor's entries are spread, in the form that TensorBoard draws."""

import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.debugging.measures.gradient_statistics import norm

BUCKETS = 30
SAMPLE = 50_000  # a picture needs no more; of a larger tensor entries are taken at equal distances


def histogram(values: Tensor) -> Tensor:
    """How many finite entries fall into 30 buckets of equal width: (30, 3), rows of left, right, count.

    Of more than 50,000 entries every second, third, ... is counted, for as many as it stands for.
    """
    entries = tf.cast(tf.reshape(values, [-1]), "float32")
    stride = 1 + tf.size(entries) // SAMPLE
    entries = entries[::stride]
    entries = tf.cond(
        tf.math.is_finite(norm(entries)),
        lambda: entries,
        lambda: tf.boolean_mask(entries, tf.math.is_finite(entries)),
    )
    least, largest = tf.reduce_min(entries), tf.reduce_max(entries)
    least = tf.where(largest >= least, least, 0.0)  # without any entry least is inf, largest -inf
    largest = tf.where(largest >= least, largest, 0.0)
    widened = tf.where(largest > least, 0.0, 0.5)  # all entries alike: one bucket around them
    least, largest = least - widened, largest + widened
    counts = tf.histogram_fixed_width(entries, [least, largest], BUCKETS, dtype="int32")
    edges = least + (largest - least) * tf.range(BUCKETS + 1, dtype="float32") / BUCKETS
    return tf.stack([edges[:-1], edges[1:], tf.cast(stride * counts, "float32")], axis=-1)
