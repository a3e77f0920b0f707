"""Call a model as Keras's training step calls it."""

import inspect
from typing import Any

import keras

from custom_layers.core.protocols import Tensor
from custom_layers.core.shape_check import require


def require_compiled(model: keras.Model, owner: str) -> None:
    """Raises ValueError: a model that is not compiled."""
    require(
        getattr(model, "compiled", False),
        owner,
        "a model that is not compiled has no loss",
        f"model={model.name!r}",
        "Call model.compile(optimizer, loss) first.",
    )


def forward_pass(model: keras.Model, x: Any, training: bool = True) -> Tensor:
    """The model's prediction; `training` is told only to a model whose `call` asks for it.

    A model that does not ask trains without dropout in Keras's trainer, and is looked at without it.
    """
    if "training" in inspect.signature(model.call).parameters:
        return model(x, training=training)
    return model(x)


def loss_of(
    model: keras.Model, x: Any, y: Any, prediction: Any, sample_weight: Any, training: bool = True
) -> Tensor:
    """The loss as the training step computes it.

    By Keras's own detour, which leaves `training` out for a `compute_loss` that does not know it.
    """
    return model._compute_loss(
        x=x, y=y, y_pred=prediction, sample_weight=sample_weight, training=training
    )
