"""The network of the page as a model, from Keras's layers or from ours."""

from typing import Any

import keras


def build(layers: Any, units: int, learning_rate: float) -> keras.Model:
    """An Elman network with a logit at every step, compiled.

    Args:
        layers: `keras.layers` or `custom_layers`.
        units: width of the state.
        learning_rate: of Adam.
    """
    model = keras.Sequential(
        [
            keras.Input((None, 1)),
            layers.SimpleRNN(units, return_sequences=True, name="elman"),
            layers.Dense(1, name="logit"),
        ]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(learning_rate), loss, jit_compile=False)
    return model
