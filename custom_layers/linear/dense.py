r"""Dense layer: one affine map of the last axis, then a function of each entry.

    z = x W + b      (1)
    y = a(z)         (2)

x: (batch, ..., features), W: (features, units), b: (units,), y: (batch, ..., units).
"""

from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import keras
from keras import activations, constraints, initializers, regularizers

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.rows import affine_rows
from custom_layers.core.shape_check import known_features, require_positive_integer


class DenseStep(NamedTuple):
    """Every named quantity of one call, each (batch, ..., units)."""

    z: Tensor
    y: Tensor


def dense_step(
    x: Tensor, kernel: Tensor, bias: Tensor | None, activation: Callable | None
) -> DenseStep:
    """Equations (1) and (2) of the module; no bias and no activation where they are None."""
    z = affine_rows(x, kernel, bias)  # (1)
    return DenseStep(z, y=z if activation is None else activation(z))  # (2)


@keras.saving.register_keras_serializable(package="custom_layers")
class Dense(keras.layers.Layer):
    """Multiply the last axis by a weight matrix, add a bias, apply an activation.

    Args:
        units: int >= 1, size of the output's last axis.
        activation: name or function, applied to each entry of z. None is the identity.
        use_bias: whether b exists.
        kernel_initializer, bias_initializer: of W and b.
        kernel_regularizer, bias_regularizer: added to the loss.
        activity_regularizer: of the output, added to the loss.
        kernel_constraint, bias_constraint: applied after each update.
        lora_rank, lora_alpha, quantization_config: None; anything else is refused.
    Call arguments:
        inputs: (batch, ..., features), a number type; rank 2 or more.
        training: accepted and not used, as in the built-in.
    Returns: (batch, ..., units).
    Weights: `kernel` (features, units); `bias` (units,) where `use_bias`.
    Raises: ValueError when `units` < 1, the rank is below 2 or the features differ from those the
        layer was built for; TypeError for inputs that are no numbers; NotImplementedError for LoRA
        and quantization.
    Source: equations (1) and (2) of the module.
    Differs from keras.layers.Dense: no LoRA and no quantization; NumPy integers count as `units`.
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        quantization_config: Any = None,
        **kwargs: Any,
    ) -> None:
        units = require_positive_integer(units, owner="dense", name="units")
        if lora_rank is not None or lora_alpha is not None or quantization_config is not None:
            _out_of_scope("an argument of LoRA or quantization")
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.units = units
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_spec = keras.layers.InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        if self.quantization_mode is not None:
            _out_of_scope(f"the dtype policy {self.dtype_policy.name!r}")
        features = known_features(input_shape, owner="dense")
        self.kernel = self.add_weight(
            name="kernel",
            shape=(features, self.units),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.units,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = keras.layers.InputSpec(min_ndim=2, axes={-1: features})

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        if dtype == "string":
            raise TypeError(
                "dense: `inputs` must be numbers. Received: inputs.dtype=string. "
                "Look words up first, for example with `keras.layers.StringLookup`."
            )
        return dense_step(inputs, self.kernel, self.bias, self.activation).y

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        return (*input_shape[:-1], self.units)

    def quantize(self, mode: Any = None, type_check: bool = True, config: Any = None) -> None:
        _out_of_scope("`quantize()`")

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        _out_of_scope("`enable_lora()`")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
            "quantization_config": None,
        }


def _out_of_scope(what: str) -> NoReturn:
    raise NotImplementedError(
        f"dense: {what} is out of scope here. Use keras.layers.Dense, which has LoRA and "
        "quantization; its weights load into this layer and back."
    )
