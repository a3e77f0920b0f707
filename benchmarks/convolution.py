"""Convolutions, pooling and ConvLSTM: forward pass and training step, ours by Keras's, in the graph.

Pictures of 28 x 28 and sentences of 20 words, as in the tutorials.
"""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

import custom_layers
from benchmarks.harness import Row
from benchmarks.plain_layers import Arrays, Case, one, rows_of

PLAIN, CONV_LSTM = 1.03, 0.9  # targets


def pictures(channels: int) -> Arrays:
    """(32, 28, 28, channels)."""
    return drawn(32, 28, 28, channels)


def films(channels: int) -> Arrays:
    """(8, 10, 28, 28, channels)."""
    return drawn(8, 10, 28, 28, channels)


def rows_over_time(channels: int) -> Arrays:
    """(16, 10, 64, channels)."""
    return drawn(16, 10, 64, channels)


def rooms(channels: int) -> Arrays:
    """(4, 12, 12, 12, channels)."""
    return drawn(4, 12, 12, 12, channels)


def drawn(*shape: int) -> Arrays:
    """Standard normal numbers."""
    return {"inputs": np.random.default_rng(0).standard_normal(shape).astype("float32")}


def causal(layers: Any, filters: int) -> Any:
    """Each step sees itself and the two before it."""
    return layers.Conv1D(filters, 3, padding="causal", activation="relu")


def film(layers: Any, filters: int) -> Any:
    """Every picture of the film comes out."""
    return layers.ConvLSTM2D(filters, 3, padding="same", return_sequences=True)


SIZES: dict[str, Any] = {"features": (8, 32)}
CASES = (
    (Case("Conv1D", lambda layers, n: layers.Conv1D(n, 3, padding="same"), one), PLAIN),
    (Case("Conv1D, causal, ReLU", causal, one), PLAIN),
    (Case("Conv2D", lambda layers, n: layers.Conv2D(n, 3), pictures, **SIZES), PLAIN),
    (Case("Conv2D, strides", lambda l, n: l.Conv2D(n, 3, 2), pictures, **SIZES), PLAIN),
    (Case("Conv3D", lambda layers, n: layers.Conv3D(n, 3), rooms, **SIZES), PLAIN),
    (Case("MaxPooling2D", lambda layers, n: layers.MaxPooling2D(), pictures, **SIZES), PLAIN),
    (
        Case("AveragePooling2D", lambda layers, n: layers.AveragePooling2D(2), pictures, **SIZES),
        PLAIN,
    ),
    (Case("ConvLSTM2D", film, films, **SIZES), CONV_LSTM),
    (Case("ConvLSTM1D", lambda l, n: l.ConvLSTM1D(n, 3), rows_over_time, **SIZES), CONV_LSTM),
)


def rows(quick: bool) -> Iterator[Row]:
    """Two numbers of channels of every layer, as many filters as channels."""
    for case, target in CASES:
        for features in case.features:
            both = {"ours": custom_layers, "Keras": keras.layers}
            yield from rows_of(case, features, quick, both, target)
