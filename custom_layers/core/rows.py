"""An affine map of the last axis as one product of two matrices."""

from keras import ops

from custom_layers.core.protocols import Tensor


def affine_rows(x: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
    """x W + b for x (..., features) and W (features, units): all axes before the last are rows.

    `ops.matmul` and `ops.add` give the same numbers. On TensorFlow they transpose both factors first,
    into the order that they are in, where a size is not known before the call, and keep the sum of
    product and bias from being one operation.
    """
    rows = x if len(x.shape) == 2 else ops.reshape(x, (-1, matrix.shape[0]))
    y = ops.matmul(rows, matrix)
    if bias is not None:
        y = ops.add(y, bias)
    return y if len(x.shape) == 2 else ops.reshape(y, (*ops.shape(x)[:-1], matrix.shape[1]))
