"""Time and memory of the last layer and its loss, a chunk at a time against Dense and masked_loss.

One training step is the loss and its gradients by states, kernel and bias. Memory is taken in processes
that have done nothing before, one for each way: what an allocator keeps in reserve from an earlier step
would hide what the next one needs.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from benchmarks.fresh_process import results_of
from benchmarks.harness import Row, in_turns, ratio_of, require_equal, timed_row
from custom_layers.comparison.peak_memory import PeakMemory
from custom_layers.training import chunked_cross_entropy, masked_loss

BATCH, STEPS, UNITS = 64, 20, 256
LARGE, SMALL = 30_000, 5_000
MEMORY_TARGET = 0.6  # of the plain way's, with the large vocabulary


def plain(states: Any, kernel: Any, bias: Any, labels: Any) -> Any:
    """What `Dense(vocabulary)` and `masked_loss` compute."""
    return masked_loss(labels, ops.add(ops.matmul(states, kernel), bias))


WAYS = {"chunked": chunked_cross_entropy, "Dense, masked_loss": plain}


def training_step(loss_of: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """A graph for the loss and its gradients."""

    @tf.function(**options)
    def step(states: Any, kernel: Any, bias: Any, labels: Any) -> Any:
        arguments = [states, kernel, bias]
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            loss = loss_of(states, kernel, bias, labels)
        return [loss, *tape.gradient(loss, arguments)]

    return step


def batch_of(batch: int, vocabulary: int, padding: float = 0.0) -> list[Any]:
    """States, kernel, bias and labels, of which this share is padding."""
    random = np.random.default_rng(0)
    labels = random.integers(1, vocabulary, (batch, STEPS), "int32")
    labels[random.random(labels.shape) < padding] = 0
    floats = [(batch, STEPS, UNITS), (UNITS, vocabulary), (vocabulary,)]
    values = [random.standard_normal(shape, "float32") for shape in floats]
    return [
        tf.constant(values[0]),
        tf.constant(values[1] / 16),
        *map(tf.constant, (values[2], labels)),
    ]


def rows(quick: bool) -> Iterator[Row]:
    """The table."""
    yield time_row(LARGE, 0.0, rounds=3 if quick else 20)
    yield time_row(LARGE, 0.25, rounds=3 if quick else 20)
    yield time_row(SMALL, 0.0, rounds=3 if quick else 40)
    for vocabulary, target in ((LARGE, MEMORY_TARGET), (SMALL, None)):
        yield from memory_rows(vocabulary, target, rounds=1 if quick else 3)


def time_row(vocabulary: int, padding: float, rounds: int) -> Row:
    """Both ways in turns, after they gave the same numbers."""
    arguments = batch_of(BATCH, vocabulary, padding)
    steps = {name: training_step(way) for name, way in WAYS.items()}
    chunked, expected = (step(*arguments) for step in steps.values())
    require_equal(chunked, expected, f"vocabulary {vocabulary}", tolerance=1e-5)
    del chunked, expected
    # The loss as a number: a step is over when it is computed.
    calls = {name: lambda step=step: step(*arguments)[0].numpy() for name, step in steps.items()}
    ours, theirs = WAYS
    name = f"{BATCH}x{STEPS}x{UNITS}, vocabulary {vocabulary:,}"
    name += f", {padding:.0%} padding" if padding else ""
    group = "Vocabulary and loss, training step"
    return timed_row(group, name, in_turns(calls, rounds), [ours], [theirs], target=None)


def memory_rows(vocabulary: int, target: float | None, rounds: int) -> Iterator[Row]:
    """Peak of one step, as the process grows and as TensorFlow's allocator counts."""
    function = f"{__name__}:peaks_of_a_step"
    found = {
        way: [peaks for _ in range(rounds) for peaks in results_of(function, way, vocabulary)]
        for way in WAYS
    }
    ours, theirs = WAYS
    name = f"{BATCH}x{STEPS}x{UNITS}, vocabulary {vocabulary:,}"
    for key, told in (("process", ""), ("allocator", ", allocator's count")):
        peaks = {way: [peak[key] for peak in peaks] for way, peaks in found.items()}
        figures = {way: float(np.median(values)) / 1e6 for way, values in peaks.items()}
        ratio = ratio_of(peaks[ours], peaks[theirs])
        group = "Vocabulary and loss, peak memory of a training step"
        yield Row(group, name + told, "MB", figures, (ours, theirs), ratio, target)


def peaks_of_a_step(way: str, vocabulary: int) -> Iterator[dict[str, int]]:
    """Bytes of one step, after a small one that traced the graph for any size."""
    floats = [tf.TensorSpec([None] * axes) for axes in (3, 2, 1)]
    signature = [*floats, tf.TensorSpec([None, None], tf.int32)]
    step = training_step(WAYS[way], input_signature=signature)
    step(*batch_of(1, vocabulary=10))
    arguments = batch_of(BATCH, vocabulary)
    device = "GPU:0" if tf.config.list_physical_devices("GPU") else "CPU:0"
    before = tf.config.experimental.get_memory_info(device)["current"]
    tf.config.experimental.reset_memory_stats(device)
    with PeakMemory() as peak:
        results = step(*arguments)
        float(results[0])
    allocated = tf.config.experimental.get_memory_info(device)["peak"] - before
    yield {"process": peak.bytes or 0, "allocator": allocated}
