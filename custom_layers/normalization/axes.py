"""The axes of a normalization: which there are, their sizes, and weights laid along them."""

from collections.abc import Sequence

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require


def require_axes(axis: int | Sequence[int], input_shape: Shape, owner: str) -> None:
    """Raise ValueError unless every axis exists and none is named twice."""
    rank = len(input_shape)
    axes = [axis] if isinstance(axis, int) else list(axis)
    exist = all(-rank <= dimension < rank for dimension in axes)
    require(
        exist and len({dimension % rank for dimension in axes}) == len(axes),
        owner,
        f"Axis {axis} is out of bounds for inputs of rank {rank}, or names an axis twice"
        if exist
        else f"Axis {axis} is out of bounds for inputs of rank {rank}",
        f"inputs.shape={tuple(input_shape)}",
        f"Choose each axis once, from {-rank} to {rank - 1}.",
    )


def sizes_along(axes: Sequence[int], input_shape: Shape, owner: str) -> tuple[int, ...]:
    """The inputs' sizes along the axes, which become those of a weight; ValueError for None."""
    shape = tuple(input_shape[dimension] for dimension in axes)
    require(
        None not in shape,
        owner,
        "the normalized axes must have known sizes",
        f"inputs.shape={tuple(input_shape)}, axis={axes}",
        "Give the sizes to `keras.Input`, or normalize other axes.",
    )
    return tuple(size for size in shape if size is not None)


def along(weight: Tensor, x: Tensor, axis: Sequence[int]) -> Tensor:
    """`weight` (one size per normalized axis), reshaped so that it broadcasts against x."""
    shape = [1] * len(x.shape)
    for dimension in axis:
        shape[dimension] = x.shape[dimension]
    return ops.reshape(ops.cast(weight, x.dtype), shape)


def at_least_float32(x: Tensor) -> Tensor:
    """Half precision and integers in float32, whose range the squares need; others as they are."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    wide = keras.backend.is_float_dtype(dtype) and dtype not in ("float16", "bfloat16")
    return x if wide else ops.cast(x, "float32")


def require_floating(inputs: Tensor, owner: str) -> None:
    """Raise TypeError for integers, to which a normalized value would be rounded."""
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise TypeError(
            f"{owner}: `inputs` must be floating point. "
            f"Received: inputs.dtype={dtype}. Cast them first."
        )
