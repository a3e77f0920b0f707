r"""Dense layer for any axes: a sum of products by an equation of letters, then a function.

    z = einsum(equation, x, W) + b      (1)
    y = a(z)                            (2)

With the equation "abc,cd->abd", for one, z_{abd} = sum_c x_{abc} W_{cd} + b_d: a letter that the
output lacks is summed over, a letter that inputs, W and output share makes a W for each of its
positions.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import keras
from keras import activations, constraints, initializers, ops, regularizers

from custom_layers.core.initializer_copy import scaled_for
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.linear.einsum_equation import EinsumShapes, read_equation, shapes_of


class EinsumDenseStep(NamedTuple):
    """Every named quantity of one call, each of the output's shape."""

    z: Tensor
    y: Tensor


def einsum_dense_step(
    equation: str, x: Tensor, kernel: Tensor, bias: Tensor | None, activation: Callable | None
) -> EinsumDenseStep:
    """Equations (1) and (2) of the module; no bias and no activation where they are None."""
    z = ops.einsum(equation, x, kernel)
    if bias is not None:
        z = ops.add(z, bias)  # (1)
    return EinsumDenseStep(z, y=z if activation is None else activation(z))  # (2)


@keras.saving.register_keras_serializable(package="custom_layers")
class EinsumDense(keras.layers.Layer):
    """Multiply by a weight tensor as an equation says, add a bias, apply an activation.

    Args:
        equation: `X,W->Y`, `...X,W->...Y` or `X...,W->Y...`, where X, W and Y are letters, one for
            each axis of the inputs, the kernel and the output, and `...` are axes that stay.
        output_shape: size of each axis of the output, without the batch and without `...`; an int
            where it is one. None is a size that the inputs have.
        activation: name or function, applied to each entry of z. None is the identity.
        bias_axes: letters of the output that b has; its other axes have size 1. None for no bias.
        kernel_initializer, bias_initializer: of W and b. One that scales by the number of inputs
            and outputs (VarianceScaling) takes for inputs the letters that are summed over.
        kernel_regularizer, bias_regularizer: added to the loss.
        kernel_constraint, bias_constraint: applied after each update.
        lora_rank, lora_alpha, gptq_unpacked_column_size, quantization_config: None; anything else
            is refused.
    Call arguments:
        inputs: the axes of X, numbers.
        training: accepted and not used, as in the built-in.
    Returns: the axes of Y. A mask is not handed on, as the built-in hands none on.
    Weights: `kernel`, the axes of W; `bias` where `bias_axes`.
    Raises: ValueError when the equation has none of the three forms or an axis of unknown origin,
        `output_shape` or the inputs do not fit it, or a weight's size is unknown;
        NotImplementedError for LoRA and quantization.
    Source: equations (1) and (2) of the module.
    Differs from keras.layers.EinsumDense: no LoRA and no quantization; NumPy integers count in
        `output_shape`. `compute_output_shape` keeps three axes and more that `...` stands for in
        their order, which the built-in reverses but for the first. A size of None in `output_shape`
        is taken from the inputs where a weight needs it; the built-in fails.
    """

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        gptq_unpacked_column_size: int | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        refused = lora_rank, lora_alpha, gptq_unpacked_column_size, quantization_config
        if any(argument is not None for argument in refused):
            _out_of_scope("an argument of LoRA or quantization")
        super().__init__(**kwargs)
        read_equation(equation)
        sizes = output_shape if isinstance(output_shape, Sequence) else (output_shape,)
        self.equation = equation
        self.partial_output_shape = tuple(None if size is None else int(size) for size in sizes)
        self.activation = activations.get(activation)
        self.bias_axes = bias_axes
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def build(self, input_shape: Shape) -> None:
        if self.quantization_mode is not None:
            _out_of_scope(f"the dtype policy {self.dtype_policy.name!r}")
        shapes = self._shapes(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=shapes.kernel,
            initializer=scaled_for(self.kernel_initializer, shapes.summed_axes, shapes.output_axes),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if shapes.bias is not None:
            self.bias = self.add_weight(
                name="bias",
                shape=shapes.bias,
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = keras.layers.InputSpec(ndim=len(input_shape))

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        return einsum_dense_step(self.equation, inputs, self.kernel, self.bias, self.activation).y

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return self._shapes(input_shape).output

    def quantize(self, mode: Any = None, type_check: bool = True, config: Any = None) -> None:
        _out_of_scope("`quantize()`")

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        _out_of_scope("`enable_lora()`")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "equation": self.equation,
            "output_shape": self.partial_output_shape,
            "activation": activations.serialize(self.activation),
            "bias_axes": self.bias_axes,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
            "quantization_config": None,
        }

    def _shapes(self, input_shape: Shape) -> EinsumShapes:
        return shapes_of(self.equation, self.bias_axes, input_shape, self.partial_output_shape)


def _out_of_scope(what: str) -> NoReturn:
    raise NotImplementedError(
        f"einsum_dense: {what} is out of scope here. Use keras.layers.EinsumDense, which has LoRA "
        "and quantization; its weights load into this layer and back."
    )
