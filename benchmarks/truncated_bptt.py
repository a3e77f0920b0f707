"""Truncated back-propagation through time over a long stream: memory that stays, time that doubles.

A stream is fed in windows; the layer keeps its state from one to the next. Memory must be that of a
window however long the stream is, and the time a step takes must not depend on the steps, nor on how
large the batch or how high the stack is: twice as many of them take twice as long.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import custom_layers
from benchmarks.fresh_process import results_of
from benchmarks.harness import Ratio, Row, in_turns, ratio_of
from custom_layers.comparison.peak_memory import PeakMemory

EVERY = 20  # steps back that a gradient goes
MEMORY_TARGET, DOUBLING_TARGET = 1.05, 0.05
WINDOW, BATCH, UNITS = 500, 32, 128  # of the stream
FEATURES = 8
ONE_AT_A_TIME = {"MALLOC_ARENA_MAX": "1", "TF_NUM_INTEROP_THREADS": "1"}


def rows(quick: bool) -> Iterator[Row]:
    """The memory of streams, then the three doublings."""
    yield from memory_rows((1_000, 2_000, 5_000) if quick else (1_000, 10_000, 100_000))
    rounds = 3 if quick else 15
    steps = [trainer(n, 64, 128) for n in (500, 1000)]
    yield doubling_row("steps, 500 to 1,000", rounds, steps)
    batches = [trainer(20, n, 256) for n in (1024, 2048)]
    yield doubling_row("batch, 1,024 to 2,048", rounds, batches)
    batches = [trainer(20, n, 256) for n in (64, 128)]  # a step's own cost is not yet small
    yield doubling_row("batch, 64 to 128", rounds, batches, target=None)
    stacks = [trainer(100, 64, 128, features=128, layers=n) for n in (4, 8)]
    yield doubling_row("layers of the stack, 4 to 8", rounds, stacks)


def model_of(steps: int, batch: int, units: int, features: int = FEATURES, layers: int = 1) -> Any:
    """LSTMs that keep their states, one above the other, and a number for each step."""
    model = keras.Sequential([keras.Input(batch_shape=(batch, steps, features))])
    options = {"gradient": "bptt", "truncate_every": EVERY}
    for _ in range(layers):
        model.add(custom_layers.LSTM(units, return_sequences=True, stateful=True, **options))
    model.add(custom_layers.Dense(1))
    model.compile(keras.optimizers.SGD(1e-3), "mean_squared_error", jit_compile=False)
    return model


def trainer(steps: int, batch: int, units: int, features: int = FEATURES, layers: int = 1) -> Any:
    """() -> None, a training step over one window."""
    model = model_of(steps, batch, units, features, layers)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, steps, features)).astype("float32")
    y = rng.standard_normal((batch, steps, 1)).astype("float32")
    return lambda: model.train_on_batch(x, y)


def memory_rows(lengths: tuple[int, ...]) -> Iterator[Row]:
    """The peak of training on each stream, by that of the shortest: of the process, and as TensorFlow
    counts what it allocates.

    Measured in a process of its own with one arena of memory and one operation at a time: else what
    happens to run together, and what the C library keeps for each thread, move a peak by 10 percent
    at random, and the more windows a stream has, the higher the highest.
    """
    streams = results_of(f"{__name__}:peaks_of_streams", lengths, environment=ONE_AT_A_TIME)
    shortest = next(streams)
    for stream in streams:
        for key, told in (("process", ""), ("allocator", ", allocator's count")):
            base = float(np.median(shortest[key]))
            figures = {"long": float(np.median(stream[key])), f"{lengths[0]:,} steps": base}
            quartiles = np.percentile(stream[key], (50, 25, 75)) / base
            name = f"{stream['steps']:,} steps in {stream['s']:.0f} s{told}"
            group = "Truncated back-propagation, peak memory of a stream"
            yield Row(
                *(group, name, "MB", figures, tuple(figures), Ratio(*map(float, quartiles))),
                MEMORY_TARGET,
            )


def peaks_of_streams(lengths: tuple[int, ...], rounds: int = 5) -> Iterator[dict[str, Any]]:
    """For each stream its steps, its peaks in MB and the seconds of the last."""
    model = model_of(WINDOW, BATCH, UNITS)
    train_on_stream(model, 10 * WINDOW)  # traces, and lets the allocator grow
    memory = tf.config.experimental
    for length in lengths:
        peaks: dict[str, list[float]] = {"process": [], "allocator": []}
        for _ in range(1 if length > 10_000 else rounds):
            before = memory.get_memory_info("CPU:0")["current"]
            memory.reset_memory_stats("CPU:0")
            begun = time.perf_counter()
            with PeakMemory() as peak:
                train_on_stream(model, length)
            seconds = time.perf_counter() - begun
            peaks["process"].append((peak.bytes or 0) / 2**20)
            allocated = memory.get_memory_info("CPU:0")["peak"] - before
            peaks["allocator"].append(allocated / 2**20)
        yield {"steps": length, **peaks, "s": seconds}


def train_on_stream(model: Any, steps: int) -> None:
    """A sine with noise, made window by window: the stream itself is never held whole."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if hasattr(layer, "reset_state"):
            layer.reset_state()
    for first in range(0, steps, WINDOW):
        t = np.arange(first, first + WINDOW + 1)[None, :, None]
        wave = np.sin(0.1 * t + np.arange(BATCH)[:, None, None]).astype("float32")
        noise = rng.standard_normal((BATCH, WINDOW, FEATURES)).astype("float32")
        model.train_on_batch(wave[:, :-1] + 0.1 * noise, wave[:, 1:])


def doubling_row(
    name: str,
    rounds: int,
    trainers: list[Callable[[], Any]],
    target: float | None = DOUBLING_TARGET,
) -> Row:
    """How far from 2 the ratio is of a training step twice as large, as a share of 2."""
    seconds = in_turns(dict(zip(("one", "two"), trainers, strict=True)), rounds)
    ratio = ratio_of(seconds["two"], seconds["one"])
    figures = {"|ratio / 2 - 1|": abs(ratio.median / 2 - 1), "ratio": ratio.median}
    group = "Truncated back-propagation, time of a doubling"
    return Row(group, name, "share", figures, None, None, target)
