r"""Minimal gated unit: a gated recurrent unit whose two gates are one.

    f_t = sigmoid(a_f + h_{t-1} U_f)                 (1) forget gate
    n_t = tanh(a_n + (f_t * h_{t-1}) U_n)            (2) candidate
    h_t = (1 - f_t) * h_{t-1} + f_t * n_t            (3) new state, and the output

a_t = x_t W + b. Shapes: W (features, 2 units), U (units, 2 units), b (2 units,), in slots f, n.
Source: Zhou et al. 2016, arXiv:1603.09420, section 3.
Differs from keras.layers.GRU with `reset_after=False`: the reset gate is f_t and the update gate is
1 - f_t, so that there are two slots for three.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from custom_layers.core.protocols import Tensor
from custom_layers.recurrent.activation_slopes import slope_of
from custom_layers.recurrent.dropout_masks import apply_mask, apply_mask_backward
from custom_layers.recurrent.gate_products import kernel_gradient, multiply_backward
from custom_layers.recurrent.recurrent_cell import CellGradients, StepParameters
from custom_layers.recurrent.simple_rnn import SimpleRNN, SimpleRNNCell


class MinimalGatedUnitStep(NamedTuple):
    """All that one step computes; every field (batch, units)."""

    f: Tensor
    n: Tensor
    h: Tensor


def minimal_gated_unit_step(
    projected: Tensor,
    h: Tensor,
    dropped_h: Any,
    recurrent_kernel: Tensor,
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
) -> MinimalGatedUnitStep:
    """One step of equations (1) to (3).

    Args:
        projected: a_t, (batch, 2 units).
        h: h_{t-1}, (batch, units).
        dropped_h: h_{t-1} as U sees it: `h` itself, or a list with one dropped-out state for each slot.
        recurrent_kernel: U, (units, 2 units).
        activation, recurrent_activation: what stands as tanh and as sigmoid in the equations.
    """
    h_f, h_n = of_each_slot(dropped_h)
    U_f, U_n = ops.split(recurrent_kernel, 2, axis=-1)  # each (units, units)
    a_f, a_n = ops.split(projected, 2, axis=-1)  # each (batch, units)
    f = recurrent_activation(a_f + ops.matmul(h_f, U_f))  # (1)
    n = activation(a_n + ops.matmul(f * h_n, U_n))  # (2)
    return MinimalGatedUnitStep(f, n, h=(1 - f) * h + f * n)  # (3)


def of_each_slot(dropped_h: Any) -> Sequence[Tensor]:
    """h_{t-1} as each of the two blocks of U sees it."""
    return dropped_h if isinstance(dropped_h, (list, tuple)) else 2 * (dropped_h,)


class MinimalGatedUnitGradients(NamedTuple):
    """dL/d of each argument of a step, shaped like it; `h` is what goes by (3) alone."""

    projected: Tensor
    h: Tensor
    dropped_h: Any
    recurrent_kernel: Tensor | None


def minimal_gated_unit_step_backward(
    step: MinimalGatedUnitStep,
    h: Tensor,
    dropped_h: Any,
    recurrent_kernel: Tensor,
    d_h: Tensor,
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
    weights: bool = True,
) -> MinimalGatedUnitGradients:
    """Equations (3) to (1) backwards.

    Args:
        step: what the step returned.
        h, dropped_h, recurrent_kernel, activation, recurrent_activation: as the step had them.
        d_h: dL/dh_t, (batch, units).
        weights: whether to return the gradient by U. A loop does not ask for it: it takes that of all
            steps at once, `recurrent_kernel_gradient`.
    """
    slope, gate_slope = slope_of(activation), slope_of(recurrent_activation)
    h_f, h_n = of_each_slot(dropped_h)
    U_f, U_n = ops.split(recurrent_kernel, 2, axis=-1)
    a_n = d_h * step.f * slope(step.n)  # (3) into the tanh of (2)
    d_fh = multiply_backward(a_n, h_n, U_n)  # (2): gradient of f_t * h_{t-1}
    a_f = (d_h * (step.n - h) + d_fh * h_n) * gate_slope(step.f)  # (3), (2) into the sigmoid of (1)
    d_h_f = multiply_backward(a_f, h_f, U_f)  # (1)
    d_h_n = d_fh * step.f  # (2)
    d_projected = ops.concatenate([a_f, a_n], axis=-1)
    is_list = isinstance(dropped_h, (list, tuple))
    return MinimalGatedUnitGradients(
        projected=d_projected,  # (1), (2): a_t stands there as it is
        h=d_h * (1 - step.f),  # (3): the path that no matrix stands in
        dropped_h=[d_h_f, d_h_n] if is_list else d_h_f + d_h_n,
        recurrent_kernel=(
            recurrent_kernel_gradient(step, dropped_h, d_projected) if weights else None
        ),
    )


def recurrent_kernel_gradient(
    step: MinimalGatedUnitStep, dropped_h: Any, d_projected: Tensor
) -> Tensor:
    """dL/dU of (1), (2): of one step, or of all where the tensors hold all steps."""
    h_f, h_n = of_each_slot(dropped_h)
    return kernel_gradient(d_projected, [h_f, step.f * h_n])


@keras.saving.register_keras_serializable(package="custom_layers")
class MinimalGatedUnitCell(SimpleRNNCell):
    """One step of a minimal gated unit.

    Args: as `SimpleRNNCell`, all but `units` by keyword. Besides,
        recurrent_activation: of the gate.
        implementation: see `RecurrentCell`.

    Call arguments and returned value: as `SimpleRNNCell`.
    """

    gates = 2
    gate_names = ("f", "n")
    draws_masks_in_inference = False

    def __init__(self, units: int, *, recurrent_activation: Any = "sigmoid", **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.recurrent_activation = keras.activations.get(recurrent_activation)

    def step_with(  # type: ignore[override]
        self, parameters: StepParameters, projected: Tensor, states: Sequence[Tensor]
    ) -> MinimalGatedUnitStep:
        return minimal_gated_unit_step(
            projected,
            states[0],
            apply_mask(states[0], parameters.mask),
            parameters.kernel,
            self.activation,
            self.recurrent_activation,
        )

    def step_backward(
        self,
        parameters: StepParameters,
        record: Any,
        states: Sequence[Tensor],
        d_states: Sequence[Tensor],
    ) -> CellGradients:
        d = minimal_gated_unit_step_backward(
            record,
            states[0],
            apply_mask(states[0], parameters.mask),
            parameters.kernel,
            d_states[0],
            self.activation,
            self.recurrent_activation,
            weights=False,
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
        d_kernel = recurrent_kernel_gradient(records, dropped_h, d_projected)
        return StepParameters(d_kernel, None, None)

    def get_config(self) -> dict[str, Any]:
        activation = keras.activations.serialize(self.recurrent_activation)
        return {**super().get_config(), "recurrent_activation": activation}


@keras.saving.register_keras_serializable(package="custom_layers")
class MinimalGatedUnit(SimpleRNN):
    """Minimal gated unit over a sequence.

    Args: as `SimpleRNN`, and by keyword those of `MinimalGatedUnitCell`.

    Call arguments, returned value and errors: see `RNN`. The states are [h].

    >>> import keras, custom_layers
    >>> tuple(custom_layers.MinimalGatedUnit(4)(keras.ops.ones((2, 5, 3))).shape)
    (2, 4)
    """

    cell_class = MinimalGatedUnitCell
    cell_name = "minimal_gated_unit_cell"
