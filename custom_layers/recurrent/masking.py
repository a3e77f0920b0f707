r"""Masking: skip the steps at which every feature has one agreed value.

    m_t = any_f(x_{t, f} != mask_value)   (1)  the mask, True = keep
    y_t = m_t * x_t                       (2)

x, y: (batch, steps, features), m: (batch, steps).
"""

from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require


def steps_to_keep(x: Tensor, mask_value: Any) -> Tensor:
    """Equation (1): bool, the shape of x without its last axis."""
    return ops.any(ops.not_equal(x, mask_value), axis=-1)


def zero_skipped_steps(x: Tensor, mask: Tensor) -> Tensor:
    """Equation (2)."""
    return ops.where(ops.expand_dims(mask, axis=-1), x, 0)


@keras.saving.register_keras_serializable(package="custom_layers")
class Masking(keras.layers.Layer):
    """Mark the steps that are all `mask_value`, for the layers that follow, and zero them.

    Args:
        mask_value: number that all features of a skipped step have.
    Call arguments:
        inputs: numbers, (batch, steps, features); any rank of 2 or more.
    Returns: like `inputs`; it carries the mask of (1).
    Raises: ValueError for a rank below 2; TypeError for inputs that are no numbers.
    Source: equations (1) and (2) of the module.
    Differs from keras.layers.Masking: inputs of rank 1 and strings are named in one line. The mask
        comes from `compute_mask` alone, so that `layer.call(x)` by itself attaches none.
    """

    def __init__(self, mask_value: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(mask_value, dict) and mask_value.get("config"):
            mask_value = keras.saving.deserialize_keras_object(mask_value)  # a tensor, from a file
        self.mask_value = mask_value
        self.supports_masking = True
        if type(self).build is keras.layers.Layer.build:
            self.built = True  # nothing to build, unless a subclass says so

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        return steps_to_keep(inputs, self.mask_value)

    def call(self, inputs: Tensor) -> Tensor:
        require(
            len(inputs.shape) >= 2,
            "masking",
            "`inputs` must be (batch, steps, features), or of rank 2 at least",
            f"inputs.shape={tuple(inputs.shape)}",
            "Add the axes that are missing.",
        )
        if keras.backend.standardize_dtype(inputs.dtype) == "string":
            raise TypeError(
                "masking: `inputs` must be numbers. Received: inputs.dtype=string. "
                "Look words up first, for example with `keras.layers.StringLookup`."
            )
        return zero_skipped_steps(inputs, steps_to_keep(inputs, self.mask_value))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mask_value": self.mask_value}
