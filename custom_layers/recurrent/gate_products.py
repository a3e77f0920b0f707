"""Products of an input or a state with the kernels of all gates, and their gradients."""

from typing import Any

from keras import ops

from custom_layers.core.protocols import Tensor


def multiply(x: Any, kernel: Tensor) -> Tensor:
    """Multiply `x` by the kernel. A list holds one `x` for each gate, dropped out by its own mask.

    Args:
        x: (..., features), or a list of `gates` such tensors.
        kernel: (features, gates x units).

    Returns:
        (..., gates x units).
    """
    if isinstance(x, (list, tuple)):
        kernels = ops.split(kernel, len(x), axis=-1)
        return ops.concatenate([multiply(g, k) for g, k in zip(x, kernels, strict=True)], axis=-1)
    if len(x.shape) == 2:
        return ops.matmul(x, kernel)
    return ops.tensordot(x, kernel, axes=1)  # one large product, where matmul makes one per step


def multiply_backward(d_product: Tensor, x: Any, kernel: Tensor) -> Any:
    """Gradient of `multiply` by `x`: d_product kernel^T, shaped like `x`, a list where `x` is one."""
    if isinstance(x, (list, tuple)):
        d_products, kernels = (ops.split(t, len(x), axis=-1) for t in (d_product, kernel))
        return [multiply_backward(*part) for part in zip(d_products, x, kernels, strict=True)]
    return ops.matmul(d_product, ops.transpose(kernel))


def kernel_gradient(d_product: Tensor, x: Any) -> Tensor:
    """Gradient of `multiply` by `kernel`: x^T d_product, summed over the batch, and over all steps.

    Args:
        d_product: (..., gates x units), the gradient by the product.
        x: (..., features), or a list of `gates` such tensors. Of all steps, it is one large product.

    Returns:
        (features, gates x units).
    """
    if isinstance(x, (list, tuple)):
        parts = zip(ops.split(d_product, len(x), axis=-1), x, strict=True)
        return ops.concatenate([kernel_gradient(*part) for part in parts], axis=-1)
    x, d_product = (ops.reshape(t, (-1, t.shape[-1])) for t in (x, d_product))
    return ops.matmul(ops.transpose(x), d_product)
