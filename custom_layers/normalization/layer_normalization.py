r"""Layer normalization: bring the entries of each example to mean 0 and variance 1.

    mu      = mean(x over the axes)                (1)
    sigma^2 = mean((x - mu)^2 over the axes)       (2)
    g       = gamma / sqrt(sigma^2 + epsilon)      (3)
    y       = g x + (beta - g mu)                  (4)  which is  gamma (x - mu) / sigma + beta

With the deprecated `rms_scaling`:  y = gamma * x / sqrt(sigma^2 + epsilon)   (5)

(4) is one gain and one bias for each example, in the order in which the built-in computes them: on
TensorFlow outputs and gradients are its own, bit for bit, and models that start alike stay alike.

Source: Ba et al. 2016, arXiv:1607.06450, section 3, equation (3); gain and bias are section 3.1,
equation (4); epsilon is an addition of its implementations.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import constraints, initializers, ops, regularizers

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.normalization.axes import (
    along,
    at_least_float32,
    require_axes,
    require_floating,
    sizes_along,
)
from custom_layers.normalization.gain_and_bias import (
    add_gain_and_bias,
    gain_and_bias,
    gain_and_bias_config,
)
from custom_layers.normalization.mean_and_variance import mean_and_variance


class NormalizationStep(NamedTuple):
    """Every named quantity of one call, in float32 or better."""

    mean: Tensor  # the inputs' shape with size 1 along the axes
    variance: Tensor  # likewise
    y: Tensor  # the inputs' shape


def normalization_step(
    x: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    axis: Sequence[int],
    epsilon: float,
    rms_scaling: bool = False,
) -> NormalizationStep:
    """Equations (1) to (5). Half precision is computed in float32, whose range the squares need."""
    x, axes = at_least_float32(x), tuple(axis)
    mean, variance = mean_and_variance(x, axes)  # (1), (2)
    inverse_deviation = ops.rsqrt(variance + epsilon)
    if rms_scaling:
        return NormalizationStep(
            mean, variance, gain_and_bias(x * inverse_deviation, gamma, None, axis)
        )
    gain = inverse_deviation if gamma is None else inverse_deviation * along(gamma, x, axis)  # (3)
    bias = -mean * gain if beta is None else -mean * gain + along(beta, x, axis)
    return NormalizationStep(mean, variance, x * gain + bias)  # (4)


@keras.saving.register_keras_serializable(package="custom_layers")
class LayerNormalization(keras.layers.Layer):
    """Normalize each example over its feature axes, then scale and shift.

    Args:
        axis: the axis or axes that are normalized together; the others are kept apart.
        epsilon: float >= 0, added to the variance, in its unit of measure.
        center, scale: whether beta and gamma exist.
        beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint,
            gamma_constraint: of beta and gamma.
        rms_scaling: deprecated; divides by the deviation without subtracting the mean.
    Call arguments:
        inputs: floating point, any rank that has the axes.
    Returns: like `inputs`, in the layer's compute dtype.
    Weights: `gamma`, `beta`, one entry for each position along the normalized axes.
    Raises: ValueError when an axis does not exist, is named twice or has an unknown size; TypeError
        when `axis` is no integer or the inputs are not floating point.
    Source: Ba et al. 2016, arXiv:1607.06450, section 3.
    Differs from keras.layers.LayerNormalization: integer inputs raise, where the built-in rounds
        its results to integers. Second derivatives are exact; on TensorFlow the built-in's are not,
        since its variance takes the mean for a constant. On Torch the built-in computes float64 in
        float32 and refuses a middle axis; we do neither.
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
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
        rms_scaling = kwargs.pop("rms_scaling", False)
        if rms_scaling:
            warnings.warn(
                "layer_normalization: `rms_scaling=True` is deprecated; it divides by the standard "
                "deviation, not by the root mean square. Use RMSNormalization.",
                stacklevel=2,
            )
        super().__init__(**kwargs)
        if not isinstance(axis, (int, list, tuple)):
            raise TypeError(
                "layer_normalization: Expected an int or a list/tuple of ints for the argument "
                f"'axis'. Received: axis={axis!r}. Use -1 for the last axis."
            )
        self.axis = axis if isinstance(axis, int) else list(axis)
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.rms_scaling = rms_scaling
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.supports_masking = True
        self.autocast = False

    def build(self, input_shape: Shape) -> None:
        require_axes(self.axis, input_shape, "layer_normalization")
        self.axis = [self.axis] if isinstance(self.axis, int) else sorted(self.axis)
        self.gamma, self.beta = add_gain_and_bias(
            self,
            sizes_along(self.axis, input_shape, "layer_normalization"),
            scale=self.scale or self.rms_scaling,
            center=self.center and not self.rms_scaling,
        )

    def call(self, inputs: Tensor) -> Tensor:
        require_floating(inputs, "layer_normalization")
        axes = [self.axis] if isinstance(self.axis, int) else self.axis
        step = normalization_step(
            inputs, self.gamma, self.beta, axes, self.epsilon, self.rms_scaling
        )
        return ops.cast(step.y, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        require_axes(self.axis, input_shape, "layer_normalization")
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **gain_and_bias_config(self),
            "axis": self.axis,
            "epsilon": self.epsilon,
            "rms_scaling": self.rms_scaling,
        }
