r"""Long short-term memory with peepholes: its gates see the cell state.

    i_t = sigmoid(a_i + h_{t-1} U_i + p_i * c_{t-1})     (1) input gate
    f_t = sigmoid(a_f + h_{t-1} U_f + p_f * c_{t-1})     (2) forget gate
    g_t = tanh(a_c + h_{t-1} U_c)                        (3) candidate
    c_t = f_t * c_{t-1} + i_t * g_t                      (4) cell state
    o_t = sigmoid(a_o + h_{t-1} U_o + p_o * c_t)         (5) output gate: it sees the new cell state
    h_t = o_t * tanh(c_t)                                (6) new state, and the output

a_t and U are those of `lstm.py`; p (3 units,), in slots i, f, o: each cell is seen by its own gates.
Source: Gers, Schraudolph and Schmidhuber 2002, Journal of Machine Learning Research 3, section 2; with
the tanh of (6) as in Graves 2013, arXiv:1308.0850, equations (7) to (11).
Differs from keras.layers.LSTM: the terms with p. With p = 0, where it starts, it is that layer.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.recurrent.activation_slopes import slope_of
from custom_layers.recurrent.gate_products import kernel_gradient, multiply, multiply_backward
from custom_layers.recurrent.lstm import LSTM, LSTMCell, LSTMStep
from custom_layers.recurrent.recurrent_cell import CellGradients, StepParameters


def peephole_lstm_step(
    projected: Tensor,
    h: Any,
    c: Tensor,
    recurrent_kernel: Tensor,
    peepholes: Tensor,
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
    c_probe: Tensor | None = None,
) -> LSTMStep:
    """One step of equations (1) to (6).

    Args:
        projected, h, c, recurrent_kernel, activation, recurrent_activation, c_probe: as `lstm_step`.
        peepholes: p, (3 units,).
    """
    a_i, a_f, a_c, a_o = ops.split(projected + multiply(h, recurrent_kernel), 4, axis=-1)
    p_i, p_f, p_o = ops.split(peepholes, 3)
    i = recurrent_activation(a_i + p_i * c)  # (1)
    f = recurrent_activation(a_f + p_f * c)  # (2)
    g = activation(a_c)  # (3)
    c = f * c + i * g  # (4)
    c = c if c_probe is None else c + c_probe
    o = recurrent_activation(a_o + p_o * c)  # (5)
    return LSTMStep(i, f, g, o, c, h=o * activation(c))  # (6)


class PeepholeLSTMGradients(NamedTuple):
    """dL/d of each argument of `peephole_lstm_step`, shaped like it."""

    projected: Tensor
    h: Any
    c: Tensor
    recurrent_kernel: Tensor | None
    peepholes: Tensor | None
    c_probe: Tensor


def peephole_lstm_step_backward(
    step: LSTMStep,
    h: Any,
    c: Tensor,
    recurrent_kernel: Tensor,
    peepholes: Tensor,
    d_h: Tensor,
    d_c: Tensor,
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
    weights: bool = True,
) -> PeepholeLSTMGradients:
    """Equations (6) to (1) backwards. Arguments: as `lstm_step_backward`, and p."""
    slope, gate_slope = slope_of(activation), slope_of(recurrent_activation)
    p_i, p_f, p_o = ops.split(peepholes, 3)
    y = activation(step.c)
    a_o = d_h * y * gate_slope(step.o)  # (6) into the sigmoid of (5)
    d_c = d_c + d_h * step.o * slope(y) + a_o * p_o  # (6), (5): all that reaches c_t
    a_c = d_c * step.i * slope(step.g)  # (4) into the tanh of (3)
    a_f = d_c * c * gate_slope(step.f)  # (4) into the sigmoid of (2)
    a_i = d_c * step.g * gate_slope(step.i)  # (4) into the sigmoid of (1)
    d_a = ops.concatenate([a_i, a_f, a_c, a_o], axis=-1)
    return PeepholeLSTMGradients(
        projected=d_a,  # (1), (2), (3), (5): a_t stands there as it is
        h=multiply_backward(d_a, h, recurrent_kernel),  # likewise: through h_{t-1} U
        c=d_c * step.f + a_i * p_i + a_f * p_f,  # (4), (1), (2)
        recurrent_kernel=kernel_gradient(d_a, h) if weights else None,
        peepholes=peephole_gradient(d_a, c, step.c) if weights else None,
        c_probe=d_c,  # beside (4)
    )


def peephole_gradient(d_a: Tensor, c_before: Tensor, c_after: Tensor) -> Tensor:
    """dL/dp of (1), (2), (5), (3 units,): of one step, or of all where the tensors hold all steps."""
    a_i, a_f, _, a_o = ops.split(d_a, 4, axis=-1)
    products = ops.concatenate([a_i * c_before, a_f * c_before, a_o * c_after], axis=-1)
    return ops.sum(products, axis=tuple(range(len(products.shape) - 1)))


@keras.saving.register_keras_serializable(package="custom_layers")
class PeepholeLSTMCell(LSTMCell):
    """One step of a long short-term memory with peepholes.

    Args: as `LSTMCell`, all but `units` by keyword. Besides,
        peephole_initializer: of p, whose regularizer and constraint are those of U.

    Call arguments and returned value: as `LSTMCell`.

    Weights: `kernel`, `recurrent_kernel`, `bias` as `LSTMCell`, and `peepholes` (3 units,).
    """

    def __init__(self, units: int, *, peephole_initializer: Any = "zeros", **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.peephole_initializer = keras.initializers.get(peephole_initializer)

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        self.peepholes = self.add_weight(
            name="peepholes",
            shape=(3 * self.units,),
            initializer=self.peephole_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )

    def step_parameters(self, h: Tensor, training: bool) -> StepParameters:
        peepholes = ops.cast(self.peepholes, self.compute_dtype)
        return super().step_parameters(h, training)._replace(others=(peepholes,))

    def step_with(
        self,
        parameters: StepParameters,
        projected: Tensor,
        states: Sequence[Tensor],
        c_probe: Tensor | None = None,
    ) -> LSTMStep:
        return self.run_step(peephole_lstm_step, parameters, projected, states, c_probe)

    def step_backward(
        self,
        parameters: StepParameters,
        record: LSTMStep,
        states: Sequence[Tensor],
        d_states: Sequence[Tensor],
    ) -> CellGradients:
        return self.run_backward(peephole_lstm_step_backward, parameters, record, states, d_states)

    def parameters_backward(
        self,
        parameters: StepParameters,
        records: LSTMStep,
        states: Sequence[Tensor],
        d_projected: Tensor,
    ) -> StepParameters:
        d_peepholes = peephole_gradient(d_projected, states[1], records.c)
        d = super().parameters_backward(parameters, records, states, d_projected)
        return d._replace(others=(d_peepholes,))

    def get_config(self) -> dict[str, Any]:
        initializer = keras.initializers.serialize(self.peephole_initializer)
        return {**super().get_config(), "peephole_initializer": initializer}


@keras.saving.register_keras_serializable(package="custom_layers")
class PeepholeLSTM(LSTM):
    """Long short-term memory with peepholes, over a sequence.

    Args: as `LSTM`, and by keyword those of `PeepholeLSTMCell`.

    Call arguments, returned value and errors: see `RNN`. The states are [h, c].

    >>> import keras, custom_layers
    >>> layer = custom_layers.PeepholeLSTM(4, peephole_initializer="random_normal")
    >>> tuple(layer(keras.ops.ones((2, 5, 3))).shape)
    (2, 4)
    """

    cell_class = PeepholeLSTMCell
    cell_name = "peephole_lstm_cell"
