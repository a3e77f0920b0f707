r"""Batch normalization: bring each channel of a batch to mean 0 and variance 1.

In training, with the batch's own moments, which move those that inference will use:

    mu_B      = mean(x over all axes but that of the channels)           (1)
    sigma_B^2 = mean((x - mu_B)^2 over the same axes)                    (2)
    g         = gamma / sqrt(sigma_B^2 + epsilon)                        (3)
    y         = g x + (beta - g mu_B)                                    (4)
    mu       <- momentum * mu + (1 - momentum) * mu_B                    (5)
    sigma^2  <- momentum * sigma^2 + (1 - momentum) * sigma_B^2          (6)

In inference (3) has the moving mu and sigma^2 in place of the batch's. With a mask the means of (1)
and (2) are sums over the positions kept, divided by their number plus keras.config.epsilon(); all
positions are normalized. (4) is gamma (x - mu_B) / sigma_B + beta, in the order in which the built-in
computes it: on TensorFlow the outputs are its own, bit for bit.

Source: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1 for (1) to (4). Moving averages are in
its section 3.1, with the unbiased variance m / (m - 1) * sigma_B^2 in place of (6)'s.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
from keras import constraints, initializers, ops, regularizers

from custom_layers.core.initializer_copy import initializer_copy
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import compatible, require
from custom_layers.normalization.axes import along, at_least_float32, require_axes, sizes_along
from custom_layers.normalization.batch_renormalization import (
    Renormalization,
    corrected,
    renormalization,
    require_clipping,
)
from custom_layers.normalization.gain_and_bias import add_gain_and_bias, gain_and_bias_config
from custom_layers.normalization.mean_and_variance import mean_and_variance


class BatchMoments(NamedTuple):
    """Mean and variance by channel, each (channels,)."""

    mean: Tensor
    variance: Tensor


class BatchNormalizationStep(NamedTuple):
    """What follows from the moments."""

    gain: Tensor  # (channels,)
    bias: Tensor  # (channels,)
    y: Tensor  # the inputs' shape


def batch_moments(
    x: Tensor, axis: int, mask: Tensor | None = None, synchronized: bool = False
) -> BatchMoments:
    """Equations (1) and (2), over the positions that the mask (all axes of x but the last) keeps.

    `synchronized` takes the moments over all replicas, where there is no mask.
    """
    rank = len(x.shape)
    others = tuple(i for i in range(rank) if i != axis % rank)
    if mask is not None:
        kept = ops.expand_dims(ops.cast(mask, "bool"), -1)
        kept = ops.broadcast_to(kept, ops.shape(x))
        count = ops.sum(ops.cast(kept, x.dtype), axis=others) + keras.config.epsilon()
        nothing = ops.zeros_like(x)
        mean = ops.sum(ops.where(kept, x, nothing), axis=others) / count  # (1)
        centred = ops.where(kept, x - along(mean, x, [axis]), nothing)
        return BatchMoments(mean, ops.sum(ops.square(centred), axis=others) / count)  # (2)
    if synchronized:
        return BatchMoments(*ops.moments(x, axes=others, synchronized=True))
    mean, variance = mean_and_variance(x, others)  # (1), (2)
    return BatchMoments(*(ops.squeeze(moment, others) for moment in (mean, variance)))


def batch_normalization_step(
    x: Tensor,
    moments: BatchMoments,
    gamma: Tensor | None,
    beta: Tensor | None,
    axis: int,
    epsilon: float,
    correction: Renormalization | None = None,
) -> BatchNormalizationStep:
    """Equations (3) and (4); with a correction (3) of the module batch_renormalization."""
    gamma, beta = (
        None if weight is None else ops.cast(weight, x.dtype) for weight in (gamma, beta)
    )
    if correction is not None:
        gamma, beta = corrected(correction, gamma, beta)
    gain = ops.rsqrt(moments.variance + epsilon)
    gain = gain if gamma is None else gain * gamma  # (3)
    scaled = x * along(
        gain, x, [axis]
    )  # before the bias, so that gradients are summed as Keras does
    bias = -moments.mean * gain if beta is None else beta - moments.mean * gain
    return BatchNormalizationStep(gain, bias, y=scaled + along(bias, x, [axis]))  # (4)


@keras.saving.register_keras_serializable(package="custom_layers")
class BatchNormalization(keras.layers.Layer):
    """Normalize each channel over the batch in training, by moving averages in inference.

    Args:
        axis: int, the axis of the channels.
        momentum: float in [0, 1], what a moving average keeps of itself at a training step.
        epsilon: float >= 0, added to the variance, in its unit of measure.
        center, scale: whether beta and gamma exist.
        beta_initializer, gamma_initializer, beta_regularizer, gamma_regularizer, beta_constraint,
            gamma_constraint: of beta and gamma.
        moving_mean_initializer, moving_variance_initializer: of mu and sigma^2.
        renorm: whether training is corrected towards moving averages (batch renormalization).
        renorm_clipping: dict with `rmax`, `rmin`, `dmax`, each left out or None for no bound.
        renorm_momentum: momentum of the averages that `renorm` corrects towards.
        synchronized: whether the replicas of a tf.distribute strategy share their moments. On the
            TensorFlow backend alone. With a mask each replica has its own, as in the built-in.
    Call arguments:
        inputs: (batch, ..., channels), or with the channels at `axis`; numbers.
        training: True for the batch's moments, else the moving ones. A layer with
            `trainable=False` uses and keeps the moving ones in any case.
        mask: numbers or bool, True = count this position in the moments; all axes of the inputs
            but the last, each of their size or 1. Not used in inference.
    Returns: like `inputs`, in the layer's compute dtype.
    Weights: `gamma`, `beta`, trainable; `moving_mean`, `moving_variance`; with `renorm`
        `moving_stddev`, `renorm_mean`, `renorm_stddev`. Each is (channels,).
    Raises: ValueError when the axis does not exist or has an unknown size, the mask does not fit
        the inputs, bounds of `renorm_clipping` are unknown, contradict each other or come without
        `renorm`, or `synchronized` is wanted off TensorFlow; TypeError when `axis` is no integer.
    Source: Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1; Ioffe 2017, arXiv:1702.03275.
    Differs from keras.layers.BatchNormalization: `renorm_clipping` without `renorm` raises, where
        the built-in ignores it. A mask works with one channel on every backend. Without a mask
        second derivatives are exact; on TensorFlow the built-in's are not, since its variance
        takes the mean for a constant.
    Differs from the paper: (6) has the batch's variance without the factor m / (m - 1).
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Mapping[str, float | None] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        if not hasattr(axis, "__index__"):
            raise TypeError(
                "batch_normalization: `axis` must be an integer, that of the channels. "
                f"Received: axis={axis!r}. Use -1 for the last axis."
            )
        require(
            not synchronized or keras.backend.backend() == "tensorflow",
            "batch_normalization",
            "`synchronized` needs the TensorFlow backend",
            f"synchronized={synchronized}",
            "Leave it out, or set KERAS_BACKEND=tensorflow.",
        )
        require(
            bool(renorm) or not renorm_clipping,
            "batch_normalization",
            "`renorm_clipping` bounds what `renorm` corrects",
            f"renorm={renorm}, renorm_clipping={renorm_clipping}",
            "Set `renorm=True`, or leave the bounds out.",
        )
        if renorm:
            renorm_clipping = renorm_clipping or {}
            require_clipping(renorm_clipping, "batch_normalization")
        super().__init__(**kwargs)
        self.axis = int(axis)
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.renorm = renorm
        self.renorm_clipping = renorm_clipping
        self.renorm_momentum = renorm_momentum
        self.synchronized = synchronized
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        require_axes(self.axis, input_shape, "batch_normalization")
        shape = sizes_along([self.axis], input_shape, "batch_normalization")
        self.gamma, self.beta = add_gain_and_bias(self, shape, self.scale, self.center)

        def add_statistic(name: str, initializer: Any) -> Any:
            return self.add_weight(
                name=name, shape=shape, initializer=initializer, trainable=False, autocast=False
            )

        def deviation(shape: Shape, dtype: Any = None) -> Tensor:
            return ops.sqrt(initializer_copy(self.moving_variance_initializer)(shape, dtype=dtype))

        self.moving_mean = add_statistic("moving_mean", self.moving_mean_initializer)
        self.moving_variance = add_statistic("moving_variance", self.moving_variance_initializer)
        if self.renorm:
            self.moving_stddev = add_statistic("moving_stddev", deviation)
            self.renorm_mean = add_statistic(
                "renorm_mean", initializer_copy(self.moving_mean_initializer)
            )
            self.renorm_stddev = add_statistic("renorm_stddev", deviation)
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape), axes={self.axis: shape[0]})

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        if mask is not None:
            _require_mask(mask, inputs)
        x = at_least_float32(inputs)
        correction = None
        if training and self.trainable:
            moments = batch_moments(x, self.axis, mask, self.synchronized)
            if self.renorm:
                correction = self._renormalize(moments)
            else:
                _move(self.moving_mean, moments.mean, self.momentum)  # (5)
                _move(self.moving_variance, moments.variance, self.momentum)  # (6)
        else:
            statistics = self.moving_mean, self.moving_variance
            moments = BatchMoments(*(ops.cast(value, x.dtype) for value in statistics))
        step = batch_normalization_step(
            x, moments, self.gamma, self.beta, self.axis, self.epsilon, correction
        )
        return ops.cast(step.y, self.compute_dtype)

    def _renormalize(self, moments: BatchMoments) -> Renormalization:
        """The correction by the averages as they were, which then move, deviations in (6)."""
        dtype, deviation = moments.mean.dtype, ops.sqrt(moments.variance + self.epsilon)
        correction = renormalization(
            moments.mean,
            deviation,
            ops.cast(self.renorm_mean, dtype),
            ops.cast(self.renorm_stddev, dtype),
            self.epsilon,
            self.renorm_clipping or {},
        )
        _move(self.renorm_mean, moments.mean, self.renorm_momentum)
        _move(self.renorm_stddev, deviation, self.renorm_momentum)
        _move(self.moving_mean, moments.mean, self.momentum)
        moved = _move(self.moving_stddev, deviation, self.momentum)
        self.moving_variance.assign(ops.relu(ops.square(moved) - self.epsilon))
        return correction

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        require_axes(self.axis, input_shape, "batch_normalization")
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            **gain_and_bias_config(self),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "moving_mean_initializer": initializers.serialize(self.moving_mean_initializer),
            "moving_variance_initializer": initializers.serialize(self.moving_variance_initializer),
            "synchronized": self.synchronized,
            "renorm": self.renorm,
            "renorm_clipping": self.renorm_clipping,
            "renorm_momentum": self.renorm_momentum,
        }


def _move(average: Any, value: Tensor, momentum: float) -> Tensor:
    """Equation (5): let a moving average take a step towards the batch's value."""
    moved = ops.cast(average, value.dtype) * momentum + value * (1.0 - momentum)
    average.assign(moved)
    return moved


def _require_mask(mask: Tensor, inputs: Tensor) -> None:
    """All axes of the inputs but the last, each of their size or 1."""
    sizes = tuple(inputs.shape[:-1])
    broadcast = tuple(
        size if kept == 1 else kept for kept, size in zip(mask.shape, sizes, strict=False)
    )
    require(
        len(mask.shape) == len(sizes) and compatible(broadcast, sizes),
        "batch_normalization",
        f"`mask` must have the axes of `inputs` but the last, {sizes}, each of that size or 1",
        f"mask.shape={tuple(mask.shape)}, inputs.shape={tuple(inputs.shape)}",
        "Mark whole positions: one number for all their channels.",
    )
