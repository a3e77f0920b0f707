"""Recurrent layers: a training step and a forward pass, ours beside Keras's, PyTorch's and the floor.

Every mode that a user can choose takes part: the graph and XLA for both, and for ours both gradients. A
training step is the value and the gradient by the input and all weights. The floor is the time of the
matrix products alone, the large ones and those of each step, as TensorFlow computes them here.
"""

import importlib.util
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import custom_layers
from benchmarks.harness import Row, fastest, in_turns, ratio_of, require_equal, timed_row

SIZES = [  # batch, steps, features, units
    (64, 20, 256, 256),
    (64, 16, 128, 128),
    (32, 100, 64, 128),
    (16, 50, 128, 256),
    (128, 10, 64, 64),
]
GATES = {"LSTM": 4, "GRU": 3, "SimpleRNN": 1}
LAYERS = ("LSTM", "GRU", "SimpleRNN", "Bidirectional LSTM")
TARGETS = {SIZES[0]: 0.75}  # of a training step; elsewhere the next
TARGET, FORWARD_TARGET = 0.90, 0.80
KERAS, OURS = ("Keras", "Keras, XLA"), ("graph", "bptt", "XLA", "bptt, XLA")


def rows(quick: bool) -> Iterator[Row]:
    """Every layer at every size; `quick`: two layers at two sizes."""
    rounds = 3 if quick else 15
    sizes = SIZES[:2] if quick else SIZES
    for kind in LAYERS[:2] if quick else LAYERS:
        found = [row for size in sizes for row in rows_of(kind, size, rounds)]
        yield from sorted(found, key=lambda row: row.group)  # stable: sizes stay in their order


def rows_of(kind: str, size: tuple[int, ...], rounds: int) -> list[Row]:
    """Training step, forward pass and first call of one layer at one size."""
    x = np.random.default_rng(0).standard_normal(size[:3]).astype("float32")
    layers = built(kind, size)
    name = "x".join(map(str, size))
    trains, forwards, first_calls = {}, {}, {}
    for mode, layer in layers.items():
        xla = mode.endswith("XLA")
        trains[mode], forwards[mode] = training_step(layer, x, xla), forward_pass(layer, x, xla)
        begun = time.perf_counter()
        trains[mode]()
        first_calls[mode] = time.perf_counter() - begun
    for mode in OURS:
        require_equal(trains[mode](), trains["Keras"](), f"{kind} {name}, {mode}")
        require_equal(forwards[mode](), forwards["Keras"](), f"{kind} {name}, {mode}, forward")
    if importlib.util.find_spec("torch"):
        trains["PyTorch"], forwards["PyTorch"] = torch_ways(kind, size, x)
    trains["floor"] = products(kind, size)

    training = in_turns(trains, rounds)
    forward = in_turns(forwards, rounds)
    best = fastest(training, OURS)
    calls = {"Keras": first_calls["Keras"], "Keras, XLA": first_calls["Keras, XLA"]}
    calls |= {mode: first_calls[mode] for mode in OURS}
    target = TARGETS.get(size, TARGET)
    found = [
        timed_row(f"{kind}, training step", name, training, OURS, KERAS, target),
        timed_row(f"{kind}, forward", name, forward, OURS, KERAS, FORWARD_TARGET),
        Row(f"{kind}, first call", name, "s", calls, None, None, None),
    ]
    if "PyTorch" in training:
        ratio = ratio_of(training[best], training["PyTorch"])
        figures = {way: 1e3 * float(np.median(training[way])) for way in (best, "PyTorch")}
        group = f"{kind}, training step beside PyTorch"
        found.append(Row(group, name, "ms", figures, (best, "PyTorch"), ratio, None))
    return found


def built(kind: str, size: tuple[int, ...]) -> dict[str, Any]:
    """One layer for each mode, all of the same weights."""

    def layer_of(namespace: Any, **options: Any) -> Any:
        cell = getattr(namespace, kind.split()[-1])(size[3], return_sequences=True, **options)
        layer = namespace.Bidirectional(cell) if kind.startswith("Bi") else cell
        layer.build(size[:3])
        return layer

    layers = {
        "Keras": layer_of(keras.layers),
        "Keras, XLA": layer_of(keras.layers),
        "graph": layer_of(custom_layers),
        "bptt": layer_of(custom_layers, gradient="bptt"),
        "XLA": layer_of(custom_layers),
        "bptt, XLA": layer_of(custom_layers, gradient="bptt"),
    }
    for layer in layers.values():
        layer.set_weights(layers["Keras"].get_weights())
    return layers


def training_step(layer: Any, x: Any, xla: bool) -> Callable[[], list[np.ndarray]]:
    """The output's mean square, and its gradient by the input and by every weight."""

    @tf.function(jit_compile=xla)
    def step(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_mean(layer(x) ** 2)
        weights = [weight.value for weight in layer.trainable_variables]
        return [loss, *tape.gradient(loss, [x, *weights])]

    x = tf.constant(x)
    return lambda: [value.numpy() for value in step(x)]


def forward_pass(layer: Any, x: Any, xla: bool) -> Callable[[], list[np.ndarray]]:
    """The outputs of all steps."""
    graph = tf.function(lambda x: layer(x), jit_compile=xla)
    x = tf.constant(x)
    return lambda: [graph(x).numpy()]


def torch_ways(kind: str, size: tuple[int, ...], x: Any) -> tuple[Callable, Callable]:
    """The same by PyTorch's own layer."""
    import torch

    torch_kind = {"SimpleRNN": "RNN"}.get(kind, kind.split()[-1])
    options = {"batch_first": True, "bidirectional": kind.startswith("Bi")}
    layer = getattr(torch.nn, torch_kind)(size[2], size[3], **options)
    inputs = torch.tensor(x, requires_grad=True)

    def train() -> None:
        layer.zero_grad()
        inputs.grad = None
        (layer(inputs)[0] ** 2).mean().backward()

    def forward() -> None:
        with torch.no_grad():
            layer(inputs)

    return train, forward


def products(kind: str, size: tuple[int, ...]) -> Callable[[], Any]:
    """The matrix products of a training step: three large ones, two for each time step, one of U."""
    batch, steps, features, units = size
    wide = GATES[kind.split()[-1]] * units
    times = 2 if kind.startswith("Bi") else 1

    def normal(*shape: int) -> Any:
        return tf.random.normal(shape)

    x, kernel, gates = (
        normal(batch * steps, features),
        normal(features, wide),
        normal(batch * steps, wide),
    )
    h, recurrent, d_a, states = (
        *(normal(batch, units), normal(units, wide), normal(batch, wide)),
        normal(batch * steps, units),
    )

    @tf.function
    def all_products() -> Any:
        done = []
        for _ in range(times):
            done += [tf.matmul(x, kernel), tf.matmul(x, gates, transpose_a=True)]
            done += [tf.matmul(gates, kernel, transpose_b=True)]
            done += [tf.matmul(states, gates, transpose_a=True)]
            forward, backward = h, d_a
            for _ in range(steps):  # each waits for the one before
                forward = tf.matmul(forward, recurrent)[:, :units]
                backward = tf.tile(
                    tf.matmul(backward, recurrent, transpose_b=True)[:, :1], [1, wide]
                )
            done += [forward, backward]
        return [tf.reduce_sum(product[:1]) for product in done]

    return lambda: [value.numpy() for value in all_products()]
