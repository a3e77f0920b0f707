r"""Networks that say the next picture of a film, and the same run on what they have said themselves.

    h_t, c_t = ConvLSTM(x_t, h_{t-1}, c_{t-1})        (1)
    p_{t+1}  = sigmoid(h_t * V + b)                   (2) of each pixel: how bright

Taught, x_t is the true frame at each step. Free, from step SEEN + 1 on, x_t = p_t (3).
"""

from typing import Any

import keras

from tutorials.conv_lstm.films import AHEAD, PATCH, SEEN, SIZE

CHANNELS = PATCH**2


def next_frame(
    layers: Any, filters: int = 32, kernel: int = 3, size: int = SIZE, **options: Any
) -> keras.Model:
    """Equations (1) and (2): (batch, steps, side, side, CHANNELS) to the frames after each, compiled.

    Args:
        layers: `keras.layers` or `custom_layers`.
        filters, kernel: of the ConvLSTM; the kernel of (2) is as large.
        size: pixels of the films' side.
        **options: of the ConvLSTM.
    """
    side = size // PATCH
    frames = keras.Input((None, side, side, CHANNELS), name="frames")
    memory = layers.ConvLSTM2D(
        filters,
        kernel,
        padding="same",
        return_sequences=True,
        return_state=True,
        name="memory",
        **options,
    )
    picture = layers.Conv3D(  # over one step at a time: (2) at every step
        CHANNELS, (1, kernel, kernel), padding="same", activation="sigmoid", name="picture"
    )
    states, *_ = memory(frames)
    return _compiled(keras.Model(frames, picture(states)), 3e-3)


def dense_next_frame(layers: Any, units: int = 256, size: int = SIZE) -> keras.Model:
    """The same with an LSTM that sees a picture as a row of numbers, each place a feature of its own."""
    side = size // PATCH
    frames = keras.Input((None, side, side, CHANNELS), name="frames")
    rows = keras.layers.Reshape((-1, size**2))(frames)
    states = layers.LSTM(units, return_sequences=True, name="memory")(rows)
    said = layers.Dense(size**2, activation="sigmoid", name="picture")(states)
    return _compiled(
        keras.Model(frames, keras.layers.Reshape((-1, side, side, CHANNELS))(said)), 3e-3
    )


def running_free(model: keras.Model, seen: int = SEEN, ahead: int = AHEAD) -> keras.Model:
    """Equation (3), with the very layers of `model`: frames seen in, frames ahead out, compiled."""
    memory, picture = model.get_layer("memory"), model.get_layer("picture")
    frames = keras.Input((seen, *model.input_shape[2:]), name="seen")
    states, *memories = memory(frames)
    said = [picture(states[:, -1:])]
    while len(said) < ahead:
        states, *memories = memory(said[-1], initial_state=memories)
        said.append(picture(states))
    return _compiled(keras.Model(frames, keras.ops.concatenate(said, axis=1)), 1e-3)


def _compiled(model: keras.Model, learning_rate: float) -> keras.Model:
    adam = keras.optimizers.Adam(learning_rate, clipnorm=1.0)
    model.compile(adam, keras.losses.BinaryCrossentropy(), jit_compile=False)
    return model
