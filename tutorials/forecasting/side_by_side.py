"""The network from Keras's layers and from ours; and what a recorder reads from ours."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

import custom_layers
from custom_layers.debugging import record
from tutorials.forecasting import networks
from tutorials.forecasting.examples import Examples


def apart_after_an_epoch(
    train: Examples, asked: Examples, jit_compile: bool, **own_options: Any
) -> float:
    """Train both from the same weights on the same batches; compare what they forecast.

    Args:
        train: to learn from, in the order of time.
        asked: what is forecast after it.
        jit_compile: of both.
        **own_options: of our GRU, which Keras's does not have.

    Returns: the largest difference, as a share of the largest forecast.
    """
    keras.utils.set_random_seed(0)
    builtin = networks.build(keras.layers, train, jit_compile=jit_compile)
    own = networks.build(custom_layers, train, jit_compile=jit_compile, **own_options)
    for mine, other in zip(own.trainable_variables, builtin.trainable_variables, strict=True):
        mine.assign(other)
    found = []
    for model in (own, builtin):
        model.fit(train.x, train.y, batch_size=64, epochs=1, shuffle=False, verbose=0)
        found.append(networks.forecast(model, asked))
    return float(np.abs(found[0] - found[1]).max() / np.abs(found[1]).max())


def reach_of(model: keras.Model, x: np.ndarray) -> np.ndarray:
    """What each day of the window still weighs: |d forecast / d state|, as a share of the last day's.

    Args:
        model: of ours.
        x: (batch, width, features).

    Returns: (width,).
    """
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x))
    recording = trace.read(tape, loss)
    (state,) = (quantity for name, quantity in recording.items() if name.endswith("/h"))
    norms = state.gradient_norms().numpy()
    return norms / norms[-1]
