r"""Sinusoidal position encoding: each pair of features turns with the position at its own speed.

    w_i        = W^(-2i / d)       (1)  speed of pair i, from 1 down to nearly 1 / W
    y_{p,2i}   = sin(p w_i)        (2)  even features
    y_{p,2i+1} = cos(p w_i)        (3)  odd features

W is `max_wavelength`, d the number of features, p the position: the step's number plus `start_index`.
The code at p + k is a rotation of the code at p by angles that depend on k alone.
"""

from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require
from custom_layers.embedding.positions import lay_over, positions_of_steps, require_positions


def sine_encoding(positions: Tensor, features: Any, max_wavelength: float) -> Tensor:
    """Equations (1) to (3), in the dtype of the positions: (*positions.shape, features)."""
    dtype = keras.backend.standardize_dtype(positions.dtype)
    feature = ops.arange(features, dtype="int32")
    exponents = ops.cast(2 * (feature // 2), dtype) / ops.cast(features, dtype)
    w = ops.power(ops.cast(1.0 / max_wavelength, dtype), exponents)  # (1), each speed twice
    angles = ops.expand_dims(positions, axis=-1) * w
    return ops.where(feature % 2 == 0, ops.sin(angles), ops.cos(angles))  # (2), (3)


@keras.saving.register_keras_serializable(package="custom_layers")
class SinePositionEncoding(keras.layers.Layer):
    """Give each step a fixed vector of sines and cosines that tells its position.

    The result is the encoding alone; add it to the inputs.

    Args:
        max_wavelength: number > 0, W of (1); the slowest pair repeats after nearly 2 pi W steps.
    Call arguments:
        inputs: (batch, ..., steps, features); only the shape counts.
        start_index: integer, position of the first step; in cached decoding that of the newest one.
        positions: (steps,) or (batch, steps), used in place of the steps' numbers. Then `start_index`
            is not used.
    Returns: the encoding, of the shape of `inputs`, in the layer's compute dtype; entries in [-1, 1].
    Weights: none.
    Raises: ValueError when `max_wavelength` is not above 0, `inputs` has no axes of steps and features
        or `positions` has not one entry for each step.
    Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.5.
    Differs from keras_hub.layers.SinePositionEncoding: angles are at least float32, where the other
        counts positions in the compute dtype (with bfloat16 the positions 300 and 301 get one code).
        Positions with a batch axis keep it for inputs of rank 4, and a single position does not stand
        for several steps. Inputs (steps, features) are accepted.
    """

    def __init__(self, max_wavelength: float = 10000, **kwargs: Any) -> None:
        require(
            max_wavelength > 0,
            "sine_position_encoding",
            "`max_wavelength` must be above 0",
            f"max_wavelength={max_wavelength!r}",
            "The paper's is 10000.",
        )
        super().__init__(**kwargs)
        self.max_wavelength = max_wavelength
        self.built = True

    def call(self, inputs: Tensor, start_index: Any = 0, positions: Tensor | None = None) -> Tensor:
        require(
            len(inputs.shape) >= 2,
            "sine_position_encoding",
            "`inputs` must be (batch, ..., steps, features)",
            f"inputs.shape={tuple(inputs.shape)}",
            "Embed ids first: only vectors have a place for the code.",
        )
        shape = ops.shape(inputs)
        require_positions(positions, shape[0], shape[-2], owner="sine_position_encoding")
        wide = "float64" if self.compute_dtype == "float64" else "float32"
        p = positions_of_steps(shape[-2], start_index, positions, wide)
        code = sine_encoding(p, shape[-1], self.max_wavelength)
        return lay_over(ops.cast(code, self.compute_dtype), shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "max_wavelength": self.max_wavelength}
