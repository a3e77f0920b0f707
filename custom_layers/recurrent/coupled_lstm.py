r"""Long short-term memory whose input gate and forget gate are one: it forgets what it replaces.

    f_t = sigmoid(a_f + h_{t-1} U_f)                 (1) forget gate
    g_t = tanh(a_c + h_{t-1} U_c)                    (2) candidate
    o_t = sigmoid(a_o + h_{t-1} U_o)                 (3) output gate
    i_t = 1 - f_t                                    (4) input gate
    c_t = f_t * c_{t-1} + i_t * g_t                  (5) cell state
    h_t = o_t * tanh(c_t)                            (6) new state, and the output

a_t = x_t W + b. Shapes: W (features, 3 units), U (units, 3 units), b (3 units,), in slots f, c, o.
Source: Greff et al. 2017, arXiv:1503.04069, the variant "CIFG", without that paper's peepholes.
Differs from keras.layers.LSTM: (4), and three slots for four. It is that layer where the input gate's
weights are those of the forget gate with the other sign, since sigmoid(-a) = 1 - sigmoid(a).
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.recurrent.activation_slopes import slope_of
from custom_layers.recurrent.gate_products import kernel_gradient, multiply, multiply_backward
from custom_layers.recurrent.lstm import LSTM, LSTMCell, LSTMGradients, LSTMStep
from custom_layers.recurrent.recurrent_cell import CellGradients, StepParameters


def coupled_lstm_step(
    projected: Tensor,
    h: Any,
    c: Tensor,
    recurrent_kernel: Tensor,
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
    c_probe: Tensor | None = None,
) -> LSTMStep:
    """One step of equations (1) to (6). Arguments: as `lstm_step`, with three slots for four."""
    a_f, a_c, a_o = ops.split(projected + multiply(h, recurrent_kernel), 3, axis=-1)
    f = recurrent_activation(a_f)  # (1)
    g = activation(a_c)  # (2)
    o = recurrent_activation(a_o)  # (3)
    i = 1 - f  # (4)
    c = f * c + i * g  # (5)
    c = c if c_probe is None else c + c_probe
    return LSTMStep(i, f, g, o, c, h=o * activation(c))  # (6)


def coupled_lstm_step_backward(
    step: LSTMStep,
    h: Any,
    c: Tensor,
    recurrent_kernel: Tensor,
    d_h: Tensor,
    d_c: Tensor,
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
    weights: bool = True,
) -> LSTMGradients:
    """Equations (6) to (1) backwards. Arguments: as `lstm_step_backward`."""
    slope, gate_slope = slope_of(activation), slope_of(recurrent_activation)
    y = activation(step.c)
    d_c = d_c + d_h * step.o * slope(y)  # (6): all that reaches c_t
    a_o = d_h * y * gate_slope(step.o)  # (6) into the sigmoid of (3)
    a_c = d_c * step.i * slope(step.g)  # (5) into the tanh of (2)
    a_f = d_c * (c - step.g) * gate_slope(step.f)  # (5), (4) into the sigmoid of (1)
    d_a = ops.concatenate([a_f, a_c, a_o], axis=-1)
    return LSTMGradients(
        projected=d_a,  # (1) to (3): a_t stands there as it is
        h=multiply_backward(d_a, h, recurrent_kernel),  # (1) to (3): through h_{t-1} U
        c=d_c * step.f,  # (5): the path that no matrix stands in
        recurrent_kernel=kernel_gradient(d_a, h) if weights else None,  # (1) to (3)
        c_probe=d_c,  # beside (5)
    )


@keras.saving.register_keras_serializable(package="custom_layers")
class CoupledLSTMCell(LSTMCell):
    """One step of a long short-term memory with a coupled input and forget gate.

    Args, call arguments and returned value: as `LSTMCell`.
    """

    gates = 3
    gate_names = ("f", "g", "o")

    def initialize_bias(self, shape: Shape, dtype: Any = None) -> Tensor:
        if not self.unit_forget_bias:
            return self.bias_initializer(shape, dtype=dtype)
        ones = ops.ones((self.units,), dtype=dtype)
        return ops.concatenate([ones, self.bias_initializer((2 * self.units,), dtype=dtype)])

    def step_with(
        self,
        parameters: StepParameters,
        projected: Tensor,
        states: Sequence[Tensor],
        c_probe: Tensor | None = None,
    ) -> LSTMStep:
        return self.run_step(coupled_lstm_step, parameters, projected, states, c_probe)

    def step_backward(
        self,
        parameters: StepParameters,
        record: LSTMStep,
        states: Sequence[Tensor],
        d_states: Sequence[Tensor],
    ) -> CellGradients:
        return self.run_backward(coupled_lstm_step_backward, parameters, record, states, d_states)

    parameters_backward = LSTMCell.parameters_backward  # U stands where it stood


@keras.saving.register_keras_serializable(package="custom_layers")
class CoupledLSTM(LSTM):
    """Long short-term memory with a coupled input and forget gate, over a sequence.

    Args: as `LSTM`.

    Call arguments, returned value and errors: see `RNN`. The states are [h, c].

    >>> import keras, custom_layers
    >>> tuple(custom_layers.CoupledLSTM(4)(keras.ops.ones((2, 5, 3))).shape)
    (2, 4)
    """

    cell_class = CoupledLSTMCell
    cell_name = "coupled_lstm_cell"
