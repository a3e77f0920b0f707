r"""The networks of the page, each written once and built from a namespace of layers.

    a   = pool(relu(K_2 * relu(K_1 * x)))          (1) K_1 of 5 x 5 with stride 2, K_2 of 3 x 3
    f   = [relu(W a + b) ; max_places relu(K_3 * a)] (2) where it is ; what it is
    h_t = LSTM(f_t, h_{t-1})                       (3)
    l_t = D h_t + d,  m_t = M h_t + c              (4) logits of the ten digits, of the eight ways

`last frame` and `mean` have a dense layer in the place of (3): of f_T alone, of the mean of all f_t.
"""

from typing import Any, NamedTuple

import keras
import numpy as np

from tutorials.translate_time_series_of_frames.films import SIZE, WAYS, Films

LAST, MEAN, LSTM = "last frame", "mean over frames", "LSTM"
WHERE, WHAT, UNITS = 48, 64, 96


def frame_reader(layers: Any) -> keras.Model:
    """(1) and (2): a frame (batch, SIZE, SIZE, 1) to its features (batch, WHERE + WHAT)."""
    x = keras.Input((SIZE, SIZE, 1), name="frame")
    edges = layers.Conv2D(16, 5, strides=2, activation="relu", name="edges")(x)
    parts = layers.Conv2D(32, 3, activation="relu", name="parts")(edges)
    a = layers.MaxPooling2D(2, name="pool")(parts)
    where = layers.Dense(WHERE, activation="relu", name="where")(keras.layers.Flatten()(a))
    shapes = layers.Conv2D(WHAT, 3, activation="relu", name="shapes")(a)
    what = layers.GlobalMaxPooling2D(name="what")(shapes)
    return keras.Model(x, keras.layers.Concatenate()([where, what]), name="reader")


def network(
    layers: Any, reads: str, steps: int, updates: int, every_frame: bool = False
) -> keras.Model:
    """From films (batch, steps, SIZE, SIZE, 1) to the logits of (4), compiled.

    Args:
        layers: `keras.layers` or `custom_layers`.
        reads: LAST, MEAN or LSTM.
        steps: frames of a film.
        updates: after so many the learning rate has sunk to 0, along a cosine.
        every_frame: of an LSTM: answer after each frame, (batch, steps, classes), and not after the last
            alone, (batch, classes). The weights are the same.
    """
    x = keras.Input((steps, SIZE, SIZE, 1), name="film")
    reader = frame_reader(layers)
    if reads == LAST:
        h = layers.Dense(UNITS, activation="relu", name="hidden")(reader(x[:, -1]))
    else:
        f = layers.TimeDistributed(reader, name="frames")(x)  # (1), (2)
        if reads == MEAN:
            mean = layers.GlobalAveragePooling1D(name="mean")(f)
            h = layers.Dense(UNITS, activation="relu", name="hidden")(mean)
        else:
            h = layers.LSTM(UNITS, return_sequences=every_frame, name="lstm")(f)  # (3)
    digit, way = layers.Dense(10, name="digit"), layers.Dense(WAYS, name="way")
    model = keras.Model(x, [digit(h), way(h)])  # (4)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, updates)
    model.compile(
        keras.optimizers.Adam(rate, clipnorm=1.0),
        [keras.losses.SparseCategoricalCrossentropy(from_logits=True) for _ in range(2)],
        jit_compile=False,  # measured on two cores: no faster compiled, and 12 s to compile
    )
    return model


class Answers(NamedTuple):
    """The most probable digits and ways, each (count,), or (count, steps)."""

    digit: np.ndarray
    way: np.ndarray

    def last(self) -> "Answers":
        """After the last frame, of answers after every frame."""
        return Answers(self.digit[:, -1], self.way[:, -1])


def answers(model: keras.Model, pixels: np.ndarray) -> Answers:
    """What a network says of films (count, steps, SIZE, SIZE)."""
    digit, way = model.predict(pixels[..., None], batch_size=250, verbose=0)
    return Answers(digit.argmax(axis=-1), way.argmax(axis=-1))


def right(said: Answers, films: Films) -> tuple[Any, Any]:
    """Share of digits and of ways that are right: a number each, or one a frame, (steps,)."""
    truth = films.at_every_frame() if said.digit.ndim == 2 else films.at_the_end()
    digit, way = (np.mean(mine == true, axis=0) for mine, true in zip(said, truth, strict=True))
    return digit, way
