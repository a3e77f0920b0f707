"""How much of the gradient is left when it has travelled back through time."""

import tensorflow as tf

from custom_layers.core.protocols import Tensor


def vanishing_ratio(
    gradient: Tensor, mask: Tensor | None = None, backwards: bool = False
) -> Tensor:
    """|dL/dh_1| / |dL/dh_T|, the first and the last step that each sequence took.

    Args:
        gradient: total derivatives (batch, steps, units).
        mask: bool (batch, steps), True where a step was taken; or None for all.
        backwards: whether the layer took the last step first.

    Returns:
        A scalar: the norms are over batch and units. Far below 1 the gradient vanishes, far above it
        explodes. inf where the last steps have no gradient and the first ones do, NaN where neither has.
    """
    gradient = tf.cast(gradient, "float64")
    if mask is None:
        mask = tf.ones(tf.shape(gradient)[:2], "bool")
    taken = tf.cast(mask, "int32")
    first = tf.argmax(taken, axis=1)
    last = tf.cast(tf.shape(taken)[1] - 1, "int64") - tf.argmax(tf.reverse(taken, [1]), axis=1)
    any_step = tf.cast(tf.reduce_any(mask, axis=1), "float64")[:, None]

    def norm_at(step: Tensor) -> Tensor:
        return tf.norm(tf.gather(gradient, step, batch_dims=1) * any_step)

    return norm_at(last) / norm_at(first) if backwards else norm_at(first) / norm_at(last)
