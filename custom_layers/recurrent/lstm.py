r"""Long short-term memory.

    a_t = x_t W + b                                  (1) input projection, for all steps at once
    i_t = sigmoid(a_i + h_{t-1} U_i)                 (2) input gate
    f_t = sigmoid(a_f + h_{t-1} U_f)                 (3) forget gate
    g_t = tanh(a_c + h_{t-1} U_c)                    (4) candidate
    o_t = sigmoid(a_o + h_{t-1} U_o)                 (5) output gate
    c_t = f_t * c_{t-1} + i_t * g_t                  (6) cell state
    h_t = o_t * tanh(c_t)                            (7) new state, and the output

Shapes: W (features, 4 units), U (units, 4 units), b (4 units,), each in slots i, f, c, o.
Source: Hochreiter and Schmidhuber 1997, Neural Computation 9(8), section 4; the forget gate is of Gers
et al. 2000, Neural Computation 12(10), section 3, without the peepholes that came later. The forget
bias of 1 is of Jozefowicz et al. 2015, ICML.
Differs from keras.layers.LSTM: `custom_layers.RNN` says where a wrong shape raises; a dropout rate
outside [0, 1) raises, where Keras clamps it; there is no cuDNN kernel, so `use_cudnn=True` raises.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.recurrent.activation_slopes import slope_of
from custom_layers.recurrent.dropout_masks import apply_mask, apply_mask_backward
from custom_layers.recurrent.gate_products import kernel_gradient, multiply, multiply_backward
from custom_layers.recurrent.recurrent_cell import CellGradients, RecurrentCell, StepParameters
from custom_layers.recurrent.single_cell_rnn import SingleCellRNN, cell_options


class LSTMStep(NamedTuple):
    """All that one step computes; every field (batch, units)."""

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor


def lstm_step(
    projected: Tensor,
    h: Tensor,
    c: Tensor,
    recurrent_kernel: Tensor,
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
    c_probe: Tensor | None = None,
) -> LSTMStep:
    """One step of equations (2) to (7).

    Args:
        projected: a_t of (1), (batch, 4 units).
        h: h_{t-1}, (batch, units); or a list with one such tensor for each gate.
        c: c_{t-1}, (batch, units).
        recurrent_kernel: U, (units, 4 units).
        activation, recurrent_activation: what stands as tanh and as sigmoid in the equations.
        c_probe: zeros (batch, units) that are added to c_t, to differentiate by it; or None.
    """
    gates = projected + multiply(h, recurrent_kernel)
    a_i, a_f, a_c, a_o = ops.split(gates, 4, axis=-1)  # each (batch, units)
    i = recurrent_activation(a_i)  # (2)
    f = recurrent_activation(a_f)  # (3)
    g = activation(a_c)  # (4)
    o = recurrent_activation(a_o)  # (5)
    c = f * c + i * g  # (6)
    c = c if c_probe is None else c + c_probe
    return LSTMStep(i, f, g, o, c, h=o * activation(c))  # (7)


class LSTMGradients(NamedTuple):
    """dL/d of each argument of `lstm_step`, shaped like it."""

    projected: Tensor
    h: Any
    c: Tensor
    recurrent_kernel: Tensor | None
    c_probe: Tensor


def lstm_step_backward(
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
    """Equations (7) to (2) backwards.

    Args:
        step: what the step returned.
        h, c, recurrent_kernel, activation, recurrent_activation: as the step had them.
        d_h, d_c: dL/dh_t, and dL/dc_t but for what comes through h_t; each (batch, units).
        weights: whether to return the gradient by U. A loop does not ask for it: it takes that of all
            steps in one product, `kernel_gradient`.
    """
    slope, gate_slope = slope_of(activation), slope_of(recurrent_activation)
    y = activation(step.c)
    d_c = d_c + d_h * step.o * slope(y)  # (7): all that reaches c_t
    a_o = d_h * y * gate_slope(step.o)  # (7) into the sigmoid of (5)
    a_c = d_c * step.i * slope(step.g)  # (6) into the tanh of (4)
    a_f = d_c * c * gate_slope(step.f)  # (6) into the sigmoid of (3)
    a_i = d_c * step.g * gate_slope(step.i)  # (6) into the sigmoid of (2)
    d_a = ops.concatenate([a_i, a_f, a_c, a_o], axis=-1)
    return LSTMGradients(
        projected=d_a,  # (2) to (5): a_t stands there as it is
        h=multiply_backward(d_a, h, recurrent_kernel),  # (2) to (5): through h_{t-1} U
        c=d_c * step.f,  # (6): the path that no matrix stands in
        recurrent_kernel=kernel_gradient(d_a, h) if weights else None,  # (2) to (5)
        c_probe=d_c,  # beside (6)
    )


@keras.saving.register_keras_serializable(package="custom_layers")
class LSTMCell(RecurrentCell):
    """One step of a long short-term memory.

    Args: as `keras.layers.LSTMCell`; see `RecurrentCell` for their meaning. Besides,
        recurrent_activation: of the gates.
        unit_forget_bias: whether the bias of the forget gate starts at 1.

    Call arguments:
        inputs: (batch, features).
        states: [h, c], each (batch, units).
        training: whether dropout is applied.

    Returns:
        The output (batch, units), and the new states.
    """

    gates = 4
    gate_names: tuple[str, ...] = ("i", "f", "g", "o")
    state_names = ("h", "c")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            **kwargs,
        )
        self.recurrent_activation = keras.activations.get(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias
        self.state_size = [self.units, self.units]

    def initialize_bias(self, shape: Shape, dtype: Any = None) -> Tensor:
        if not self.unit_forget_bias:
            return self.bias_initializer(shape, dtype=dtype)
        before = self.bias_initializer((self.units,), dtype=dtype)
        ones = ops.ones((self.units,), dtype=dtype)
        after = self.bias_initializer((2 * self.units,), dtype=dtype)
        return ops.concatenate([before, ones, after])

    def step_with(
        self,
        parameters: StepParameters,
        projected: Tensor,
        states: Sequence[Tensor],
        c_probe: Tensor | None = None,
    ) -> LSTMStep:
        return self.run_step(lstm_step, parameters, projected, states, c_probe)

    def run_step(
        self,
        step: Callable[..., Any],
        parameters: StepParameters,
        projected: Tensor,
        states: Sequence[Tensor],
        c_probe: Tensor | None,
    ) -> Any:
        """`step`, one of the step functions of LSTMs, with the arguments that they share."""
        return step(
            projected,
            apply_mask(states[0], parameters.mask),
            states[1],
            parameters.kernel,
            *parameters.others,
            self.activation,
            self.recurrent_activation,
            c_probe,
        )

    def states_of(self, record: LSTMStep) -> list[Tensor]:
        return [record.h, record.c]

    def step_backward(
        self,
        parameters: StepParameters,
        record: LSTMStep,
        states: Sequence[Tensor],
        d_states: Sequence[Tensor],
    ) -> CellGradients:
        return self.run_backward(lstm_step_backward, parameters, record, states, d_states)

    def run_backward(
        self,
        step_backward: Callable[..., Any],
        parameters: StepParameters,
        record: LSTMStep,
        states: Sequence[Tensor],
        d_states: Sequence[Tensor],
    ) -> CellGradients:
        """`step_backward`, one of those of LSTMs, likewise."""
        d = step_backward(
            record,
            apply_mask(states[0], parameters.mask),
            states[1],
            parameters.kernel,
            *parameters.others,
            d_states[0],
            d_states[1],
            self.activation,
            self.recurrent_activation,
            weights=False,
        )
        d_h = apply_mask_backward(d.h, parameters.mask)
        return CellGradients(d.projected, [d_h, d.c], {"c": d.c_probe})

    def parameters_backward(
        self,
        parameters: StepParameters,
        records: LSTMStep,
        states: Sequence[Tensor],
        d_projected: Tensor,
    ) -> StepParameters:
        h = apply_mask(states[0], parameters.mask)
        return StepParameters(kernel_gradient(d_projected, h), None, None)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "recurrent_activation": keras.activations.serialize(self.recurrent_activation),
            "unit_forget_bias": self.unit_forget_bias,
        }


@keras.saving.register_keras_serializable(package="custom_layers")
class LSTM(SingleCellRNN):
    """Long short-term memory over a sequence.

    Args: as `keras.layers.LSTM`; see `LSTMCell`, `RecurrentCell` and `RNN` for their meaning.

    Call arguments, returned value and errors: see `RNN`. The states are [h, c].

    >>> import keras, custom_layers
    >>> layer = custom_layers.LSTM(4, return_state=True)
    >>> [tuple(y.shape) for y in layer(keras.ops.ones((2, 5, 3)))]
    [(2, 4), (2, 4), (2, 4)]
    """

    cell_class: type[LSTMCell] = LSTMCell
    cell_name = "lstm_cell"

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        cell = self.cell_class(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            **cell_options(self.cell_name, kwargs),
        )
        super().__init__(
            cell,
            use_cudnn=use_cudnn,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
