"""The network of the page: a window of the past in degrees, a recurrent layer, forecasts in degrees."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

import custom_layers
from custom_layers.training import PinballLoss
from tutorials.forecasting.examples import Examples


def scalings(layers: Any, train: np.ndarray) -> tuple[Any, Any]:
    """Into the network's unit and out of it again, fitted on the training part alone.

    Args:
        layers: `custom_layers`, or `keras.layers`.
        train: (rows, features) of the training part; the first feature is what is forecast.

    Returns: a layer for all features, and one that puts forecasts back into the unit of the first.
    """
    if layers is custom_layers:
        scale = layers.StandardScaling()
        scale.adapt(train)
        return scale, scale.inverted(feature=0)
    scale, back = layers.Normalization(), layers.Normalization(axis=None, invert=True)
    scale.adapt(train)
    back.adapt(train[:, 0])
    return scale, back


def build(
    layers: Any,
    train: Examples,
    *,
    units: int = 32,
    quantiles: Sequence[float] = (),
    rate: float = 3e-3,
    jit_compile: bool = True,
    **options: Any,
) -> keras.Model:
    """A compiled model from (batch, width, features) to (batch, horizon), in the unit of the series.

    Args:
        layers: the namespace that it is built from.
        train: for the sizes, and for the scaling.
        units: of the recurrent layer.
        quantiles: forecast these, (batch, horizon, quantiles), in place of the median alone.
        rate: learning rate of Adam.
        jit_compile: with XLA, which takes seconds once and makes each step shorter.
        **options: of the recurrent layer, such as `gradient="bptt"`.
    """
    width, features = train.x.shape[1:]
    horizon = train.y.shape[1]
    scale, back = scalings(layers, train.x.reshape(-1, features))
    inputs = keras.Input((width, features))
    state = layers.GRU(units, **options)(scale(inputs))
    numbers = layers.Dense(horizon * max(1, len(quantiles)))(state)
    if quantiles:
        numbers = keras.layers.Reshape((horizon, len(quantiles)))(numbers)
    model = keras.Model(inputs, back(numbers))
    loss = PinballLoss(quantiles) if quantiles else "mae"
    model.compile(keras.optimizers.Adam(rate), loss, jit_compile=jit_compile)
    return model


class Learnt(NamedTuple):
    """What became of one seed: the least validation loss, the epoch it came after, the model."""

    validation: float
    epochs: int
    model: keras.Model


class Restarts:
    """One compiled model, trained anew from each seed: XLA compiles it once, not once a seed."""

    def __init__(self, build_model: Callable[[], keras.Model]) -> None:
        self.build_model = build_model
        self.model = build_model()
        self.model.optimizer.build(self.model.trainable_variables)
        self._optimizer = [np.array(v) for v in self.model.optimizer.variables]

    def at(self, seed: int) -> keras.Model:
        """The model as it is before its first step."""
        keras.utils.set_random_seed(seed)
        self.model.set_weights(self.build_model().get_weights())
        for variable, value in zip(self.model.optimizer.variables, self._optimizer, strict=True):
            variable.assign(value)
        return self.model

    def learn(
        self, seed: int, train: Examples, validation: Examples, epochs: int, batch: int = 64
    ) -> Learnt:
        """Train until the validation part has not gained for eight epochs; keep the best weights.

        The model is the same object for every seed: ask it before the next one begins.
        """
        model = self.at(seed)
        best = keras.callbacks.EarlyStopping("val_loss", patience=8, restore_best_weights=True)
        held = (validation.x, validation.y)
        history = model.fit(
            *(train.x, train.y, batch),
            epochs=epochs,
            validation_data=held,
            validation_batch_size=len(validation.x),
            callbacks=[best],
            verbose=0,
        ).history["val_loss"]
        return Learnt(min(history), int(np.argmin(history)) + 1, model)


def restarts(train: Examples, **options: Any) -> Restarts:
    """A network of our layers; the options are those of `build`."""
    return Restarts(functools.partial(build, custom_layers, train, **options))


def forecast(model: keras.Model, given: Examples) -> np.ndarray:
    """What the model says of each example, in the series' unit: (examples, horizon[, quantiles])."""
    found = np.asarray(model(given.x, training=False))
    return found + given.last.reshape(len(found), *(1,) * (found.ndim - 1))


def recursive(model: keras.Model, given: Examples, calendar: np.ndarray) -> np.ndarray:
    """A forecast of many steps by a model of one: it eats its own forecasts.

    Args:
        model: from (batch, width, 1 + kinds) to (batch, 1).
        given: examples of the whole horizon, not relative; their targets are not looked at.
        calendar: (all rows, kinds).

    Returns: (examples, horizon).
    """
    x, found = given.x, []
    for k in range(given.rows.shape[1]):
        found.append(np.asarray(model(x, training=False)))
        step = np.concatenate([found[-1], calendar[given.rows[:, k]]], axis=-1)[:, None]
        x = np.concatenate([x[:, 1:], step.astype("float32")], axis=1)
    return np.concatenate(found, axis=1)
