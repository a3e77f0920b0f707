r"""The smallest network whose loss has a cliff: one unit, no inputs, two weights, fifty steps.

    h_t = sigmoid(w h_{t-1} + b)        h_0 = 0        (4)
    L(w, b) = (h_50 - 0.7)^2                           (5)

After figure 6 of Pascanu et al. 2013, arXiv:1211.5063.
"""

from typing import Any, NamedTuple

import keras
import numpy as np

from tutorials.side_by_side import BatchLosses

STEPS, TARGET = 50, 0.7
START = (6.0, -2.9)  # w and b, on the plateau before the cliff
RATE = 0.3


def states(w: Any, b: Any) -> list[np.ndarray]:
    """(4): h_0 to h_50, of arrays that broadcast."""
    h = [np.zeros(np.broadcast_shapes(np.shape(w), np.shape(b)))]
    for _ in range(STEPS):
        h.append(1 / (1 + np.exp(-(w * h[-1] + b))))
    return h


def loss(w: Any, b: Any) -> np.ndarray:
    """(5), of arrays that broadcast."""
    return (states(w, b)[-1] - TARGET) ** 2


def gradient(w: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
    """dL/dw and dL/db, of arrays that broadcast: back-propagation through (4)."""
    path = states(w, b)
    d_h = 2 * (path[-1] - TARGET)
    d_w, d_b = np.zeros_like(d_h), np.zeros_like(d_h)
    for before, h in zip(path[-2::-1], path[:0:-1], strict=True):
        a = d_h * h * (1 - h)
        d_w, d_b, d_h = d_w + a * before, d_b + a, a * w
    return d_w, d_b


class Descent(NamedTuple):
    """A descent: w, b and L before each update, (updates,) each."""

    w: np.ndarray
    b: np.ndarray
    loss: np.ndarray

    @property
    def norm(self) -> np.ndarray:
        """Of the gradient by both weights."""
        return np.hypot(*gradient(self.w, self.b))

    @property
    def strides(self) -> np.ndarray:
        """How far each update but the last has gone."""
        return np.hypot(np.diff(self.w), np.diff(self.b))


class Weights(keras.callbacks.Callback):
    """What w and b were before each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, float]] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        _, w, b = self.model.get_weights()
        self.seen.append((float(w[0, 0]), float(b[0])))


def descend(layers: Any, updates: int, **clipping: float) -> Descent:
    """Go down from `START` with `fit`, by the plainest of optimizers.

    Args:
        layers: `keras.layers` or `custom_layers`.
        clipping: of `keras.optimizers.SGD`.
    """
    nothing = layers.Input((STEPS, 1), dtype="float64")
    unit = layers.SimpleRNN(1, activation="sigmoid", dtype="float64", name="unit")
    model = keras.Model(nothing, unit(nothing))
    model.compile(keras.optimizers.SGD(RATE, **clipping), "mse")
    model.set_weights([np.zeros((1, 1)), np.array([START[:1]]), np.array(START[1:])])
    losses, weights = BatchLosses(), Weights()
    x, y = np.zeros((updates, STEPS, 1)), np.full((updates, 1), TARGET)
    model.fit(x, y, batch_size=1, shuffle=False, verbose=0, callbacks=[losses, weights])
    w, b = np.transpose(weights.seen)
    return Descent(w, b, np.array(losses.losses))
