r"""Gated recurrent unit, in both of its variants; the equations are those of `gru_step.py`.

With `reset_after=True`, Keras's default, the reset gate comes after the product with U_n, and `bias` is
the pair b, d, of shape (2, 3 units). With `reset_after=False` it comes before the product, there is no
d, and `bias` is b, of shape (3 units,).
Source: Cho et al. 2014, arXiv:1406.1078v3, section 2.3 (before), and v1 of the same paper (after).
Differs from keras.layers.GRU: `custom_layers.RNN` says where a wrong shape raises; a dropout rate
outside [0, 1) raises, where Keras clamps it; there is no cuDNN kernel, so `use_cudnn=True` raises.
Other libraries exchange z_t and 1 - z_t in (6).
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Tensor
from custom_layers.recurrent.dropout_masks import apply_mask, apply_mask_backward
from custom_layers.recurrent.gru_step import (
    GRUStep,
    ResetAfterStep,
    gru_step_backward_reset_after,
    gru_step_backward_reset_before,
    gru_step_reset_after,
    gru_step_reset_before,
    reset_after_weights_backward,
    reset_before_weights_backward,
)
from custom_layers.recurrent.recurrent_cell import CellGradients, RecurrentCell, StepParameters
from custom_layers.recurrent.single_cell_rnn import SingleCellRNN, cell_options


@keras.saving.register_keras_serializable(package="custom_layers")
class GRUCell(RecurrentCell):
    """One step of a gated recurrent unit.

    Args: as `keras.layers.GRUCell`; see `RecurrentCell` for their meaning. Besides,
        recurrent_activation: of the gates.
        reset_after: which candidate, equation (4) or (5) of `gru_step.py`.

    Call arguments:
        inputs: (batch, features).
        states: [h], h (batch, units).
        training: whether dropout is applied.

    Returns:
        The output (batch, units), and the new states.
    """

    gates = 3
    gate_names = ("z", "r", "n")

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
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
        reset_after: bool = True,
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
        self.reset_after = reset_after

    def bias_shape(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def input_bias(self) -> Tensor | None:
        """Equation (1)'s b; (3 units,), or None without a bias."""
        bias = super().input_bias()
        return bias[0] if bias is not None and self.reset_after else bias

    def recurrent_bias(self) -> Tensor | None:
        """Equation (4)'s d; (3 units,), or None without one."""
        if self.bias is None or not self.reset_after:
            return None
        return ops.cast(self.bias, self.compute_dtype)[1]

    def step_with(
        self, parameters: StepParameters, projected: Tensor, states: Sequence[Tensor]
    ) -> GRUStep | ResetAfterStep:
        h, functions = states[0], (self.activation, self.recurrent_activation)
        dropped_h = apply_mask(h, parameters.mask)
        if self.reset_after:
            return gru_step_reset_after(
                projected, h, dropped_h, parameters.kernel, parameters.bias, *functions
            )
        return gru_step_reset_before(projected, h, dropped_h, parameters.kernel, *functions)

    def step_backward(
        self,
        parameters: StepParameters,
        record: Any,
        states: Sequence[Tensor],
        d_states: Sequence[Tensor],
    ) -> CellGradients:
        backward: Any = gru_step_backward_reset_before
        if self.reset_after:
            backward = gru_step_backward_reset_after
        h, functions = states[0], (self.activation, self.recurrent_activation)
        dropped_h = apply_mask(h, parameters.mask)
        d = backward(
            record, h, dropped_h, parameters.kernel, d_states[0], *functions, weights=False
        )
        d_h = d.h + apply_mask_backward(d.dropped_h, parameters.mask)
        return CellGradients(d.projected, [d_h], {})

    def parameters_backward(
        self,
        parameters: StepParameters,
        records: Any,
        states: Sequence[Tensor],
        d_projected: Tensor,
    ) -> StepParameters:
        dropped_h = apply_mask(states[0], parameters.mask)
        if not self.reset_after:
            d_kernel = reset_before_weights_backward(records, dropped_h, d_projected)
            return StepParameters(d_kernel, None, None)
        d_kernel, d_bias = reset_after_weights_backward(records, dropped_h, d_projected)
        return StepParameters(d_kernel, None if parameters.bias is None else d_bias, None)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "recurrent_activation": keras.activations.serialize(self.recurrent_activation),
            "reset_after": self.reset_after,
        }


@keras.saving.register_keras_serializable(package="custom_layers")
class GRU(SingleCellRNN):
    """Gated recurrent unit over a sequence.

    Args: as `keras.layers.GRU`; see `GRUCell`, `RecurrentCell` and `RNN` for their meaning.

    Call arguments, returned value and errors: see `RNN`. The states are [h].

    >>> import keras, custom_layers
    >>> tuple(custom_layers.GRU(4, return_sequences=True)(keras.ops.ones((2, 5, 3))).shape)
    (2, 5, 4)
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
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
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: Any = "auto",
        **kwargs: Any,
    ) -> None:
        cell = GRUCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
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
            reset_after=reset_after,
            seed=seed,
            **cell_options("gru_cell", kwargs),
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
