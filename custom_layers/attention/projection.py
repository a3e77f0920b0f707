r"""The affine maps of attention over heads: into the heads, and out of them.

    y_{b t h d} = sum_f x_{b t f} W_{f h d} + B_{h d}         (1)  into heads, one axis is summed
    y_{b t o}   = sum_{h d} x_{b t h d} W_{h d o} + B_o       (2)  out of them, two axes are summed

Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2; the biases are not in the paper.
"""

import math
import string
from collections.abc import Callable
from typing import Any, NoReturn

import keras
from keras import activations, initializers, ops

from custom_layers.core.initializer_copy import scaled_for
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.rows import affine_rows


def project(
    x: Tensor, kernel: Tensor, bias: Tensor | None, summed_axes: int, activation: Callable | None
) -> Tensor:
    """Equations (1) and (2): sum over the last axes of x and the first of the kernel.

    A single position is a product of matrices, which TensorFlow computes together with its bias; more
    are summed as Keras sums them, so that gradients round alike.
    """
    if x.shape[1:-summed_axes] == (1,):
        return _project_one(x, kernel, bias, summed_axes, activation)
    letters = string.ascii_lowercase
    free = len(x.shape) - summed_axes
    inputs = letters[: len(x.shape)]
    outputs = letters[len(x.shape) : len(x.shape) + len(kernel.shape) - summed_axes]
    equation = f"{inputs},{inputs[free:]}{outputs}->{inputs[:free]}{outputs}"
    y = ops.einsum(equation, x, kernel)
    if bias is not None:
        y = ops.add(y, bias)
    return y if activation is None else activation(y)


def _project_one(
    x: Tensor, kernel: Tensor, bias: Tensor | None, summed_axes: int, activation: Callable | None
) -> Tensor:
    """The same for x (batch, 1, *summed)."""
    features = math.prod(kernel.shape[:summed_axes])
    rows, matrix = ops.reshape(x, (-1, features)), ops.reshape(kernel, (features, -1))
    y = affine_rows(rows, matrix, None if bias is None else ops.reshape(bias, (-1,)))
    y = ops.reshape(y, (-1, 1, *kernel.shape[summed_axes:]))
    return y if activation is None else activation(y)


@keras.saving.register_keras_serializable(package="custom_layers")
class HeadProjection(keras.layers.Layer):
    """An affine map of the last one or two axes, with a kernel of as many axes more.

    Args:
        summed_axes: how many of the last axes are summed over: 1 into heads, 2 out of them.
        output_sizes: sizes of the axes that take their place.
        activation: name or function, applied to the result.
        use_bias: whether B exists.
        kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer,
            kernel_constraint, bias_constraint: of W and B.
    Call arguments: inputs: (batch, ..., *summed).
    Returns: (batch, ..., *output_sizes).
    Weights: `kernel` (*summed, *output_sizes), `bias` (*output_sizes).
    Raises: NotImplementedError for LoRA and quantization.
    Differs from keras.layers.EinsumDense, which takes any equation; for these two its weights have
        the same names and shapes.
    """

    def __init__(
        self,
        summed_axes: int,
        output_sizes: tuple[int, ...],
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.summed_axes = summed_axes
        self.output_sizes = tuple(output_sizes)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = kernel_initializer
        self.bias_initializer = bias_initializer
        self.kernel_regularizer = kernel_regularizer
        self.bias_regularizer = bias_regularizer
        self.kernel_constraint = kernel_constraint
        self.bias_constraint = bias_constraint
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        if self.quantization_mode is not None:
            _out_of_scope(f"the dtype policy {self.dtype_policy.name!r}")
        axes = range(self.summed_axes + len(self.output_sizes))
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*input_shape[-self.summed_axes :], *self.output_sizes),
            initializer=scaled_for(
                initializers.get(self.kernel_initializer),
                axes[: self.summed_axes],
                axes[self.summed_axes :],
            ),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=self.output_sizes,
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(self, inputs: Tensor) -> Tensor:
        return project(inputs, self.kernel, self.bias, self.summed_axes, self.activation)

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        return (*input_shape[: -self.summed_axes], *self.output_sizes)

    def quantize(self, mode: Any = None, type_check: bool = True, config: Any = None) -> None:
        _out_of_scope("`quantize()`")

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        _out_of_scope("`enable_lora()`")


def _out_of_scope(what: str) -> NoReturn:
    raise NotImplementedError(
        f"head_projection: {what} is out of scope here. Use keras.layers.MultiHeadAttention or "
        "keras.layers.GroupQueryAttention, which have it; their weights load into ours and back."
    )
