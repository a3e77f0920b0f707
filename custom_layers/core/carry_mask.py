"""A mask put on a tensor by hand, for the layers that follow."""

from typing import Any

import keras

from custom_layers.core.protocols import Tensor


@keras.saving.register_keras_serializable(package="custom_layers")
class CarryMask(keras.layers.Layer):
    """The identity; its output carries the `mask` it is called with.

    Keras attaches a mask to an output only where `compute_mask` derives it from the first input's.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.built = True

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        return inputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
