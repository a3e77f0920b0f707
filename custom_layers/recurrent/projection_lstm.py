r"""Long short-term memory with a recurrent projection: a wide cell state, a narrow recurrent state.

    i_t, f_t, g_t, o_t, c_t                          equations (2) to (6) of `lstm.py`
    m_t = o_t * tanh(c_t)                            (1) what the LSTM puts out
    h_t = m_t P                                      (2) new state, and the output

Shapes: U (projection_units, 4 units), P (units, projection_units); c_t and m_t have `units`, h_t has
`projection_units`. U, the largest matrix of a wide LSTM, has projection_units / units of its size.
Source: Sak et al. 2014, arXiv:1402.1128, section 2: our P is W_rm and our h_t is r_t; without the
peepholes, and without the second projection, p_t, which does not recur.
Differs from keras.layers.LSTM: (2). With P the identity it is that layer.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require_positive_integer
from custom_layers.recurrent.lstm import LSTM, LSTMCell, lstm_step
from custom_layers.recurrent.recurrent_cell import StepParameters


class ProjectionLSTMStep(NamedTuple):
    """All that one step computes; every field (batch, units), but h (batch, projection_units)."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    m: Tensor
    h: Tensor


def projection_lstm_step(
    projected: Tensor,
    h: Any,
    c: Tensor,
    recurrent_kernel: Tensor,
    projection_kernel: Tensor,
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
    c_probe: Tensor | None = None,
) -> ProjectionLSTMStep:
    """One step of the LSTM, and equations (1) and (2).

    Args:
        projected, c, activation, recurrent_activation, c_probe: as `lstm_step`.
        h: h_{t-1}, (batch, projection_units); or a list with one such tensor for each gate.
        recurrent_kernel: U, (projection_units, 4 units).
        projection_kernel: P, (units, projection_units).
    """
    functions = (activation, recurrent_activation)
    i, f, g, o, c, m = lstm_step(projected, h, c, recurrent_kernel, *functions, c_probe)  # (1)
    return ProjectionLSTMStep(i, f, g, o, c, m, h=ops.matmul(m, projection_kernel))  # (2)


@keras.saving.register_keras_serializable(package="custom_layers")
class ProjectionLSTMCell(LSTMCell):
    """One step of a long short-term memory with a recurrent projection.

    Args: as `LSTMCell`, all but `units` by keyword. Besides,
        projection_units: int >= 1, width of the output h; usually below `units`.
        projection_initializer: of P, whose regularizer and constraint are those of U.

    Call arguments:
        inputs: (batch, features).
        states: [h, c], (batch, projection_units) and (batch, units).
        training: whether dropout is applied.

    Returns:
        The output (batch, projection_units), and the new states.

    Weights: `kernel`, `bias` as `LSTMCell`; `recurrent_kernel` (projection_units, 4 units),
        `projection_kernel` (units, projection_units).

    Raises:
        ValueError: `projection_units` below 1.
    """

    def __init__(
        self,
        units: int,
        *,
        projection_units: int | None = None,
        projection_initializer: Any = "glorot_uniform",
        **kwargs: Any,
    ) -> None:
        super().__init__(units, **kwargs)
        self.projection_units = require_positive_integer(
            projection_units, owner=self.name, name="projection_units"
        )
        self.projection_initializer = keras.initializers.get(projection_initializer)
        self.state_size = [self.projection_units, self.units]
        self.output_size = self.projection_units

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        self.projection_kernel = self.add_weight(
            name="projection_kernel",
            shape=(self.units, self.projection_units),
            initializer=self.projection_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )

    def step_parameters(self, h: Tensor, training: bool) -> StepParameters:
        projection_kernel = ops.cast(self.projection_kernel, self.compute_dtype)
        return super().step_parameters(h, training)._replace(others=(projection_kernel,))

    def step_with(  # type: ignore[override]
        self,
        parameters: StepParameters,
        projected: Tensor,
        states: Sequence[Tensor],
        c_probe: Tensor | None = None,
    ) -> ProjectionLSTMStep:
        return self.run_step(projection_lstm_step, parameters, projected, states, c_probe)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "projection_units": self.projection_units,
            "projection_initializer": keras.initializers.serialize(self.projection_initializer),
        }


@keras.saving.register_keras_serializable(package="custom_layers")
class ProjectionLSTM(LSTM):
    """Long short-term memory with a recurrent projection, over a sequence.

    Args: as `LSTM`, and by keyword those of `ProjectionLSTMCell`. `gradient="bptt"` is refused: the
        gradient of P is not among those that are written by hand.

    Call arguments, returned value and errors: see `RNN`. The states are [h, c], (batch,
    projection_units) and (batch, units).

    >>> import keras, custom_layers
    >>> layer = custom_layers.ProjectionLSTM(8, projection_units=2, return_state=True)
    >>> [tuple(y.shape) for y in layer(keras.ops.ones((2, 5, 3)))]
    [(2, 2), (2, 2), (2, 8)]
    """

    cell_class = ProjectionLSTMCell
    cell_name = "projection_lstm_cell"
