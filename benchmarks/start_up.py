"""What one waits for at first: the import, and the first training step with its tracing."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

import custom_layers
from benchmarks.harness import Row, in_turns, require_equal, timed_row
from benchmarks.training_step import WAYS, random_like

IMPORT_TARGET = 0.15  # seconds above Keras
FIRST_STEP_TARGET = 1.2
BATCH, STEPS, FEATURES, CLASSES, HEADS = 64, 20, 128, 4, 8
NAMESPACES = dict(zip(WAYS, (custom_layers, keras.layers), strict=True))
IMPORT = """
import time
begun = time.perf_counter()
import keras
between = time.perf_counter()
{statement}
ended = time.perf_counter()
print(ended - begun, ended - between)
"""


def rows(quick: bool) -> Iterator[Row]:
    """The import, then the first step of three models."""
    yield import_row(3 if quick else 11)
    for name, inner in MODELS.items():
        yield first_step_row(name, inner, 3 if quick else 11)


def import_row(rounds: int) -> Row:
    """`import custom_layers` above `import keras`, in fresh processes.

    First of the figures is what it takes in the process in which Keras is imported: the difference of
    the two medians is the same but for the scatter of seconds that Keras's own import has.
    """
    statements = {"ours": "import custom_layers", "Keras": "pass"}
    found: dict[str, list[list[float]]] = {way: [] for way in statements}
    for _ in range(rounds + 1):
        for way, statement in statements.items():
            found[way].append(seconds_of_a_process(IMPORT.format(statement=statement)))
    # The first import of all compiles, and is left out.
    middle = {way: np.median(values[1:], axis=0) for way, values in found.items()}
    figures = {
        "above Keras": float(middle["ours"][1]),
        "difference of medians": float(middle["ours"][0] - middle["Keras"][0]),
        "ours and Keras": float(middle["ours"][0]),
        "Keras": float(middle["Keras"][0]),
    }
    return Row("Import", "fresh processes", "s", figures, None, None, IMPORT_TARGET)


def seconds_of_a_process(code: str) -> list[float]:
    """The numbers that a fresh Python prints last."""
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(word) for word in done.stdout.splitlines()[-1].split()]


def lstm_classifier(layers: Any, x: Any) -> Any:
    """One LSTM, its last state."""
    return layers.LSTM(FEATURES)(x)


def bidirectional_gru(layers: Any, x: Any) -> Any:
    """A GRU in both directions."""
    return layers.Bidirectional(layers.GRU(FEATURES))(x)


def transformer_encoder(layers: Any, x: Any) -> Any:
    """Two blocks of attention and feed-forward, each with its residual connection."""
    for _ in range(2):
        attended = layers.MultiHeadAttention(HEADS, FEATURES // HEADS)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, attended]))
        hidden = layers.Dense(FEATURES)(layers.Dense(4 * FEATURES, activation="relu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, hidden]))
    return x[:, 0]


MODELS = {
    "LSTM classifier": lstm_classifier,
    "bidirectional GRU": bidirectional_gru,
    "Transformer encoder, two blocks": transformer_encoder,
}


def model_of(layers: Any, inner: Callable[[Any, Any], Any]) -> keras.Model:
    """A compiled classifier of sequences of any length."""
    inputs = keras.Input((None, FEATURES))
    model = keras.Model(inputs, layers.Dense(CLASSES)(inner(layers, inputs)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, jit_compile=False)
    for variable, value in zip(model.weights, random_like(model.weights), strict=True):
        variable.assign(value)
    return model


def first_step_row(name: str, inner: Callable[[Any, Any], Any], rounds: int) -> Row:
    """`fit` of one batch by a model that has seen none; in one process, where others disturb less."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH, STEPS, FEATURES)).astype("float32")
    y = rng.integers(0, CLASSES, BATCH)
    warm_up = 1
    fresh = {
        way: iter([model_of(layers, inner) for _ in range(rounds + warm_up)])
        for way, layers in NAMESPACES.items()
    }
    trained: dict[str, keras.Model] = {}

    def first_step(way: str) -> None:
        trained[way] = next(fresh[way])
        trained[way].fit(x, y, batch_size=BATCH, verbose=0)

    seconds = in_turns({way: lambda way=way: first_step(way) for way in WAYS}, rounds, warm_up)
    outputs = ([np.asarray(trained[way](x))] for way in WAYS)
    require_equal(*outputs, f"{name}, after a step", tolerance=1e-3)
    group = "First training step, tracing included"
    return timed_row(group, name, seconds, ["ours"], ["Keras"], FIRST_STEP_TARGET)
