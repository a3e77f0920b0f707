r"""Group normalization: bring each group of channels of each example to mean 0 and variance 1.

The C channels of an example are split into G groups of C / G neighbours. With S the positions of one
group, all other axes but the batch among them,

    mu      = mean(x over S)                       (1)
    sigma^2 = mean((x - mu)^2 over S)              (2)
    g       = gamma / sqrt(sigma^2 + epsilon)      (3)   gamma and beta by channel
    y       = g x + (beta - g mu)                  (4)   which is  gamma (x - mu) / sigma + beta

(4) is in the order in which the built-in computes it, as in layer_normalization.py.

G = 1 is layer normalization over all axes but the batch with a gain by channel, G = C is instance
normalization.

Source: Wu and He 2018, arXiv:1803.08494, section 3.1, equations (1), (2), (6) and (7).
"""

from typing import Any, NamedTuple

import keras
from keras import constraints, initializers, ops, regularizers

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require
from custom_layers.normalization.axes import (
    along,
    at_least_float32,
    require_axes,
    require_floating,
)
from custom_layers.normalization.gain_and_bias import add_gain_and_bias, gain_and_bias_config
from custom_layers.normalization.mean_and_variance import mean_and_variance


class GroupNormalizationStep(NamedTuple):
    """Every named quantity of one call, in float32 or better.

    A grouped tensor has the inputs' axes with (groups, channels / groups) in place of the channels.
    """

    mean: Tensor  # grouped, size 1 along all axes but the batch and the groups
    variance: Tensor  # likewise
    y: Tensor  # the inputs' shape


def group_normalization_step(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, groups: int, axis: int, epsilon: float
) -> GroupNormalizationStep:
    """Equations (1) to (4). Half precision is computed in float32, whose range the squares need."""
    x = at_least_float32(x)
    shape, channels_axis = ops.shape(x), axis % len(x.shape)
    group = (groups, x.shape[axis] // groups)
    grouped = ops.reshape(x, (*shape[:channels_axis], *group, *shape[channels_axis + 1 :]))
    axes = tuple(i for i in range(1, len(grouped.shape)) if i != channels_axis)  # S
    mean, variance = mean_and_variance(grouped, axes)  # (1), (2)
    channels = (channels_axis, channels_axis + 1)  # of `grouped`
    gain = ops.rsqrt(variance + epsilon)
    if gamma is not None:
        gain = gain * along(gamma, grouped, channels)  # (3)
    bias = -mean * gain if beta is None else -mean * gain + along(beta, grouped, channels)
    return GroupNormalizationStep(mean, variance, ops.reshape(grouped * gain + bias, shape))  # (4)


@keras.saving.register_keras_serializable(package="custom_layers")
class GroupNormalization(keras.layers.Layer):
    """Normalize each example by groups of channels, then scale and shift each channel.

    Args:
        groups: int >= 1 that divides the number of channels, or -1 for a group per channel.
        axis: int, the axis of the channels; any but the first, which is the batch.
        epsilon: float >= 0, added to the variance, in its unit of measure.
        center, scale: whether beta and gamma exist.
        beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint,
            gamma_constraint: of beta and gamma.
    Call arguments:
        inputs: (batch, ..., channels), or with the channels at `axis`; floating point.
    Returns: like `inputs`, in the layer's compute dtype.
    Weights: `gamma`, `beta`, each (channels,).
    Raises: ValueError when `groups` is neither -1 nor positive or does not divide the channels, or
        `axis` does not exist, is the batch or has an unknown size; TypeError when `axis` is no
        integer or the inputs are not floating point.
    Source: Wu and He 2018, arXiv:1803.08494, section 3.1.
    Differs from keras.layers.GroupNormalization: integer inputs raise, where the built-in rounds
        its results to integers; `axis` may not be the batch. Second derivatives are exact; on
        TensorFlow the built-in's are not, since its variance takes the mean for a constant. NumPy
        integers count as `groups`.
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        is_integer = hasattr(groups, "__index__") and not isinstance(groups, bool)
        require(
            is_integer and (groups >= 1 or groups == -1),
            "group_normalization",
            "the argument `groups` must be a positive integer, or -1 for a group per channel",
            f"groups={groups!r}",
            "Choose a divisor of the number of channels.",
        )
        if not hasattr(axis, "__index__"):
            raise TypeError(
                "group_normalization: `axis` must be an integer, that of the channels. "
                f"Received: axis={axis!r}. Use -1 for the last axis."
            )
        super().__init__(**kwargs)
        self.groups = int(groups)
        self.axis = int(axis)
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.supports_masking = True
        self.autocast = False

    def build(self, input_shape: Shape) -> None:
        channels = _channels(self.axis, input_shape)
        if self.groups == -1:
            self.groups = channels
        received = f"groups={self.groups}, inputs.shape={tuple(input_shape)}"
        way_out = "Choose a divisor of the number of channels, or -1 for a group per channel."
        require(
            self.groups <= channels,
            "group_normalization",
            f"`groups` cannot be more than the number of channels ({channels})",
            received,
            way_out,
        )
        require(
            channels % self.groups == 0,
            "group_normalization",
            f"`groups` must divide the number of channels ({channels}): groups are of one size",
            received,
            way_out,
        )
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={self.axis: channels})
        self.gamma, self.beta = add_gain_and_bias(self, (channels,), self.scale, self.center)

    def call(self, inputs: Tensor) -> Tensor:
        require_floating(inputs, "group_normalization")
        step = group_normalization_step(
            inputs, self.gamma, self.beta, self.groups, self.axis, self.epsilon
        )
        return ops.cast(step.y, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        require_axes(self.axis, input_shape, "group_normalization")
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **gain_and_bias_config(self),
            "groups": self.groups,
            "axis": self.axis,
            "epsilon": self.epsilon,
        }


def _channels(axis: int, input_shape: Shape) -> int:
    """The size of the axis of the channels; ValueError for the batch and for an unknown size."""
    require_axes(axis, input_shape, "group_normalization")
    channels, received = input_shape[axis], f"axis={axis}, inputs.shape={tuple(input_shape)}"
    require(
        axis % len(input_shape) != 0,
        "group_normalization",
        "`axis` must not be the first one, the batch",
        received,
        "Name the axis of the channels.",
    )
    if channels is None:
        raise ValueError(
            f"group_normalization: Axis {axis} of the input tensor should have a defined dimension "
            f"but the layer received an input with shape {tuple(input_shape)}. "
            f"Received: {received}. Give the size to `keras.Input`."
        )
    return channels
