"""Training on streams, and what is measured on the way: nats per character."""

from typing import Any, NamedTuple

import keras
import numpy as np

from custom_layers.data import TextStreams
from custom_layers.training import StreamStates
from tutorials.side_by_side import BatchLosses


class Curve(NamedTuple):
    """After each epoch: characters read so far, and the mean nats per character on both texts."""

    characters: list[int]
    training: list[float]
    validation: list[float]

    @property
    def best(self) -> float:
        """The lowest on validation."""
        return min(self.validation)


def compiled(model: keras.Model, rate: float, updates: int, jit: bool = True) -> keras.Model:
    """Adam, whose rate falls from `rate` along a half cosine to 0 at `updates`, and a clipped gradient.

    The loss is the mean cross-entropy in nats per character. With `jit` one step is one XLA program:
    with `gradient="bptt"` the fastest way on a CPU, after some seconds of compiling, but for a model
    with dropout: XLA draws its random masks so slowly there that a step takes five times as long.
    """
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(rate, updates), global_clipnorm=1.0
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit,
    )
    return model


def learn(
    model: keras.Model,
    training: TextStreams,
    validation: TextStreams,
    epochs: int,
    *,
    callbacks: Any = (),
    first_epoch: int = 0,
) -> Curve:
    """`fit`, one pass over the streams an epoch, with kept states reset where a pass begins."""
    keeps = any(getattr(layer, "stateful", False) for layer in model.layers)
    history = model.fit(
        training.one_pass(),
        shuffle=False,
        validation_data=validation.one_pass(),
        epochs=epochs,
        initial_epoch=first_epoch,
        callbacks=[*([StreamStates()] if keeps else []), *callbacks],
        verbose=2,
    ).history
    characters = training.windows * training.batch * training.steps
    return Curve(
        [characters * (epoch + 1) for epoch in range(first_epoch, epochs)],
        history["loss"],
        history["val_loss"],
    )


def learn_text(
    model: keras.Model,
    texts: tuple[np.ndarray, np.ndarray],
    steps: int,
    passes: int,
    *,
    rate: float,
    jit: bool,
    callbacks: Any = (),
) -> Curve:
    """Compile a model and train it on a text, to be validated on another.

    Args:
        texts: numbers of the characters to learn from, and of those to validate on.
        steps: length of a window.
        passes: over the text, as many epochs.
    """
    batch = model.inputs[0].shape[0]
    training, validation = (TextStreams(text, batch, steps) for text in texts)
    compiled(model, rate, passes * training.windows, jit)
    return learn(model, training, validation, passes, callbacks=callbacks)


def first_losses(
    model: keras.Model, streams: TextStreams, updates: int, callbacks: Any = ()
) -> np.ndarray:
    """The losses of the first updates on endless streams, (updates,)."""
    told = BatchLosses()
    model.fit(
        streams.endless(),
        shuffle=False,
        steps_per_epoch=updates,
        callbacks=[told, *callbacks],
        verbose=0,
    )
    return np.array(told.losses)


def nats_of(model: keras.Model, numbers: np.ndarray, steps: int = 100) -> float:
    """Mean nats per character of a whole text, its rows read from zero states to their end.

    Args:
        model: compiled; its batch is the number of rows, and few rows leave few characters that are
            read with little before them.
    """
    streams = TextStreams(numbers, model.inputs[0].shape[0], steps)
    return float(model.evaluate(streams.one_pass(), callbacks=[StreamStates()], verbose=0))


def cross_entropies(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """-log softmax(logits)[target] in nats: (..., vocabulary) and (...) give (...)."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=-1))
    return log_total - np.take_along_axis(shifted, targets[..., None], axis=-1)[..., 0]


def nats_by_place(model: keras.Model, numbers: np.ndarray, steps: int) -> np.ndarray:
    """Mean nats of the first, second, ... character of all windows of a text, (steps,).

    A model that keeps its states begins from zero and carries them on; another begins each window anew.
    """
    batch = model.inputs[0].shape[0]
    streams = TextStreams(numbers, batch, steps)
    keeps = any(getattr(layer, "stateful", False) for layer in model.layers)
    logits = model.predict(
        streams.one_pass(), callbacks=[StreamStates()] if keeps else [], verbose=0
    )
    targets = np.concatenate([streams.window(n)[1] for n in range(streams.windows)])
    return cross_entropies(logits, targets).mean(axis=0)
