"""The network of the page as a model, from Keras's layers or from ours."""

from typing import Any

import keras

import custom_layers


def build(layers: Any, units: int, learning_rate: float) -> keras.Model:
    """An Elman network with a logit at every step, compiled.

    In float64: where a network finds the trick all at once, float32 makes 1e-4 of one rounding.

    Args:
        layers: `keras.layers` or `custom_layers`.
        units: width of the state.
        learning_rate: of Adam.
    """
    model = keras.Sequential(
        [
            keras.Input((None, 1), dtype="float64"),
            layers.SimpleRNN(units, return_sequences=True, dtype="float64", name="elman"),
            layers.Dense(1, dtype="float64", name="logit"),
        ]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True, dtype="float64")
    model.compile(keras.optimizers.Adam(learning_rate), loss, jit_compile=False)
    return model


def build_without_loop(units: int, learning_rate: float) -> keras.Model:
    """The same without a memory: at every step a layer that reads this input alone; float32."""
    model = keras.Sequential(
        [custom_layers.Dense(units, activation="tanh"), custom_layers.Dense(1)]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(learning_rate), loss, jit_compile=False)
    return model
