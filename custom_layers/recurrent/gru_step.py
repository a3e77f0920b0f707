r"""One step of the gated recurrent unit, in both of its variants, forwards and backwards.

    a_t = x_t W + b                                       (1) input projection, for all steps at once
    z_t = sigmoid(a_z + h_{t-1} U_z + d_z)                (2) update gate
    r_t = sigmoid(a_r + h_{t-1} U_r + d_r)                (3) reset gate
    n_t = tanh(a_n + r_t * (h_{t-1} U_n + d_n))           (4) candidate, reset after the product
    n_t = tanh(a_n + (r_t * h_{t-1}) U_n)                 (5) candidate, reset before the product
    h_t = z_t * h_{t-1} + (1 - z_t) * n_t                 (6) new state, and the output

Shapes: W (features, 3 units), U (units, 3 units), d (3 units,), each in slots z, r, n.
Source: (5) Cho et al. 2014, arXiv:1406.1078v3, section 2.3; (4) the same paper's v1 and cuDNN; the
biases are Keras's.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from keras import ops

from custom_layers.core.protocols import Tensor
from custom_layers.recurrent.activation_slopes import slope_of
from custom_layers.recurrent.gate_products import kernel_gradient, multiply, multiply_backward


class GRUStep(NamedTuple):
    """All that one step computes; every field (batch, units)."""

    z: Tensor
    r: Tensor
    n: Tensor
    h: Tensor


class ResetAfterStep(NamedTuple):
    """The same where the reset comes after the product, u_n = h_{t-1} U_n + d_n."""

    z: Tensor
    r: Tensor
    n: Tensor
    h: Tensor
    u_n: Tensor


def gru_step_reset_after(
    projected: Tensor,
    h: Tensor,
    dropped_h: Tensor,
    recurrent_kernel: Tensor,
    recurrent_bias: Tensor | None,
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
) -> ResetAfterStep:
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
    return ResetAfterStep(z, r, n, h=z * h + (1 - z) * n, u_n=u_n)  # (6)


def gru_step_reset_before(
    projected: Tensor,
    h: Tensor,
    dropped_h: Tensor,
    recurrent_kernel: Tensor,
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
) -> GRUStep:
    """One step of equations (2), (3), (5) and (6), without d. Arguments: as `gru_step_reset_after`."""
    h_z, h_r, h_n = of_each_gate(dropped_h)
    units = h.shape[-1]
    U_zr, U_n = ops.split(recurrent_kernel, [2 * units], axis=-1)
    a_z, a_r, a_n = ops.split(projected, 3, axis=-1)  # each (batch, units)
    u_z, u_r = ops.split(multiply(h_z if h_z is h_r else [h_z, h_r], U_zr), 2, axis=-1)
    z = recurrent_activation(a_z + u_z)  # (2)
    r = recurrent_activation(a_r + u_r)  # (3)
    n = activation(a_n + ops.matmul(r * h_n, U_n))  # (5)
    return GRUStep(z, r, n, h=z * h + (1 - z) * n)  # (6)


def of_each_gate(dropped_h: Any) -> Sequence[Tensor]:
    """h_{t-1} as each of the three blocks of U sees it."""
    return dropped_h if isinstance(dropped_h, (list, tuple)) else 3 * (dropped_h,)


class GRUGradients(NamedTuple):
    """dL/d of each argument of a step, shaped like it; `h` is what goes by (6) alone."""

    projected: Tensor
    h: Tensor
    dropped_h: Any
    recurrent_kernel: Tensor | None
    recurrent_bias: Tensor | None


def gru_step_backward_reset_after(
    step: ResetAfterStep,
    h: Tensor,
    dropped_h: Any,
    recurrent_kernel: Tensor,
    d_h: Tensor,
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
    weights: bool = True,
) -> GRUGradients:
    """Equations (6), (4), (3), (2) backwards.

    Args:
        step: what the step returned.
        h, dropped_h, recurrent_kernel, activation, recurrent_activation: as the step had them.
        d_h: dL/dh_t, (batch, units).
        weights: whether to return the gradients by U and d. A loop does not ask for them: it takes
            those of all steps at once, `reset_after_weights_backward`.
    """
    slope, gate_slope = slope_of(activation), slope_of(recurrent_activation)
    a_n = d_h * (1 - step.z) * slope(step.n)  # (6) into the tanh of (4)
    a_r = a_n * step.u_n * gate_slope(step.r)  # (4) into the sigmoid of (3)
    a_z = d_h * (h - step.n) * gate_slope(step.z)  # (6) into the sigmoid of (2)
    d_projected = ops.concatenate([a_z, a_r, a_n], axis=-1)
    d_recurrent = ops.concatenate([a_z, a_r, a_n * step.r], axis=-1)  # (2), (3), (4)
    of_weights = (None, None)
    if weights:
        of_weights = reset_after_weights_backward(step, dropped_h, d_projected)
    return GRUGradients(
        projected=d_projected,  # (2), (3), (4): a_t stands there as it is
        h=d_h * step.z,  # (6): the path that no matrix stands in
        dropped_h=multiply_backward(d_recurrent, dropped_h, recurrent_kernel),  # (2), (3), (4)
        recurrent_kernel=of_weights[0],
        recurrent_bias=of_weights[1],
    )


def reset_after_weights_backward(
    step: ResetAfterStep, dropped_h: Any, d_projected: Tensor
) -> tuple[Tensor, Tensor]:
    """dL/dU and dL/dd of (2), (3), (4): of one step, or of all where the tensors hold all steps."""
    a_z, a_r, a_n = ops.split(d_projected, 3, axis=-1)
    d_recurrent = ops.concatenate([a_z, a_r, a_n * step.r], axis=-1)  # (2), (3), (4)
    d_bias = ops.sum(d_recurrent, axis=tuple(range(len(d_recurrent.shape) - 1)))
    return kernel_gradient(d_recurrent, dropped_h), d_bias


def gru_step_backward_reset_before(
    step: GRUStep,
    h: Tensor,
    dropped_h: Any,
    recurrent_kernel: Tensor,
    d_h: Tensor,
    activation: Any = ops.tanh,
    recurrent_activation: Any = ops.sigmoid,
    weights: bool = True,
) -> GRUGradients:
    """Equations (6), (5), (3), (2) backwards, without d. Arguments: as the variant above."""
    slope, gate_slope = slope_of(activation), slope_of(recurrent_activation)
    h_z, h_r, h_n = of_each_gate(dropped_h)
    U_z, U_r, U_n = ops.split(recurrent_kernel, 3, axis=-1)
    a_n = d_h * (1 - step.z) * slope(step.n)  # (6) into the tanh of (5)
    d_rh = multiply_backward(a_n, h_n, U_n)  # (5): gradient of r_t * h_{t-1}
    a_r = d_rh * h_n * gate_slope(step.r)  # (5) into the sigmoid of (3)
    a_z = d_h * (h - step.n) * gate_slope(step.z)  # (6) into the sigmoid of (2)
    d_h_z = multiply_backward(a_z, h_z, U_z)  # (2)
    d_h_r = multiply_backward(a_r, h_r, U_r)  # (3)
    d_h_n = d_rh * step.r  # (5)
    d_projected = ops.concatenate([a_z, a_r, a_n], axis=-1)
    is_list = isinstance(dropped_h, (list, tuple))
    return GRUGradients(
        projected=d_projected,  # (2), (3), (5): a_t stands there as it is
        h=d_h * step.z,  # (6): the path that no matrix stands in
        dropped_h=[d_h_z, d_h_r, d_h_n] if is_list else d_h_z + d_h_r + d_h_n,
        recurrent_kernel=(
            reset_before_weights_backward(step, dropped_h, d_projected) if weights else None
        ),
        recurrent_bias=None,
    )


def reset_before_weights_backward(step: GRUStep, dropped_h: Any, d_projected: Tensor) -> Tensor:
    """dL/dU of (2), (3), (5): of one step, or of all where the tensors hold all steps."""
    h_z, h_r, h_n = of_each_gate(dropped_h)
    return kernel_gradient(d_projected, [h_z, h_r, step.r * h_n])  # (5): U_n sees r_t * h_{t-1}
