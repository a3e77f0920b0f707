"""What to do with the states that recurrent layers keep from batch to batch, when a stream begins.

    streams = TextStreams(numbers, batch=64, steps=100)
    model.fit(streams.one_pass(), validation_data=others.one_pass(), callbacks=[StreamStates()])

A layer with `stateful=True` never forgets by itself: the next epoch would begin with the states of the
text's end, and an evaluation would read on where training stopped, and training where that stopped.
"""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from custom_layers.core.shape_check import require


class StreamStates(keras.callbacks.Callback):
    """Reset kept states where an epoch begins its streams anew; give evaluation states of its own.

    An evaluation, within `fit` or by `evaluate`, begins from zero, and so does a `predict`. After it the
    states are those of before: the training goes on as if nobody had evaluated.

    Args:
        at_epochs: whether each epoch of `fit` begins from zero, as one pass over a text does. False
            where the streams go on from epoch to epoch (`TextStreams.endless`).

    Raises: ValueError when the model has no layer with `stateful=True`.
    """

    def __init__(self, at_epochs: bool = True) -> None:
        super().__init__()
        self.at_epochs = at_epochs
        self._set_aside: list[tuple[Any, np.ndarray]] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self.at_epochs:
            reset_states(self.model)

    def on_test_begin(self, logs: Any = None) -> None:
        self._set_aside = [
            (state, np.array(ops.convert_to_numpy(state)))
            for layer in stateful_layers(self.model)
            for state in keras.tree.flatten(getattr(layer, "states", None))
            if state is not None
        ]
        reset_states(self.model)

    def on_test_end(self, logs: Any = None) -> None:
        for state, value in self._set_aside:
            state.assign(value)
        self._set_aside = []

    def on_predict_begin(self, logs: Any = None) -> None:
        self.on_test_begin()

    def on_predict_end(self, logs: Any = None) -> None:
        self.on_test_end()


def reset_states(model: keras.Model) -> None:
    """Set all states that a model's layers have kept to zero.

    Raises: ValueError when no layer keeps any.
    """
    layers = list(stateful_layers(model))
    require(
        bool(layers),
        "reset_states",
        "the model must have a recurrent layer with `stateful=True`",
        f"{model.name} without one",
        "Build the layer with stateful=True, or leave out StreamStates: there is nothing to reset.",
    )
    for layer in layers:
        layer.reset_state()


def stateful_layers(layer: keras.layers.Layer) -> Iterator[Any]:
    """Every layer with `stateful=True` within a model, however deep, Keras's and ours."""
    for inner in layer._flatten_layers(
        include_self=False
    ):  # Keras has no public way to all of them
        if getattr(inner, "stateful", False) and hasattr(inner, "reset_state"):
            yield inner
