r"""Long short-term memory with batch normalization inside, of each step by itself.

    BN(z; gamma, beta) = gamma * (z - mean(z)) / sqrt(variance(z) + epsilon) + beta     (1)
    a_t = BN_x(x_t W; gamma_x) + b                          (2) input projection, for all steps at once
    u_t = BN_h(h_{t-1} U; gamma_h)                          (3)
    i_t, f_t, o_t = sigmoid(a_t + u_t),  g_t = tanh(a_t + u_t)    each in its slot             (4)
    c_t = f_t * c_{t-1} + i_t * g_t                         (5) cell state, itself not normalized
    h_t = o_t * tanh(BN_c(c_t; gamma_c, beta_c))            (6) new state, and the output

Training: mean and variance are those of the batch, and for each step

    moving <- momentum * moving + (1 - momentum) * batch    (7)

Inference: they are the moving ones of that step, from step `max_steps` on those of that one.

Shapes: W (features, 4 units), U (units, 4 units), b and gamma_x, gamma_h (4 units,), each in slots i,
f, c, o; gamma_c and beta_c (units,); moving means and variances (max_steps, 4 units) and, of c,
(max_steps, units).
Source: Cooijmans et al. 2017, arXiv:1603.09025, section 3; that statistics belong to steps, and that
gamma starts at 0.1, so that the tanh is not saturated, is of sections 3 and 4 there. beta_x and
beta_h are 0 there too: b does their work.
Differs from keras.layers.LSTM: (1), (2), (3), (6) and (7). The mean over a batch has its padded rows in
it: give it sequences of one length.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import (
    require,
    require_positive,
    require_positive_integer,
    require_rate,
)
from custom_layers.recurrent.gate_products import multiply
from custom_layers.recurrent.lstm import LSTM, LSTMCell
from custom_layers.recurrent.recurrent_cell import StepParameters


class Statistics(NamedTuple):
    """Mean and variance over a batch, (features,) or (1, features); of all steps, (steps, features)."""

    mean: Tensor
    variance: Tensor


class BatchNormLSTMStep(NamedTuple):
    """All that one step computes: (batch, units), but means and variances (4 units,) of (3), (units,)
    of (6).
    """

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor
    recurrent_mean: Tensor
    recurrent_variance: Tensor
    state_mean: Tensor
    state_variance: Tensor


class Gains(NamedTuple):
    """gamma_h (4 units,), gamma_c and beta_c (units,), and epsilon."""

    recurrent: Tensor
    state: Tensor
    state_shift: Tensor
    epsilon: float


def statistics_of(z: Tensor) -> Statistics:
    """Those of the batch, the axis before the last; of half precision in float32, as squares need."""
    if keras.backend.standardize_dtype(z.dtype) in ("float16", "bfloat16"):
        z = ops.cast(z, "float32")
    mean = ops.mean(z, axis=-2)
    centred = z - ops.expand_dims(mean, axis=-2)
    return Statistics(mean, ops.mean(ops.square(centred), axis=-2))


def standardized(z: Tensor, statistics: Statistics, epsilon: float) -> Tensor:
    """The fraction of (1), z (..., batch, features), the statistics (..., features)."""
    mean, variance = (ops.expand_dims(value, axis=-2) for value in statistics)
    normalized = (ops.cast(z, mean.dtype) - mean) * ops.rsqrt(variance + epsilon)
    return ops.cast(normalized, z.dtype)


def batch_norm_lstm_step(
    projected: Tensor,
    h: Any,
    c: Tensor,
    recurrent_kernel: Tensor,
    gains: Gains,
    moving: Sequence[Tensor],
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
    c_probe: Tensor | None = None,
) -> BatchNormLSTMStep:
    """One step of equations (3) to (6).

    Args:
        projected, h, c, recurrent_kernel, activation, recurrent_activation, c_probe: as `lstm_step`.
        gains: what (3) and (6) multiply by and add.
        moving: mean and variance of (3), mean and variance of (6), each (features,); none of them in
            training, where they are the batch's.
    """
    product = multiply(h, recurrent_kernel)
    of_product = Statistics(*moving[:2]) if moving else statistics_of(product)
    u = gains.recurrent * standardized(product, of_product, gains.epsilon)  # (3)
    a_i, a_f, a_c, a_o = ops.split(projected + u, 4, axis=-1)  # each (batch, units)
    i = recurrent_activation(a_i)  # (4)
    f = recurrent_activation(a_f)  # (4)
    g = activation(a_c)  # (4)
    o = recurrent_activation(a_o)  # (4)
    c = f * c + i * g  # (5)
    c = c if c_probe is None else c + c_probe
    of_c = Statistics(*moving[2:]) if moving else statistics_of(c)
    shown = gains.state * standardized(c, of_c, gains.epsilon) + gains.state_shift
    return BatchNormLSTMStep(i, f, g, o, c, o * activation(shown), *of_product, *of_c)  # (6)


@keras.saving.register_keras_serializable(package="custom_layers")
class BatchNormLSTMCell(LSTMCell):
    """One step of a long short-term memory with batch normalization; it works in `RNN` alone.

    Args: as `LSTMCell`, all but `units` by keyword. Besides,
        max_steps: int >= 1, how many steps have statistics of their own: those of the longest
            sequence to train on.
        momentum: of (7), in [0, 1).
        epsilon: float > 0, added to each variance; the variance of h_0 U, where h_0 is 0, is 0.
        gamma_initializer: of gamma_x, gamma_h and gamma_c; None is 0.1.

    Weights: `kernel`, `recurrent_kernel`, `bias` as `LSTMCell`; `input_gamma`, `recurrent_gamma`
        (4 units,), `state_gamma`, `state_beta` (units,); not trained, `input_moving_mean`,
        `input_moving_variance` and likewise of `recurrent` and `state`, (max_steps, ...).

    Raises:
        ValueError: `max_steps` below 1, `momentum` outside [0, 1), `epsilon` not above 0; a call that
            hands over one step and not a sequence, as stacks and other loops do.
    """

    statistic_names = BatchNormLSTMStep._fields[6:]

    def __init__(
        self,
        units: int,
        *,
        max_steps: int | None = None,
        momentum: float = 0.9,
        epsilon: float = 1e-5,
        gamma_initializer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(units, **kwargs)
        self.max_steps = require_positive_integer(max_steps, owner=self.name, name="max_steps")
        self.momentum = require_rate(
            momentum,
            owner=self.name,
            name="momentum",
            way_out="It is the share of the moving statistics that a batch leaves as it is.",
        )
        self.epsilon = require_positive(
            epsilon, owner=self.name, name="epsilon", way_out="The default is 1e-5."
        )
        self.gamma_initializer = keras.initializers.get(
            gamma_initializer or keras.initializers.Constant(0.1)
        )

    def build(self, input_shape: Shape) -> None:
        super().build(input_shape)
        wide, narrow = 4 * self.units, self.units
        self.input_gamma = self.add_gain("input_gamma", wide)
        self.recurrent_gamma = self.add_gain("recurrent_gamma", wide)
        self.state_gamma = self.add_gain("state_gamma", narrow)
        self.state_beta = self.add_weight(name="state_beta", shape=(narrow,), initializer="zeros")
        self.input_moving = self.add_moving("input", wide)
        self.recurrent_moving = self.add_moving("recurrent", wide)
        self.state_moving = self.add_moving("state", narrow)

    def add_gain(self, name: str, width: int) -> Any:
        """A gamma of (1)."""
        return self.add_weight(name=name, shape=(width,), initializer=self.gamma_initializer)

    def add_moving(self, name: str, width: int) -> Statistics:
        """Moving mean and variance of every step, which no gradient reaches."""
        weights = [
            self.add_weight(
                name=f"{name}_moving_{which}",
                shape=(self.max_steps, width),
                initializer=start,
                trainable=False,
                autocast=False,  # a variance may be larger than half precision knows
            )
            for which, start in (("mean", "zeros"), ("variance", "ones"))
        ]
        return Statistics(*weights)

    def input_bias(self) -> Tensor | None:
        """None: equation (2) adds b after the normalization."""
        return None

    def project_inputs(self, inputs: Tensor, training: bool = False) -> Any:
        """Equation (2), and in inference the moving statistics that the steps read.

        Args:
            inputs: (steps, batch, features).
            training: whether the statistics are the batch's, and (7) moves.

        Returns: (steps, batch, 4 units); in inference a tuple of that and four arrays (steps, ...).
        """
        require(
            len(inputs.shape) == 3,
            self.name,
            "statistics belong to steps, and one step alone does not say which it is",
            f"inputs.shape={tuple(inputs.shape)}",
            "Use custom_layers.BatchNormLSTM, or this cell alone in custom_layers.RNN.",
        )
        product = super().project_inputs(inputs, training)
        steps = ops.shape(inputs)[0]
        if training:
            statistics = statistics_of(product)
            self.move(self.input_moving, statistics)
        else:
            statistics = self.moving_of(self.input_moving, steps)
        gamma = ops.cast(self.input_gamma, self.compute_dtype)
        projected = gamma * standardized(product, statistics, self.epsilon)
        bias = super().input_bias()
        projected = projected if bias is None else projected + bias
        if training:
            return projected
        recurrent = self.moving_of(self.recurrent_moving, steps)
        return projected, *recurrent, *self.moving_of(self.state_moving, steps)

    def moving_of(self, moving: Statistics, steps: Any) -> Statistics:
        """The moving statistics of so many steps, (steps, ...)."""
        places = ops.minimum(ops.arange(steps, dtype="int32"), self.max_steps - 1)
        return Statistics(*(ops.take(ops.convert_to_tensor(m), places, axis=0) for m in moving))

    def move(self, moving: Statistics, batch: Statistics) -> None:
        """Equation (7); steps beyond `max_steps` move nothing."""
        for variable, value in zip(moving, batch, strict=True):
            seen = ops.cast(ops.stop_gradient(value), variable.dtype)[: self.max_steps]
            steps = ops.shape(seen)[0]
            mixed = self.momentum * variable[:steps] + (1 - self.momentum) * seen
            variable.assign(
                ops.reshape(ops.concatenate([mixed, variable[steps:]], axis=0), variable.shape)
            )

    def take_over(self, statistics: dict[str, Tensor]) -> None:
        """Equation (7) for what the steps normalize."""
        values = [statistics[name] for name in self.statistic_names]
        self.move(self.recurrent_moving, Statistics(*values[:2]))
        self.move(self.state_moving, Statistics(*values[2:]))

    def step_parameters(self, h: Tensor, training: bool) -> StepParameters:
        weights = (self.recurrent_gamma, self.state_gamma, self.state_beta)
        of_product, of_c, shift = (ops.cast(weight, self.compute_dtype) for weight in weights)
        gains = Gains(of_product, of_c, shift, self.epsilon)
        return super().step_parameters(h, training)._replace(others=(gains,))

    def step_with(  # type: ignore[override]
        self,
        parameters: StepParameters,
        projected: Any,
        states: Sequence[Tensor],
        c_probe: Tensor | None = None,
    ) -> BatchNormLSTMStep:
        projected, *moving = projected if isinstance(projected, tuple) else (projected,)
        parameters = parameters._replace(others=(*parameters.others, moving))
        return self.run_step(batch_norm_lstm_step, parameters, projected, states, c_probe)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_steps": self.max_steps,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "gamma_initializer": keras.initializers.serialize(self.gamma_initializer),
        }


@keras.saving.register_keras_serializable(package="custom_layers")
class BatchNormLSTM(LSTM):
    """Long short-term memory with batch normalization, over a sequence.

    Args: as `LSTM`, and by keyword those of `BatchNormLSTMCell`, of which `max_steps` has no default.
        `gradient="bptt"` is refused: the gradients of the normalization are not among those that are
        written by hand.

    Call arguments, returned value and errors: see `RNN`. The states are [h, c]. With `go_backwards`
    statistics belong to places in the sequence, the last of which is the first step.

    >>> import keras, custom_layers
    >>> layer = custom_layers.BatchNormLSTM(4, max_steps=5)
    >>> tuple(layer(keras.random.normal((8, 5, 3)), training=True).shape)
    (8, 4)
    """

    cell_class = BatchNormLSTMCell
    cell_name = "batch_norm_lstm_cell"
