r"""Layer normalization: bring the entries of each example to mean 0 and variance 1.

    mu      = mean(x over the axes)                (1)
    sigma^2 = mean((x - mu)^2 over the axes)       (2)
    x_hat   = (x - mu) / sqrt(sigma^2 + epsilon)   (3)
    y       = gamma * x_hat + beta                 (4)

With the deprecated `rms_scaling`:  y = gamma * x / sqrt(sigma^2 + epsilon)   (5)

Source: Ba et al. 2016, arXiv:1607.06450, section 3, equation (3); gain and bias are section 3.1,
equation (4); epsilon is an addition of its implementations.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import constraints, initializers, ops, regularizers

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require


class NormalizationStep(NamedTuple):
    """Every named quantity of one call, in float32 or better."""

    mean: Tensor  # the inputs' shape with size 1 along the axes
    variance: Tensor  # likewise
    x_hat: Tensor  # the inputs' shape
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
    if keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16"):
        x = ops.cast(x, "float32")
    along = tuple(axis)
    mean = ops.mean(x, axis=along, keepdims=True)  # (1)
    centred = x - mean
    variance = ops.mean(ops.square(centred), axis=along, keepdims=True)  # (2)
    inverse_deviation = ops.rsqrt(variance + epsilon)
    x_hat = (x if rms_scaling else centred) * inverse_deviation  # (3)
    y = x_hat
    if gamma is not None:
        y = y * _along(gamma, x, axis)
    if beta is not None:
        y = y + _along(beta, x, axis)  # (4), or (5)
    return NormalizationStep(mean, variance, x_hat, y)


def _along(weight: Tensor, x: Tensor, axis: Sequence[int]) -> Tensor:
    """`weight` (one size per normalized axis), reshaped so that it broadcasts against x."""
    shape = [1] * len(x.shape)
    for dimension in axis:
        shape[dimension] = x.shape[dimension]
    return ops.reshape(ops.cast(weight, x.dtype), shape)


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
                "deviation, not by the root mean square. Use keras.layers.RMSNormalization.",
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
        self._check_axes(input_shape)
        self.axis = [self.axis] if isinstance(self.axis, int) else sorted(self.axis)
        shape = tuple(input_shape[dimension] for dimension in self.axis)
        require(
            None not in shape,
            "layer_normalization",
            "the normalized axes must have known sizes",
            f"inputs.shape={tuple(input_shape)}, axis={self.axis}",
            "Give the sizes to `keras.Input`, or normalize other axes.",
        )
        self.gamma = self.beta = None
        if self.scale or self.rms_scaling:
            self.gamma = self.add_weight(
                name="gamma",
                shape=shape,
                initializer=self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                autocast=False,
            )
        if self.center and not self.rms_scaling:
            self.beta = self.add_weight(
                name="beta",
                shape=shape,
                initializer=self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                autocast=False,
            )

    def call(self, inputs: Tensor) -> Tensor:
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if not keras.backend.is_float_dtype(dtype):
            raise TypeError(
                "layer_normalization: `inputs` must be floating point. "
                f"Received: inputs.dtype={dtype}. Cast them first."
            )
        axes = [self.axis] if isinstance(self.axis, int) else self.axis
        step = normalization_step(
            inputs, self.gamma, self.beta, axes, self.epsilon, self.rms_scaling
        )
        return ops.cast(step.y, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self._check_axes(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self.axis,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "rms_scaling": self.rms_scaling,
            "beta_initializer": initializers.serialize(self.beta_initializer),
            "gamma_initializer": initializers.serialize(self.gamma_initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "gamma_regularizer": regularizers.serialize(self.gamma_regularizer),
            "beta_constraint": constraints.serialize(self.beta_constraint),
            "gamma_constraint": constraints.serialize(self.gamma_constraint),
        }

    def _check_axes(self, input_shape: Shape) -> None:
        rank = len(input_shape)
        axes = [self.axis] if isinstance(self.axis, int) else list(self.axis)
        exist = all(-rank <= axis < rank for axis in axes)
        require(
            exist and len({axis % rank for axis in axes}) == len(axes),
            "layer_normalization",
            f"Axis {self.axis} is out of bounds for inputs of rank {rank}, or names an axis twice"
            if exist
            else f"Axis {self.axis} is out of bounds for inputs of rank {rank}",
            f"inputs.shape={tuple(input_shape)}",
            f"Choose each axis once, from {-rank} to {rank - 1}.",
        )
