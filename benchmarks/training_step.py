"""A layer's forward pass and its training step as graphs for any batch and any number of steps.

A training step differentiates sum(outputs * cotangents) by every weight and every floating input. The
cotangents are random: with ones, the gradient of a normalization would be zero.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from benchmarks.harness import in_turns, require_equal

WAYS = ("ours", "Keras")
SHORTEST_TURN = 3e-3  # seconds; a shorter way runs several times in a turn


class Graphs(NamedTuple):
    """forward: () -> outputs. step: () -> all gradients."""

    forward: Callable[[], list[Any]]
    step: Callable[[], list[Any]]


def graphs_of(layer: Any, inputs: Mapping[str, Any], **options: Any) -> Graphs:
    """Both graphs of a built layer, on fixed numbers.

    Args:
        inputs: arrays, or lists of arrays, by the names that `call` has for them, the first first.
        options: what else `call` is told, such as `training=True`.
    """
    flat = keras.tree.flatten(dict(inputs))
    tensors = [tf.constant(array) for array in flat]

    def outputs_of(leaves: Any) -> list[Any]:
        named = keras.tree.pack_sequence_as(dict(inputs), list(leaves))
        first = named.pop(next(iter(inputs)))
        return keras.tree.flatten(layer(first, **named, **options))

    draw = np.random.default_rng(5).standard_normal
    sizes = [
        tuple(y.shape) for y in outputs_of(tensors)
    ]  # also builds it, and draws no number twice
    cotangents = [tf.constant(draw(size), tf.float32) for size in sizes]
    weights = [weight.value for weight in layer.trainable_variables]

    @tf.function(input_signature=[any_size(t) for t in tensors])
    def forward(*leaves: Any) -> Any:
        return outputs_of(leaves)

    @tf.function(input_signature=[any_size(t) for t in (*tensors, *cotangents)])
    def step(*given: Any) -> Any:
        leaves, cotangents = given[: len(tensors)], given[len(tensors) :]
        sources = [leaf for leaf in leaves if leaf.dtype.is_floating] + weights
        with tf.GradientTape() as tape:
            tape.watch([leaf for leaf in leaves if leaf.dtype.is_floating])
            outputs = outputs_of(leaves)
        return tape.gradient(outputs, sources, cotangents, unconnected_gradients="zero")

    return Graphs(lambda: forward(*tensors), lambda: step(*tensors, *cotangents))


def any_size(tensor: Any) -> tf.TensorSpec:
    """Its type, for any batch and any number of steps; integers and masks have no features."""
    free = [None, None, *tensor.shape[2:]][: tensor.shape.rank]
    if tensor.dtype.is_floating:
        free[-1] = tensor.shape[-1]
    return tf.TensorSpec(free, tensor.dtype)


def twins(
    make: Callable[[Any], Any],
    namespaces: Mapping[str, Any],
    inputs: Mapping[str, Any],
    **options: Any,
) -> dict[str, Graphs]:
    """The graphs of the layer that `make` makes of each namespace, from the same random weights.

    Raises: AssertionError when they compute different numbers.
    """
    found, weights = {}, None
    for way, namespace in namespaces.items():
        keras.utils.set_random_seed(3)  # KerasHub's blocks take no seed for their dropout
        layer = make(namespace)
        found[way] = graphs_of(layer, inputs, **options)
        if weights is None:
            weights = random_like(layer.trainable_variables)
        for variable, value in zip(layer.trainable_variables, weights, strict=True):
            variable.assign(value)
    one, other = found.values()
    what = make(next(iter(namespaces.values()))).name
    require_equal(dense(one.forward()), dense(other.forward()), f"{what}, outputs")
    require_equal(dense(one.step()), dense(other.step()), f"{what}, gradients")
    return found


def random_like(variables: Any) -> list[np.ndarray]:
    """Random weights, none of them zero or one as biases and gains begin."""
    draw = np.random.default_rng(9).standard_normal
    width = [np.sqrt(variable.shape[0]) if len(variable.shape) else 1 for variable in variables]
    pairs = zip(variables, width, strict=True)
    return [(draw(variable.shape) / w).astype("float32") for variable, w in pairs]


def dense(tensors: Any) -> list[Any]:
    """An embedding's gradient comes as slices."""
    return [tf.convert_to_tensor(t) for t in tensors]


def seconds_in_turns(
    ways: Mapping[str, Callable[[], Any]], budget: float, rounds: int
) -> dict[str, np.ndarray]:
    """As `in_turns`, of one run each, whatever number of runs a turn has.

    Args:
        budget: about how many seconds it may take.
        rounds: at least as many.
    """
    for _ in range(2):
        for way in ways.values():
            way()
    begun = time.perf_counter()
    for way in ways.values():
        way()
    once = (time.perf_counter() - begun) / len(ways)
    runs = max(1, round(SHORTEST_TURN / once))
    rounds = max(rounds, min(401, int(budget / (once * runs * len(ways)))))

    def repeated(way: Callable[[], Any]) -> Callable[[], None]:
        def turn() -> None:
            for _ in range(runs):
                way()

        return turn

    seconds = in_turns({name: repeated(way) for name, way in ways.items()}, rounds)
    return {name: values / runs for name, values in seconds.items()}
