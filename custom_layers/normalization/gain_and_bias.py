"""gamma and beta, the gain and the bias that follow a normalization.

    y = gamma * x_hat + beta      (1)

Each exists or not (`scale`, `center`), and has an initializer, a regularizer and a constraint.
"""

from collections.abc import Sequence
from typing import Any

from keras import constraints, initializers, regularizers

from custom_layers.core.protocols import Tensor
from custom_layers.normalization.axes import along


def gain_and_bias(
    x_hat: Tensor, gamma: Tensor | None, beta: Tensor | None, axis: Sequence[int]
) -> Tensor:
    """Equation (1), without what is None."""
    y = x_hat
    if gamma is not None:
        y = y * along(gamma, x_hat, axis)
    if beta is not None:
        y = y + along(beta, x_hat, axis)
    return y


def add_gain_and_bias(
    layer: Any, shape: tuple[int, ...], scale: bool, center: bool
) -> tuple[Any, Any]:
    """Add the weights `gamma` and `beta` to a layer; None for one that is not wanted.

    They stay in the layer's variable dtype: the step computes in float32 or better.
    """
    gamma = beta = None
    if scale:
        gamma = layer.add_weight(
            name="gamma",
            shape=shape,
            initializer=layer.gamma_initializer,
            regularizer=layer.gamma_regularizer,
            constraint=layer.gamma_constraint,
            autocast=False,
        )
    if center:
        beta = layer.add_weight(
            name="beta",
            shape=shape,
            initializer=layer.beta_initializer,
            regularizer=layer.beta_regularizer,
            constraint=layer.beta_constraint,
            autocast=False,
        )
    return gamma, beta


def gain_and_bias_config(layer: Any) -> dict[str, Any]:
    """The part of a layer's configuration that is about gamma and beta."""
    return {
        "center": layer.center,
        "scale": layer.scale,
        "beta_initializer": initializers.serialize(layer.beta_initializer),
        "gamma_initializer": initializers.serialize(layer.gamma_initializer),
        "beta_regularizer": regularizers.serialize(layer.beta_regularizer),
        "gamma_regularizer": regularizers.serialize(layer.gamma_regularizer),
        "beta_constraint": constraints.serialize(layer.beta_constraint),
        "gamma_constraint": constraints.serialize(layer.gamma_constraint),
    }
