"""The gradient's norm at each time step: in the order of time, or counted back from the last step."""

import tensorflow as tf

from custom_layers.core.protocols import Tensor


def norms_by_step(gradient: Tensor, axis: int | None = 1) -> Tensor:
    """|dL/dq_t| over all other axes, one for each step: (steps,); without steps one for all: ().

    Args:
        gradient: (batch, steps, units), or whatever has its steps on `axis`.
        axis: None if no axis is time.
    """
    gradient = tf.cast(gradient, "float64")  # where the square of 1e-25 is not 0
    rank = len(gradient.shape)
    steps = None if axis is None else axis % rank
    others = [other for other in range(rank) if other != steps]
    return tf.sqrt(tf.reduce_sum(tf.square(gradient), axis=others))


def norms_by_steps_back(
    gradient: Tensor, mask: Tensor | None = None, backwards: bool = False
) -> Tensor:
    """|dL/dq| at the last step that each sequence took, the one before it, and so on: (steps,).

    Sequences of unequal length are laid over each other at their ends, where backpropagation begins.

    Args:
        gradient: total derivatives (batch, steps, units).
        mask: bool (batch, steps), True where a step was taken; or None for all.
        backwards: whether the layer took the last step first.
    """
    gradient = tf.cast(gradient, "float64")
    squares = tf.reduce_sum(tf.square(gradient), axis=-1)  # (batch, steps)
    if mask is None:
        mask = tf.ones(tf.shape(squares), "bool")
    if not backwards:
        squares, mask = tf.reverse(squares, [1]), tf.reverse(mask, [1])
    taken = tf.cast(mask, "int32")
    back = tf.cumsum(taken, axis=1) - 1  # of each step taken: how many were taken after it
    steps = tf.shape(squares)[1]
    places = tf.where(mask, back, steps)  # a step that was not taken falls off the end
    sums = tf.math.unsorted_segment_sum(
        tf.reshape(squares, [-1]), tf.reshape(places, [-1]), steps + 1
    )
    return tf.sqrt(sums[:steps])
