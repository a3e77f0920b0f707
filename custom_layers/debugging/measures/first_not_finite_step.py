"""When a NaN or inf first appeared in a sequence."""

import tensorflow as tf

from custom_layers.core.protocols import Tensor


def first_not_finite_step(
    value: Tensor, mask: Tensor | None = None, backwards: bool = False
) -> Tensor:
    """The first time step, in the order of computation, that holds a NaN or inf; NaN if none does.

    Args:
        value: (batch, steps, units).
        mask: bool (batch, steps), True where a step was taken; or None for all.
        backwards: whether the last step was taken first.
    """
    bad = tf.reduce_any(~tf.math.is_finite(tf.cast(value, "float32")), axis=-1)  # (batch, steps)
    bad = tf.reduce_any(bad if mask is None else bad & mask, axis=0)
    steps = tf.range(tf.size(bad), dtype="float32")
    found = tf.boolean_mask(steps, bad)
    first = tf.reduce_max(found) if backwards else tf.reduce_min(found)
    return tf.where(tf.reduce_any(bad), first, float("nan"))
