r"""Slopes of activations, written in terms of what the activation puts out.

    y = f(a),   slope(y) = f'(a)          tanh: 1 - y^2,   sigmoid: y (1 - y),   relu: [y > 0], ...

A step record holds gates after their activation, so that a backward step needs nothing else. Only
activations that never fall can be written so: where two inputs have one output, as in silu and gelu,
their slopes differ. At a kink the slope is one of its two sides.
"""

from collections.abc import Callable
from typing import Any

from keras import activations, ops

from custom_layers.core.protocols import Tensor
from custom_layers.core.shape_check import require

Slope = Callable[[Tensor], Tensor]
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer 2017, arXiv:1706.02515


def _one_where(condition: Tensor, y: Tensor) -> Tensor:
    return ops.cast(condition, y.dtype)


def _of_selu(y: Tensor) -> Tensor:
    return ops.where(y > 0, SELU_SCALE * ops.ones_like(y), y + SELU_SCALE * SELU_ALPHA)


SLOPES: dict[Any, Slope] = {
    activations.linear: ops.ones_like,
    activations.tanh: lambda y: 1 - y * y,
    activations.sigmoid: lambda y: y * (1 - y),
    activations.exponential: lambda y: y,
    activations.softplus: lambda y: -ops.expm1(-y),
    activations.log_sigmoid: lambda y: -ops.expm1(y),
    activations.softsign: lambda y: ops.square(1 - ops.abs(y)),
    activations.squareplus: lambda y: y * y / (y * y + 1),
    activations.relu: lambda y: _one_where(y > 0, y),
    activations.relu6: lambda y: _one_where((y > 0) & (y < 6), y),
    activations.elu: lambda y: ops.where(y > 0, ops.ones_like(y), y + 1),
    activations.celu: lambda y: ops.where(y > 0, ops.ones_like(y), y + 1),
    activations.selu: _of_selu,
    activations.hard_sigmoid: lambda y: _one_where((y > 0) & (y < 1), y) / 6,
    activations.sparse_sigmoid: lambda y: _one_where((y > 0) & (y < 1), y) / 2,
    activations.hard_tanh: lambda y: _one_where((y > -1) & (y < 1), y),
    activations.hard_shrink: lambda y: _one_where(ops.not_equal(y, 0), y),
    activations.soft_shrink: lambda y: _one_where(ops.not_equal(y, 0), y),
}
SLOPES |= {ops.tanh: SLOPES[activations.tanh], ops.sigmoid: SLOPES[activations.sigmoid]}


def slope_of(activation: Any) -> Slope:
    """f' as a function of y = f(a).

    Args:
        activation: f, a function of `keras.activations` with its default settings.

    Raises:
        ValueError: f has no slope here.
    """
    names = ", ".join(sorted({a.__name__ for a in SLOPES}))
    require(
        activation in SLOPES,
        'gradient="bptt"',
        f"`activation` must be one whose slope is written down by its output: {names}",
        f"activation={getattr(activation, '__name__', activation)!r}",
        'Use gradient="autodiff", which differentiates any activation.',
    )
    return SLOPES[activation]
