r"""RMS normalization: divide the entries of each example by their root mean square.

    ms    = mean(x^2 over the axes)      (1)
    x_hat = x / sqrt(ms + epsilon)       (2)
    y     = scale * x_hat                (3)

The mean stays in: an x of mean 0 is treated as by layer normalization without its bias.

Source: Zhang and Sennrich 2019, arXiv:1910.07467, section 3, equation (4); `scale` is the paper's g;
epsilon is an addition of its implementations.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.normalization.axes import (
    along,
    at_least_float32,
    require_axes,
    require_floating,
    sizes_along,
)


class RMSNormalizationStep(NamedTuple):
    """Every named quantity of one call, in float32 or better."""

    mean_square: Tensor  # the inputs' shape with size 1 along the axes
    x_hat: Tensor  # the inputs' shape
    y: Tensor  # the inputs' shape


def rms_normalization_step(
    x: Tensor, scale: Tensor, axis: Sequence[int], epsilon: float
) -> RMSNormalizationStep:
    """Equations (1) to (3). Half precision is computed in float32, whose range the squares need."""
    x = at_least_float32(x)
    mean_square = ops.mean(ops.square(x), axis=tuple(axis), keepdims=True)  # (1)
    x_hat = x * ops.rsqrt(mean_square + epsilon)  # (2)
    return RMSNormalizationStep(mean_square, x_hat, y=x_hat * along(scale, x, axis))  # (3)


@keras.saving.register_keras_serializable(package="custom_layers")
class RMSNormalization(keras.layers.Layer):
    """Divide each example by its root mean square over the feature axes, then scale.

    Args:
        axis: the axis or axes that are normalized together; the others are kept apart.
        epsilon: float >= 0, added to the mean square, in its unit of measure.
    Call arguments:
        inputs: floating point, any rank that has the axes.
    Returns: like `inputs`. A mask is not handed on, as the built-in hands none on.
    Weights: `scale`, one entry for each position along the normalized axes, at first 1.
    Raises: ValueError when an axis does not exist, is named twice or has an unknown size; TypeError
        when `axis` is no integer or the inputs are not floating point.
    Source: Zhang and Sennrich 2019, arXiv:1910.07467, section 3.
    Differs from keras.layers.RMSNormalization: `scale` lies along `axis`, where the built-in
        multiplies the last axes by it whatever `axis` says (an error, or with equal sizes a wrong
        result; on Torch it also normalizes the last axes then). Integer inputs raise, where the
        built-in rounds its results to integers.
    """

    def __init__(
        self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(axis, (int, list, tuple)):
            raise TypeError(
                "rms_normalization: `axis` must be an integer or a list of them. "
                f"Received: axis={axis!r}. Use -1 for the last axis."
            )
        self.axis = axis if isinstance(axis, int) else list(axis)
        self.epsilon = epsilon

    def build(self, input_shape: Shape) -> None:
        require_axes(self.axis, input_shape, "rms_normalization")
        self.axis = [self.axis] if isinstance(self.axis, int) else sorted(self.axis)
        shape = sizes_along(self.axis, input_shape, "rms_normalization")
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones")

    def call(self, inputs: Tensor) -> Tensor:
        require_floating(inputs, "rms_normalization")
        axes = [self.axis] if isinstance(self.axis, int) else self.axis
        step = rms_normalization_step(inputs, self.scale, axes, self.epsilon)
        return ops.cast(step.y, inputs.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        require_axes(self.axis, input_shape, "rms_normalization")
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "axis": self.axis, "epsilon": self.epsilon}
