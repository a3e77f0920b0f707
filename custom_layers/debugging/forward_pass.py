"""Call a model as Keras's training step calls it."""

import inspect
from typing import Any

import keras

from custom_layers.core.protocols import Tensor


def forward_pass(model: keras.Model, x: Any, training: bool = True) -> Tensor:
    """The model's prediction; `training` is told only to a model whose `call` asks for it.

    A model that does not ask trains without dropout in Keras's trainer, and is looked at without it.
    """
    if "training" in inspect.signature(model.call).parameters:
        return model(x, training=training)
    return model(x)
