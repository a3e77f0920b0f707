"""Tap the output of any layer, Keras's too, which knows nothing of taps.

For the time of a `with` block `layer.call` is followed by a tap: y' = y + p, the probe p zero (see
`core/taps.py`). What runs inside a loop over time (a cell, the layer within TimeDistributed) is left
alone: it would be a tensor of one step.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.core.taps import listener_of

LOOPS = ("RNN", "TimeDistributed")  # classes that loop over time, Keras's and ours, by their names


def layers_with_an_output(model: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """All layers within the model, however deep, but those that run inside a loop over time."""
    seen = {id(model)}

    def within(parent: Any) -> Iterator[keras.layers.Layer]:
        if any(kind.__name__ in LOOPS for kind in type(parent).__mro__):
            return
        for layer in parent._layers:  # Keras has no public way that finds every layer
            if id(layer) not in seen and not isinstance(layer, keras.layers.InputLayer):
                seen.add(id(layer))
                yield layer
                yield from within(layer)

    yield from within(model)


@contextmanager
def tapped_outputs(model: keras.layers.Layer) -> Iterator[None]:
    """Offer each layer's output as the quantity `output`, and further ones as `output_2`, ...

    What a layer hands on as it got it from one within it, as a nested model does, is offered once.
    """
    layers = list(layers_with_an_output(model))
    before = [vars(layer).get("call") for layer in layers]
    offered: list[Tensor] = []
    for layer in layers:
        # Past Keras's own __setattr__, which would take note of the function as a part of the model.
        vars(layer)["call"] = _with_tap(layer, offered)
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            if own is None:
                del vars(layer)["call"]
            else:
                vars(layer)["call"] = own


def _with_tap(layer: keras.layers.Layer, offered: list[Tensor]) -> Callable:
    call = layer.call

    @functools.wraps(call)
    def call_and_tap(*args: Any, **kwargs: Any) -> Any:
        outputs = call(*args, **kwargs)
        leaves = keras.tree.flatten(outputs)
        names = ["output", *(f"output_{n}" for n in range(2, len(leaves) + 1))]
        tapped = [
            leaf if any(leaf is known for known in offered) else _tap(layer, name, leaf)
            for name, leaf in zip(names, leaves, strict=False)
        ]
        offered.extend(tapped)
        return keras.tree.pack_sequence_as(outputs, tapped)

    return call_and_tap


def _tap(layer: keras.layers.Layer, name: str, value: Tensor) -> Tensor:
    """The output with a probe; numbers of other kinds (indices, ragged ones) as they are."""
    if not isinstance(value, tf.Tensor) or not value.dtype.is_floating:
        return value
    listener = listener_of(layer, value)
    if listener is None:
        return value
    tapped = value + listener.probe((), value.dtype)
    listener.keep(layer, name, value, tapped, steps_axis=None)
    # What Keras hangs on a tensor: the steps that count, and what a softmax or sigmoid was taken of,
    # from which the cross-entropies compute.
    for note in ("_keras_mask", "_keras_logits"):
        if hasattr(value, note):
            setattr(tapped, note, getattr(value, note))
    if not tf.executing_eagerly() and value.op.type in ("Softmax", "Sigmoid"):
        tapped._keras_logits = value.op.inputs[0]  # where Keras would look for them itself
    return tapped
