"""The built-in layers and ours, trained by `fit` from the same weights on the same batches."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

import custom_layers


class BatchLosses(keras.callbacks.Callback):
    """The loss of every batch, where Keras's logs have the mean of the epoch up to now."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.losses.append(float((logs or {})["loss"]))


class Pair(NamedTuple):
    """Two networks that have been trained alike.

    custom: of our layers, what the builder returned. losses: (2, batches), the built-in first.
    """

    custom: Any
    losses: np.ndarray

    def apart(self, batches: int) -> float:
        """Largest difference of the losses of the first batches, relative to their size or to 1."""
        builtin, own = self.losses[:, :batches]
        return float(np.max(np.abs(own - builtin) / np.maximum(1, np.abs(builtin))))


def train_both(build: Callable[[Any], Any], x: Any, y: Any, seed: int = 0, **options: Any) -> Pair:
    """Build from `keras.layers` and from `custom_layers`, start alike, train both.

    Args:
        build: takes a namespace, returns a compiled model, or what has one as `training`.
        x, y: to learn; the batches are taken as they lie, or shuffled alike.
        options: of `fit`.
    """
    start, losses, built = None, [], None
    for layers in (keras.layers, custom_layers):
        keras.utils.set_random_seed(seed)
        built = build(layers)
        model = getattr(built, "training", built)
        if start is not None:
            model.set_weights(start)
        start = model.get_weights()
        seen = BatchLosses()
        keras.utils.set_random_seed(seed)  # for the order of the batches
        model.fit(x, y, verbose=0, callbacks=[seen], **options)
        losses.append(seen.losses)
    return Pair(built, np.array(losses))
