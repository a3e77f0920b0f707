r"""Dropout: zero each entry with probability p in training, scale the others up.

    m ~ Bernoulli(1 - p), drawn independently for each entry   (1)
    y = m * x / (1 - p)                                        (2)

The scale keeps the expectation of y equal to x, so nothing is done outside training.
Source: Srivastava et al. 2014, Journal of Machine Learning Research 15, section 4; scaling in
training rather than in use ("inverted" dropout) is section 10.
"""

from collections.abc import Sequence
from typing import Any

import keras

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require

NoiseShape = tuple[int | None, ...]


def dropout(x: Tensor, rate: float, noise_shape: NoiseShape | None, seed: Any) -> Tensor:
    """Equations (1) and (2). One m is shared along each axis whose size in `noise_shape` is 1.

    Draws exactly as the built-in does, so that equal seeds give equal masks, bit for bit.
    """
    return keras.random.dropout(x, rate, noise_shape=noise_shape, seed=seed)


@keras.saving.register_keras_serializable(package="custom_layers")
class Dropout(keras.layers.Layer):
    """Zero a random share of the entries in training; pass everything through otherwise.

    Args:
        rate: p, a probability in [0, 1].
        noise_shape: shape of m, as long as the inputs' shape: None means the inputs' own size, 1
            means one draw for the whole axis. None draws for each entry.
        seed: int, seed of the draws. None takes one from Python's generator.
    Call arguments:
        inputs: floating point, any shape.
        training: whether to drop.
    Returns: like `inputs`.
    Raises: ValueError when `rate` or `noise_shape` cannot be, or does not fit the inputs; TypeError
        when integers would have to be scaled.
    Source: Srivastava et al. 2014, section 4.
    Differs from keras.layers.Dropout: a `noise_shape` that does not fit and integer inputs in
        training are named in one line, where the built-in fails inside the framework.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require(
            isinstance(rate, (int, float)) and 0 <= rate <= 1,
            "dropout",
            "Invalid value received for argument `rate`. Expected a float value between 0 and 1",
            f"rate={rate!r}",
            "It is the share of entries that is dropped.",
        )
        self.rate = rate
        self.seed = seed
        self.noise_shape = _checked_noise_shape(noise_shape)
        if rate > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        if type(self).build is keras.layers.Layer.build:
            self.built = True  # nothing to build, unless a subclass says so

    def call(self, inputs: Tensor, training: bool | None = False) -> Tensor:
        if not training or self.rate == 0:
            return inputs
        self._check_fit(inputs)
        return dropout(inputs, self.rate, self.noise_shape, self.seed_generator)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rate": self.rate,
            "seed": self.seed,
            "noise_shape": self.noise_shape,
        }

    def _check_fit(self, inputs: Tensor) -> None:
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if not keras.backend.is_float_dtype(dtype):
            raise TypeError(
                f"dropout: `inputs` must be floating point. Received: inputs.dtype={dtype}. "
                "Cast them first: what is kept is divided by 1 - rate."
            )
        if self.noise_shape is None:
            return
        shape = tuple(inputs.shape)
        fits = len(shape) == len(self.noise_shape) and all(
            noise in (None, 1) or size is None or noise == size
            for noise, size in zip(self.noise_shape, shape, strict=True)
        )
        require(
            fits,
            "dropout",
            f"`noise_shape` must fit inputs of shape {shape}, each size None, 1 or the same",
            f"noise_shape={self.noise_shape}",
            "Use 1 along the axes that share one draw and None elsewhere.",
        )


def _checked_noise_shape(noise_shape: Any) -> NoiseShape | None:
    if noise_shape is None:
        return None
    invalid = "Invalid value received for argument `noise_shape`. "
    if isinstance(noise_shape, str) or not hasattr(noise_shape, "__iter__"):
        raise ValueError(
            f"dropout: {invalid}Expected a tuple or list of integers. "
            f"Received: noise_shape={noise_shape!r}. Write it as (None, 1, None)."
        )
    sizes = tuple(noise_shape)
    for index, size in enumerate(sizes):
        if size is not None and not isinstance(size, int):
            raise ValueError(
                f"dropout: {invalid}Expected all elements to be integers or None. "
                f"Received: noise_shape[{index}]={size!r}. Write it as (None, 1, None)."
            )
        if size is not None and size <= 0:
            raise ValueError(
                f"dropout: {invalid}Expected all dimensions to be positive integers or None. "
                f"Received: noise_shape[{index}]={size}. Write it as (None, 1, None)."
            )
    return sizes
