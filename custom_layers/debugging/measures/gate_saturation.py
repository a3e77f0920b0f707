"""Whether gates can still move: one that is all but open or shut passes its weights no gradient."""

import tensorflow as tf

from custom_layers.core.protocols import Tensor

MARGIN = 0.05  # a sigmoid's derivative is below a fifth of its largest there


def gate_saturation(
    value: Tensor, mask: Tensor | None = None, least: float = 0.0
) -> dict[str, Tensor]:
    """Share of a gate's entries that are within 0.05 of either end of its range.

    Args:
        value: the gate after its activation, (batch, steps, units).
        mask: bool (batch, steps), True where a step was taken; or None for all.
        least: the lower end, 0 of a sigmoid and -1 of a tanh. The upper end is 1.

    Returns:
        saturated_low, saturated_high: shares in [0, 1]; NaN where no step was taken.
    """
    value = tf.cast(value, "float32")
    taken = tf.ones_like(value) if mask is None else tf.cast(mask, "float32")[..., None]
    count = tf.reduce_sum(tf.broadcast_to(taken, tf.shape(value)))

    def share(inside: Tensor) -> Tensor:
        return tf.reduce_sum(tf.cast(inside, "float32") * taken) / count

    return {
        "saturated_low": share(value < least + MARGIN),
        "saturated_high": share(value > 1 - MARGIN),
    }
