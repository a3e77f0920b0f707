r"""A residual connection around a recurrent cell, within one time step.

    h_t, s_t = cell(x_t, s_{t-1})                    (1)
    y_t = x_t + h_t                                  (2) the output; the states stay the cell's own

x_t and h_t have equally many features. In a stack, the upper cell reads y_t.
Source: He et al. 2016, arXiv:1512.03385, equation (1); around recurrent cells Wu et al. 2016,
arXiv:1609.08144, section 3.1.
"""

from typing import Any

import keras

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.recurrent.cell_wrapper import CellWrapper, require_equal_features


@keras.saving.register_keras_serializable(package="custom_layers")
class ResidualCell(CellWrapper):
    """A recurrent cell whose input is added to its output.

    Args:
        cell: ours, Keras's or a user's, whose output is as wide as its input; also a stack of cells.

    Call arguments:
        inputs: (batch, features).
        states: as the cell has them.
        training: handed on to the cell.

    Returns:
        y_t (batch, features), and the cell's new states.

    Raises:
        ValueError: the output is not as wide as the input.

    Differs from keras.layers.RNN with an Add after it: it works between the cells of a stack, and a
    masked step holds y of the step before. `record` reports an `RNN` over it as not watchable.

    >>> import keras, custom_layers
    >>> L = custom_layers
    >>> stack = L.RNN([L.LSTMCell(4), L.ResidualCell(L.LSTMCell(4)), L.ResidualCell(L.LSTMCell(4))])
    >>> tuple(stack(keras.ops.ones((2, 5, 3))).shape)
    (2, 4)
    """

    def build(self, input_shape: Shape) -> None:
        require_equal_features(self.name, input_shape[-1], self.output_size)
        super().build(input_shape)

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> tuple[Tensor, Any]:
        output, states = self.run_cell(inputs, states, training)  # (1)
        return inputs + output, states  # (2)
