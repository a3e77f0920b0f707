r"""What a network holds while a film runs, and what one patch of its forecast is made of.

    G[t, r, c] = |d sum(p_{T+1}[r_0, c_0]) / d h_t[r, c]|     (1) over the filters

One step carries a state as far as half a kernel. So G is nothing but 0 where

    max(|r - r_0|, |c - c_0|) > (kernel // 2) (T - t + 1)     (2)
"""

from collections.abc import Mapping
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from custom_layers.debugging import record

QUANTITIES = {"i": "input gate", "f": "forget gate", "o": "output gate", "c": "cell", "h": "state"}


class Inside(NamedTuple):
    """One film, read by one network.

    values: by the names in QUANTITIES, (steps, side, side, filters). pull: (steps, side, side),
    equation (1). place: r_0 and c_0.
    """

    values: Mapping[str, np.ndarray]
    pull: np.ndarray
    place: tuple[int, int]

    def reach(self) -> np.ndarray:
        """The largest distance in (2) at each step at which something is not 0: (steps,)."""
        rows, columns = np.indices(self.pull.shape[1:])
        distance = np.maximum(np.abs(rows - self.place[0]), np.abs(columns - self.place[1]))
        return np.array([distance[step > 0].max(initial=0) for step in self.pull])


def look_inside(model: keras.Model, film: np.ndarray, place: tuple[int, int]) -> Inside:
    """Run a network of `custom_layers` on a film, once forward and once back.

    Args:
        model: of `next_frame`.
        film: (steps, side, side, channels).
        place: row and column of the patch whose forecast is asked about.
    """
    with record(model) as trace, tf.GradientTape() as tape:
        said = tf.reduce_sum(model(film[None])[0, -1, place[0], place[1]])
    recording = trace.read(tape, said)
    values = {name: recording[f"memory/{key}"].value[0].numpy() for key, name in QUANTITIES.items()}
    pull = tf.norm(recording["memory/h"].gradient[0], axis=-1).numpy()
    return Inside(values, pull, place)
