"""Outputs, gradients and second derivatives of a layer, as NumPy arrays, on each of Keras's backends.

One scalar is differentiated: the sum of every output times a random cotangent. `second_order=True`
differentiates once more: the sum of every gradient times a second random direction.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

BACKEND = keras.backend.backend()
MODES = {
    "tensorflow": ("eager", "traced", "jit"),
    "jax": ("eager", "jit"),
    "torch": ("eager",),
}[BACKEND]


def outputs_and_gradients(
    layer: keras.Layer,
    args: Sequence[np.ndarray],
    kwargs: Mapping[str, Any],
    *,
    mode: str = "eager",
    seed: int = 11,
    second_order: bool = False,
) -> dict[str, np.ndarray]:
    """Call a built layer once and name everything that comes back.

    Keys: `output/0`, `gradient/input/0` (every floating argument, flattened), `gradient/<weight path>`
    (every trainable weight); with `second_order` also `second/...` of the same leaves.
    """
    flat = keras.tree.flatten((list(args), dict(kwargs)))
    floating = [i for i, leaf in enumerate(flat) if _is_floating(leaf)]

    def call(leaves: Sequence[Any]) -> list[Any]:
        merged = list(flat)
        for position, leaf in zip(floating, leaves, strict=True):
            merged[position] = leaf
        merged = [ops.convert_to_tensor(x) if isinstance(x, np.ndarray) else x for x in merged]
        args, kwargs = keras.tree.pack_sequence_as((list(args_template), kwargs_template), merged)
        return [y for y in keras.tree.flatten(layer(*args, **kwargs)) if y is not None]

    args_template, kwargs_template = list(args), dict(kwargs)
    leaves = [flat[i] for i in floating]
    draw = np.random.default_rng(seed).standard_normal
    run = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[BACKEND]
    outputs, gradients, seconds = run(layer, call, leaves, draw, mode, second_order)

    names = [f"input/{i}" for i in range(len(leaves))]
    names += [weight.path.split("/", 1)[-1] for weight in layer.trainable_variables]
    result = {f"output/{i}": np.asarray(y) for i, y in enumerate(outputs)}
    result |= {f"gradient/{n}": g for n, g in zip(names, gradients, strict=True)}
    if second_order:
        result |= {f"second/{n}": g for n, g in zip(names, seconds, strict=True)}
    return result


def _is_floating(leaf: Any) -> bool:
    return isinstance(leaf, np.ndarray) and np.issubdtype(leaf.dtype, np.floating)


def _weigh(tensors: Sequence[Any], draw: Callable) -> Any:
    """Sum of the tensors' entries, each times a random number of its own."""
    total = 0.0
    for tensor in tensors:
        if keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype)):
            cotangent = ops.cast(draw(tuple(tensor.shape)), tensor.dtype)
            total = total + ops.sum(tensor * cotangent)
    return total


def _tensorflow(layer, call, leaves, draw, mode, second_order):
    import tensorflow as tf

    def first(leaves):
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            outputs = call(leaves)
            scalar = _weigh(outputs, draw)
        sources = [*leaves, *(w.value for w in layer.trainable_variables)]
        gradients = tape.gradient(scalar, sources, unconnected_gradients="zero")
        gradients = [tf.convert_to_tensor(g) for g in gradients]  # embeddings give slices
        return sources, outputs, gradients

    def run(*leaves):
        leaves = [tf.convert_to_tensor(leaf) for leaf in leaves]
        if not second_order:  # a tape around the tape would differentiate every loop three times
            _, outputs, gradients = first(leaves)
            return outputs, gradients, []
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            sources, outputs, gradients = first(leaves)
            bent = _weigh(gradients, draw)
        seconds = tape.gradient(bent, sources, unconnected_gradients="zero")
        return outputs, gradients, [tf.convert_to_tensor(s) for s in seconds]

    if mode != "eager":
        run = tf.function(run, jit_compile=mode == "jit")
    return tuple([t.numpy() for t in part] for part in run(*leaves))


def _jax(layer, call, leaves, draw, mode, second_order):
    import jax

    state = [v.value for v in layer.non_trainable_variables]
    draws: list[np.ndarray] = []

    def replayed(tensors, start):
        """The same random numbers at every trace, wherever JAX calls us from."""
        values = iter(draws[start:])

        def draw_next(shape):
            value = next(values, None)
            if value is None:
                value = draw(shape)
                draws.append(value)
            return value

        return _weigh(tensors, draw_next)

    def scalar(sources):
        inputs, weights = sources[: len(leaves)], sources[len(leaves) :]
        outputs = _stateless(layer, call, inputs, weights, state)
        return replayed(outputs, 0), outputs

    sources = [*leaves, *(w.value for w in layer.trainable_variables)]
    sources = [jax.numpy.asarray(s) for s in sources]
    first = jax.grad(scalar, has_aux=True)
    gradients, outputs = (jax.jit(first) if mode == "jit" else first)(sources)
    used = len(draws)
    seconds = []
    if second_order:
        bent = jax.grad(lambda s: replayed(first(s)[0], used))
        seconds = (jax.jit(bent) if mode == "jit" else bent)(sources)
    return outputs, [np.asarray(g) for g in gradients], [np.asarray(s) for s in seconds]


def _stateless(layer, call, inputs, weights, state):
    mapping = [*zip(layer.trainable_variables, weights, strict=True)]
    mapping += [*zip(layer.non_trainable_variables, state, strict=True)]
    with keras.StatelessScope(state_mapping=mapping):
        return call(inputs)


def _torch(layer, call, leaves, draw, mode, second_order):
    import torch

    inputs = [torch.tensor(leaf, requires_grad=True) for leaf in leaves]
    sources = [*inputs, *(w.value for w in layer.trainable_variables)]
    outputs = call(inputs)

    def differentiate(scalar, keep):
        if not scalar.requires_grad:  # nothing that was given reaches the outputs
            return [torch.zeros_like(s) for s in sources]
        found = torch.autograd.grad(scalar, sources, create_graph=keep, allow_unused=True)
        return [
            torch.zeros_like(s) if g is None else g for g, s in zip(found, sources, strict=True)
        ]

    gradients = differentiate(_weigh(outputs, draw), keep=second_order)
    seconds = []
    if second_order:
        bent = _weigh(gradients, draw)
        seconds = differentiate(bent, False) if bent.requires_grad else gradients
    return tuple([t.detach().numpy() for t in part] for part in (outputs, gradients, seconds))
