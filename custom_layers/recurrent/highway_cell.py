r"""A highway around a recurrent cell: a gate of the input says how much of it passes by.

    h_t, s_t = cell(x_t, s_{t-1})                    (1)
    T_t = sigmoid(x_t W + b)                         (2) transform gate
    y_t = T_t * h_t + (1 - T_t) * x_t                (3) the output; the states stay the cell's own

Shapes: W (features, features), b (features,); x_t and h_t have equally many features.
Source: Srivastava et al. 2015, arXiv:1505.00387, equation (3); b begins below zero as in section 2.2,
so that the input passes at first. There h is a layer without states.
"""

from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.recurrent.cell_wrapper import CellWrapper, require_equal_features


def highway_step(x: Tensor, h: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """Equations (2) and (3).

    Args:
        x, h: x_t and h_t, each (batch, features).
        kernel, bias: W and b.
    """
    T = ops.sigmoid(ops.matmul(x, kernel) + bias)  # (2)
    return T * h + (1 - T) * x  # (3)


@keras.saving.register_keras_serializable(package="custom_layers")
class HighwayCell(CellWrapper):
    """A recurrent cell whose input passes by it, as far as a gate lets it.

    Args:
        cell: ours, Keras's or a user's, whose output is as wide as its input; also a stack of cells.
        kernel_initializer, bias_initializer: of W and b; None begins b at -1.

    Call arguments:
        inputs: (batch, features).
        states: as the cell has them.
        training: handed on to the cell.

    Returns:
        y_t (batch, features), and the cell's new states.

    Weights: those of the cell, then `kernel` (features, features), `bias` (features,).

    Raises:
        ValueError: the output is not as wide as the input.

    Differs from keras.layers.RNN with its cell alone: (2) and (3). `record` reports an `RNN` over it as
    not watchable.

    >>> import keras, custom_layers
    >>> cell = custom_layers.HighwayCell(custom_layers.GRUCell(3))
    >>> tuple(custom_layers.RNN(cell)(keras.ops.ones((2, 5, 3))).shape)
    (2, 3)
    """

    def __init__(
        self,
        cell: Any,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(cell, **kwargs)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(
            bias_initializer or keras.initializers.Constant(-1.0)
        )

    def build(self, input_shape: Shape) -> None:
        require_equal_features(self.name, input_shape[-1], self.output_size)
        super().build(input_shape)
        features = self.output_size
        self.kernel = self.add_weight(
            name="kernel", shape=(features, features), initializer=self.kernel_initializer
        )
        self.bias = self.add_weight(
            name="bias", shape=(features,), initializer=self.bias_initializer
        )

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> tuple[Tensor, Any]:
        output, states = self.run_cell(inputs, states, training)  # (1)
        kernel, bias = (ops.cast(w, self.compute_dtype) for w in (self.kernel, self.bias))
        return highway_step(inputs, output, kernel, bias), states

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }
