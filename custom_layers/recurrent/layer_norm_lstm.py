r"""Long short-term memory with layer normalization inside.

    LN(z) = alpha * (z - mean(z)) / sqrt(variance(z) + epsilon) + beta        (1) over all entries of z
    a_t = LN_x(x_t W) + b                                   (2) input projection, for all steps at once
    u_t = LN_h(h_{t-1} U)                                   (3)
    i_t, f_t, o_t = sigmoid(a_t + u_t),  g_t = tanh(a_t + u_t)    each in its slot             (4)
    c_t = f_t * c_{t-1} + i_t * g_t                         (5) cell state, itself not normalized
    h_t = o_t * tanh(LN_c(c_t))                             (6) new state, and the output

Shapes: W (features, 4 units), U (units, 4 units), b (4 units,), in slots i, f, c, o; alpha and beta of
LN_x and LN_h (4 units,), one mean for all four slots together, of LN_c (units,).
Source: Ba et al. 2016, arXiv:1607.06450, supplementary material, equations (20) to (22), which have no
epsilon.
Differs from keras.layers.LSTM: (1), (2), (3) and (6). Other libraries normalize each slot by itself.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require_positive
from custom_layers.recurrent.gate_products import multiply
from custom_layers.recurrent.lstm import LSTM, LSTMCell, LSTMStep
from custom_layers.recurrent.recurrent_cell import StepParameters


class Normalization(NamedTuple):
    """What (1) has besides z: alpha and beta, each as wide as z, and epsilon."""

    alpha: Tensor
    beta: Tensor
    epsilon: float


def layer_norm(z: Tensor, norm: Normalization) -> Tensor:
    """Equation (1), over the last axis. Half precision is computed in float32, as the squares need."""
    dtype = keras.backend.standardize_dtype(z.dtype)
    if dtype in ("float16", "bfloat16"):
        z = ops.cast(z, "float32")
    centred = z - ops.mean(z, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    normalized = ops.cast(centred * ops.rsqrt(variance + norm.epsilon), dtype)
    return norm.alpha * normalized + norm.beta


def layer_norm_lstm_step(
    projected: Tensor,
    h: Any,
    c: Tensor,
    recurrent_kernel: Tensor,
    recurrent_norm: Normalization,
    state_norm: Normalization,
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
    c_probe: Tensor | None = None,
) -> LSTMStep:
    """One step of equations (3) to (6).

    Args:
        projected, h, c, recurrent_kernel, activation, recurrent_activation, c_probe: as `lstm_step`.
        recurrent_norm, state_norm: of LN_h and LN_c.
    """
    u = layer_norm(multiply(h, recurrent_kernel), recurrent_norm)  # (3)
    a_i, a_f, a_c, a_o = ops.split(projected + u, 4, axis=-1)  # each (batch, units)
    i = recurrent_activation(a_i)  # (4)
    f = recurrent_activation(a_f)  # (4)
    g = activation(a_c)  # (4)
    o = recurrent_activation(a_o)  # (4)
    c = f * c + i * g  # (5)
    c = c if c_probe is None else c + c_probe
    return LSTMStep(i, f, g, o, c, h=o * activation(layer_norm(c, state_norm)))  # (6)


@keras.saving.register_keras_serializable(package="custom_layers")
class LayerNormLSTMCell(LSTMCell):
    """One step of a long short-term memory with layer normalization.

    Args: as `LSTMCell`, all but `units` by keyword. Besides,
        epsilon: float > 0, added to each variance; the variance of h_0 U, where h_0 is 0, is 0.

    Call arguments and returned value: as `LSTMCell`.

    Weights: `kernel`, `recurrent_kernel`, `bias` as `LSTMCell`; `input_alpha`, `input_beta`,
        `recurrent_alpha`, `recurrent_beta` (4 units,), `state_alpha`, `state_beta` (units,).

    Raises:
        ValueError: `epsilon` not above 0.
    """

    def __init__(self, units: int, *, epsilon: float = 1e-5, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.epsilon = require_positive(
            epsilon, owner=self.name, name="epsilon", way_out="The default is 1e-5."
        )

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        self.input_norm = self.add_normalization("input", 4 * self.units)
        self.recurrent_norm = self.add_normalization("recurrent", 4 * self.units)
        self.state_norm = self.add_normalization("state", self.units)

    def add_normalization(self, name: str, width: int) -> tuple[Any, Any]:
        """The weights alpha and beta of (1)."""
        return (
            self.add_weight(name=f"{name}_alpha", shape=(width,), initializer="ones"),
            self.add_weight(name=f"{name}_beta", shape=(width,), initializer="zeros"),
        )

    def normalization(self, weights: tuple[Any, Any]) -> Normalization:
        """The same in the compute dtype, with epsilon."""
        alpha, beta = (ops.cast(weight, self.compute_dtype) for weight in weights)
        return Normalization(alpha, beta, self.epsilon)

    def input_bias(self) -> Tensor | None:
        """None: equation (2) adds b after the normalization."""
        return None

    def project_inputs(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Equation (2). Arguments and returned value: as `RecurrentCell`."""
        projected = super().project_inputs(inputs, training)
        projected = layer_norm(projected, self.normalization(self.input_norm))
        bias = super().input_bias()
        return projected if bias is None else projected + bias

    def step_parameters(self, h: Tensor, training: bool) -> StepParameters:
        norms = tuple(self.normalization(w) for w in (self.recurrent_norm, self.state_norm))
        return super().step_parameters(h, training)._replace(others=norms)

    def step_with(
        self,
        parameters: StepParameters,
        projected: Tensor,
        states: Sequence[Tensor],
        c_probe: Tensor | None = None,
    ) -> LSTMStep:
        return self.run_step(layer_norm_lstm_step, parameters, projected, states, c_probe)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}


@keras.saving.register_keras_serializable(package="custom_layers")
class LayerNormLSTM(LSTM):
    """Long short-term memory with layer normalization, over a sequence.

    Args: as `LSTM`, and by keyword those of `LayerNormLSTMCell`. `gradient="bptt"` is refused: the
        gradients of the normalization are not among those that are written by hand.

    Call arguments, returned value and errors: see `RNN`. The states are [h, c].

    >>> import keras, custom_layers
    >>> tuple(custom_layers.LayerNormLSTM(4)(keras.ops.ones((2, 5, 3))).shape)
    (2, 4)
    """

    cell_class = LayerNormLSTMCell
    cell_name = "layer_norm_lstm_cell"
