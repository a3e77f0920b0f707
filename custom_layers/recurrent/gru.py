r"""Gated recurrent unit, in both of its variants.

    a_t = x_t W + b                                       (1) input projection, for all steps at once
    z_t = sigmoid(a_z + h_{t-1} U_z + d_z)                (2) update gate
    r_t = sigmoid(a_r + h_{t-1} U_r + d_r)                (3) reset gate
    n_t = tanh(a_n + r_t * (h_{t-1} U_n + d_n))           (4) candidate, reset after the product
    n_t = tanh(a_n + (r_t * h_{t-1}) U_n)                 (5) candidate, reset before the product
    h_t = z_t * h_{t-1} + (1 - z_t) * n_t                 (6) new state, and the output

With `reset_after=True`, Keras's default, (4) holds and `bias` is the pair b, d, of shape
(2, 3 units). With `reset_after=False` (5) holds, there is no d, and `bias` is b, of shape (3 units,).
Shapes: W (features, 3 units), U (units, 3 units), each in slots z, r, n.
Source: (5) Cho et al. 2014, arXiv:1406.1078v3, section 2.3; (4) the same paper's v1 and cuDNN; the
biases are Keras's.
Differs from keras.layers.GRU: `custom_layers.RNN` says where a wrong shape raises; a dropout rate
outside [0, 1) raises, where Keras clamps it; there is no cuDNN kernel, so `use_cudnn=True` raises.
Other libraries exchange z_t and 1 - z_t in (6).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from custom_layers.core.protocols import Tensor
from custom_layers.recurrent.recurrent_cell import RecurrentCell, multiply
from custom_layers.recurrent.single_cell_rnn import SingleCellRNN, cell_options


class GRUStep(NamedTuple):
    """All that one step computes; every field (batch, units)."""

    z: Tensor
    r: Tensor
    n: Tensor
    h: Tensor


def gru_step_reset_after(
    projected: Tensor,
    h: Tensor,
    dropped_h: Tensor,
    recurrent_kernel: Tensor,
    recurrent_bias: Tensor | None,
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
) -> GRUStep:
    """One step of equations (2), (3), (4) and (6).

    Args:
        projected: a_t of (1), (batch, 3 units).
        h: h_{t-1}, (batch, units).
        dropped_h: h_{t-1} as U sees it: `h` itself, or a list with one dropped-out state for each gate.
        recurrent_kernel: U, (units, 3 units).
        recurrent_bias: d, (3 units,), or None.
        activation, recurrent_activation: what stands as tanh and as sigmoid in the equations.
    """
    recurrent = multiply(dropped_h, recurrent_kernel)
    if recurrent_bias is not None:
        recurrent = recurrent + recurrent_bias
    a_z, a_r, a_n = ops.split(projected, 3, axis=-1)  # each (batch, units)
    u_z, u_r, u_n = ops.split(recurrent, 3, axis=-1)  # each (batch, units)
    z = recurrent_activation(a_z + u_z)  # (2)
    r = recurrent_activation(a_r + u_r)  # (3)
    n = activation(a_n + r * u_n)  # (4)
    return GRUStep(z, r, n, h=z * h + (1 - z) * n)  # (6)


def gru_step_reset_before(
    projected: Tensor,
    h: Tensor,
    dropped_h: Tensor,
    recurrent_kernel: Tensor,
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
) -> GRUStep:
    """One step of equations (2), (3), (5) and (6), without d. Arguments: as `gru_step_reset_after`."""
    h_z, h_r, h_n = dropped_h if isinstance(dropped_h, (list, tuple)) else 3 * (dropped_h,)
    units = h.shape[-1]
    U_zr, U_n = ops.split(recurrent_kernel, [2 * units], axis=-1)
    a_z, a_r, a_n = ops.split(projected, 3, axis=-1)  # each (batch, units)
    u_z, u_r = ops.split(multiply(h_z if h_z is h_r else [h_z, h_r], U_zr), 2, axis=-1)
    z = recurrent_activation(a_z + u_z)  # (2)
    r = recurrent_activation(a_r + u_r)  # (3)
    n = activation(a_n + ops.matmul(r * h_n, U_n))  # (5)
    return GRUStep(z, r, n, h=z * h + (1 - z) * n)  # (6)


@keras.saving.register_keras_serializable(package="custom_layers")
class GRUCell(RecurrentCell):
    """One step of a gated recurrent unit.

    Args: as `keras.layers.GRUCell`; see `RecurrentCell` for their meaning. Besides,
        recurrent_activation: of the gates.
        reset_after: which candidate, equation (4) or (5) of this file.

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

    def step(self, projected: Tensor, states: Sequence[Tensor], training: bool = False) -> GRUStep:
        h = states[0]
        dropped_h = self.dropped_state(h, training)
        recurrent_kernel = ops.cast(self.recurrent_kernel, self.compute_dtype)
        functions = self.activation, self.recurrent_activation
        if self.reset_after:
            return gru_step_reset_after(
                projected, h, dropped_h, recurrent_kernel, self.recurrent_bias(), *functions
            )
        return gru_step_reset_before(projected, h, dropped_h, recurrent_kernel, *functions)

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
