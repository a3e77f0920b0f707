r"""Simple (Elman) recurrent network.

    a_t = x_t W + b                      (1) input projection, for all steps at once
    h_t = tanh(a_t + h_{t-1} U)          (2) new state, and the output

Shapes: W (features, units), U (units, units), b (units,).
Source: Elman 1990, Cognitive Science 14(2), figure 2; the bias and the free choice of the activation
are Keras's.
Differs from keras.layers.SimpleRNN: `custom_layers.RNN` says where a wrong shape raises; a dropout
rate outside [0, 1) raises, where Keras clamps it; the configuration keeps `seed`, which Keras drops.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from custom_layers.core.protocols import Tensor
from custom_layers.recurrent.activation_slopes import slope_of
from custom_layers.recurrent.dropout_masks import apply_mask, apply_mask_backward
from custom_layers.recurrent.gate_products import kernel_gradient, multiply, multiply_backward
from custom_layers.recurrent.recurrent_cell import CellGradients, RecurrentCell, StepParameters
from custom_layers.recurrent.single_cell_rnn import SingleCellRNN, cell_options


class SimpleRNNStep(NamedTuple):
    """All that one step computes; every field (batch, units)."""

    h: Tensor


def simple_rnn_step(
    projected: Tensor, h: Tensor, recurrent_kernel: Tensor, activation: Any = ops.tanh
) -> SimpleRNNStep:
    """One step of equation (2).

    Args:
        projected: a_t of (1), (batch, units).
        h: h_{t-1}, (batch, units).
        recurrent_kernel: U, (units, units).
        activation: what stands as tanh in (2).
    """
    return SimpleRNNStep(h=activation(projected + multiply(h, recurrent_kernel)))  # (2)


class SimpleRNNGradients(NamedTuple):
    """dL/d of each argument of `simple_rnn_step`, shaped like it."""

    projected: Tensor
    h: Tensor
    recurrent_kernel: Tensor | None


def simple_rnn_step_backward(
    step: SimpleRNNStep,
    h: Tensor,
    recurrent_kernel: Tensor,
    d_h: Tensor,
    activation: Any = ops.tanh,
    weights: bool = True,
) -> SimpleRNNGradients:
    """Equation (2) backwards.

    Args:
        step: what the step returned.
        h, recurrent_kernel, activation: as the step had them.
        d_h: dL/dh_t, (batch, units).
        weights: whether to return the gradient by U. A loop does not ask for it: it takes that of all
            steps in one product, `kernel_gradient`.
    """
    d_a = d_h * slope_of(activation)(step.h)  # (2): into the tanh
    return SimpleRNNGradients(
        projected=d_a,  # (2): a_t stands there as it is
        h=multiply_backward(d_a, h, recurrent_kernel),  # (2): through h_{t-1} U
        recurrent_kernel=kernel_gradient(d_a, h) if weights else None,  # (2): likewise
    )


@keras.saving.register_keras_serializable(package="custom_layers")
class SimpleRNNCell(RecurrentCell):
    """One step of a simple recurrent network.

    Args: as `keras.layers.SimpleRNNCell`; see `RecurrentCell` for their meaning.

    Call arguments:
        inputs: (batch, features).
        states: [h], h (batch, units).
        training: whether dropout is applied.

    Returns:
        The output (batch, units), and the new states.
    """

    gates = 1
    draws_masks_in_inference = True  # as Keras's does, and Keras's LSTMCell does not

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
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
            seed_generator=keras.random.SeedGenerator(seed=seed),
            **kwargs,
        )

    def step_with(
        self, parameters: StepParameters, projected: Tensor, states: Sequence[Tensor]
    ) -> SimpleRNNStep:
        h = apply_mask(states[0], parameters.mask)
        return simple_rnn_step(projected, h, parameters.kernel, self.activation)

    def step_backward(
        self,
        parameters: StepParameters,
        record: SimpleRNNStep,
        states: Sequence[Tensor],
        d_states: Sequence[Tensor],
    ) -> CellGradients:
        h = apply_mask(states[0], parameters.mask)
        d = simple_rnn_step_backward(
            record, h, parameters.kernel, d_states[0], self.activation, weights=False
        )
        return CellGradients(d.projected, [apply_mask_backward(d.h, parameters.mask)], {})

    def parameters_backward(
        self,
        parameters: StepParameters,
        records: SimpleRNNStep,
        states: Sequence[Tensor],
        d_projected: Tensor,
    ) -> StepParameters:
        h = apply_mask(states[0], parameters.mask)
        return StepParameters(kernel_gradient(d_projected, h), None, None)


@keras.saving.register_keras_serializable(package="custom_layers")
class SimpleRNN(SingleCellRNN):
    """A simple recurrent network over a sequence.

    Args: as `keras.layers.SimpleRNN`; see `RecurrentCell` and `RNN` for their meaning.

    Call arguments, returned value and errors: see `RNN`.

    >>> import keras, custom_layers
    >>> tuple(custom_layers.SimpleRNN(4, return_sequences=True)(keras.ops.ones((2, 5, 3))).shape)
    (2, 5, 4)
    """

    cell_class: type[SimpleRNNCell] = SimpleRNNCell
    cell_name = "simple_rnn_cell"

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        cell = self.cell_class(
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
            **cell_options(self.cell_name, kwargs),
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
