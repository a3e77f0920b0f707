"""Three models to plant faults in. None of them was looked at when the limits of `findings` were set.

All have a recurrent layer `recurrent`, a ReLU layer `hidden` and an output layer `out`.
"""

from typing import Any, NamedTuple

import keras
import numpy as np

import custom_layers as layers


class LogOfWindow(keras.layers.Layer):
    """Weigh the steps by log(window), and forget that the window is 0 at step 7."""

    def call(self, inputs):
        steps = keras.ops.arange(inputs.shape[1])
        window = keras.ops.cast(steps != 7, inputs.dtype)
        return inputs + keras.ops.log(window)[:, None]


class Condition(NamedTuple):
    """What may be wrong with a patient; by default nothing is.

    recurrent: makes the recurrent layer of `units`; None is the patient's own. rate: times the learning
    rate that works. spare: whether there is a layer that the loss does not depend on. log: whether
    there is a log(0). frozen: whether `hidden` is.
    """

    steps: int = 20
    recurrent: Any = None
    hidden: dict[str, Any] = {}  # noqa: RUF012
    rate: float = 1
    spare: bool = False
    log: bool = False
    frozen: bool = False


class NextCharacter:
    """Embedding, two recurrent layers, the last state, a softmax over letters; Adam."""

    place = "recurrent"

    def data(self, rng, steps):
        letters = rng.integers(1, 30, (512, steps + 1))
        letters[:, -1] = (letters[:, -2] + letters[:, -3]) % 30
        return letters[:, :-1], letters[:, -1]

    def build(self, has):
        recurrent = has.recurrent or layers.LSTM
        inputs = keras.Input((has.steps,), dtype="int32")
        x = layers.Embedding(30, 24, name="letters")(inputs)
        x = layers.GRU(24, return_sequences=True, name="first")(x)
        x = recurrent(40, name="recurrent")(LogOfWindow(name="log")(x) if has.log else x)
        x = layers.Dense(48, activation="relu", name="hidden", **has.hidden)(x)
        outputs = [layers.Dense(30, name="out")(x)]
        if has.spare:
            outputs.append(layers.Dense(2, name="spare")(x))
        model = keras.Model(inputs, outputs)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(1e-3 * has.rate), [loss] + [None] * has.spare)
        return model


class Wave:
    """A convolution over a signal, both directions of a recurrent layer, dropout, a sigmoid; RMSprop."""

    place = "both/forward_recurrent"

    def data(self, rng, steps):
        high = rng.integers(0, 2, 512)
        pitch = (0.3 + 0.5 * high + 0.05 * rng.standard_normal(512))[:, None]
        wave = np.sin(pitch * np.arange(steps) + rng.uniform(0, 6, (512, 1)))
        noisy = wave + 0.3 * rng.standard_normal(wave.shape)
        return noisy[..., None].astype("float32"), high[:, None].astype("float32")

    def build(self, has):
        recurrent = has.recurrent or layers.GRU
        inputs = keras.Input((has.steps, 1))
        x = keras.layers.Conv1D(16, 3, padding="same", name="filters")(inputs)
        both = layers.Bidirectional(recurrent(20, name="recurrent"), name="both")
        x = both(LogOfWindow(name="log")(x) if has.log else x)
        x = layers.Dropout(0.2, seed=1, name="drop")(x)
        x = layers.Dense(32, activation="relu", name="hidden", **has.hidden)(x)
        outputs = [layers.Dense(1, activation="sigmoid", name="out")(x)]
        if has.spare:
            outputs.append(layers.Dense(2, name="spare")(x))
        model = keras.Model(inputs, outputs)
        optimizer = keras.optimizers.RMSprop(1e-3 * has.rate)
        model.compile(optimizer, ["binary_crossentropy"] + [None] * has.spare)
        return model


class RowsOfAPicture(keras.Model):
    """Subclassed: the rows of a picture one after the other, normalized; SGD with momentum."""

    def __init__(self, has):
        super().__init__(name="rows_of_a_picture")
        recurrent = has.recurrent or layers.LSTM
        self.rows = layers.Dense(24, activation="tanh", name="rows")
        self.log = LogOfWindow(name="log") if has.log else None
        self.recurrent = recurrent(36, name="recurrent")
        self.norm = layers.LayerNormalization(name="norm")
        self.hidden = layers.Dense(40, activation="relu", name="hidden", **has.hidden)
        self.out = layers.Dense(5, name="out")
        self.spare = layers.Dense(2, name="spare") if has.spare else None

    def call(self, inputs):
        x = self.rows(inputs)
        x = self.hidden(self.norm(self.recurrent(x if self.log is None else self.log(x))))
        if self.spare is not None:
            self.spare(x)
        return self.out(x)


class Picture:
    place = "recurrent"

    def data(self, rng, steps):
        label = rng.integers(0, 5, 512)
        pictures = 0.2 * rng.standard_normal((512, steps, 12))
        for picture, column in zip(pictures, label, strict=True):
            picture[-8:, 2 * column : 2 * column + 3] += 1
        return pictures.astype("float32"), label

    def build(self, has):
        model = RowsOfAPicture(has)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.05 * has.rate, momentum=0.9), loss)
        model(np.zeros((2, has.steps, 12), "float32"))
        return model


PATIENTS = {"next character": NextCharacter(), "wave": Wave(), "picture": Picture()}


def patient(name, seed, **condition):
    """The model, 512 examples of its data and their labels."""
    has = Condition(**condition)
    keras.utils.set_random_seed(seed)
    x, y = PATIENTS[name].data(np.random.default_rng(seed), has.steps)
    model = PATIENTS[name].build(has)
    if has.frozen:
        next(layer for layer in model.layers if layer.name == "hidden").trainable = False
    return model, x, y
