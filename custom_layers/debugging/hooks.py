"""Hooks: a user's function, told of one quantity of one layer whenever a recording is read.

    with hook(model.get_layer("gru"), "h", lambda value, gradient: print(abs(gradient).max())):
        model.fit(x, y, callbacks=[GradientInspector(log_dir, probe=(x[:64], y[:64]))])

In `fit` that is at each look of a `GradientInspector`, by hand at `trace.read(tape, loss)`.
"""

import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.core.shape_check import require

HookFunction = Callable[[np.ndarray, np.ndarray], Any]


class HookHandle:
    """What `hook` returns: `remove()` ends it, and so does the end of a `with` block."""

    def __init__(self, layer: keras.layers.Layer, quantity: str, function: HookFunction) -> None:
        self._layer = weakref.ref(layer)
        self.quantity = quantity
        self.function = function

    def remove(self) -> None:
        """Call the function no longer. Removing twice does no harm."""
        layer = self._layer()
        handles = [] if layer is None else _hooks.get(layer, [])
        if self in handles:
            handles.remove(self)

    def __enter__(self) -> "HookHandle":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


_hooks: weakref.WeakKeyDictionary[keras.layers.Layer, list[HookHandle]] = (
    weakref.WeakKeyDictionary()
)


def hook(layer: keras.layers.Layer, quantity: str, function: HookFunction) -> HookHandle:
    """Have a function called with the value and the gradient of one quantity.

    Args:
        layer: a layer of the model that is recorded.
        quantity: its name within the layer: "h", "c", a gate such as "z", "attention_weights", "output".
        function: takes two arrays of one shape, (batch, steps, units) for a state or a gate: the value,
            and the total derivative of the loss by it. What it returns is not used.

    Returns:
        A handle: `handle.remove()` ends it. It is a context manager too.

    Raises:
        TypeError: `layer` is no layer, or `function` cannot be called.
        ValueError: `quantity` is no name.
    """
    if not isinstance(layer, keras.layers.Layer):
        raise TypeError(
            f"hook: `layer` must be a layer. Received: {type(layer).__name__}. "
            'Get it from the model: model.get_layer("gru").'
        )
    if not callable(function):
        raise TypeError(
            "hook: `function` must take a value and a gradient. Received: "
            f"{type(function).__name__}. Pass a function: lambda value, gradient: ..."
        )
    require(
        isinstance(quantity, str) and bool(quantity),
        "hook",
        "`quantity` must be the name of a quantity within the layer",
        f"quantity={quantity!r}",
        'For example "h", "output"; print(recording) lists all names.',
    )
    handle = HookHandle(layer, quantity, function)
    _hooks.setdefault(layer, []).append(handle)
    return handle


def call_hooks(layer: keras.layers.Layer, quantity: str, value: Tensor, gradient: Tensor) -> None:
    """Tell the hooks of this quantity: now, or each time that the graph which is being traced runs."""
    if not any(handle.quantity == quantity for handle in _hooks.get(layer, ())):
        return

    def tell(value: Tensor, gradient: Tensor) -> None:
        for handle in list(_hooks.get(layer, ())):
            if handle.quantity == quantity:
                handle.function(value.numpy(), gradient.numpy())

    if tf.executing_eagerly():
        tell(value, tf.convert_to_tensor(gradient))
    else:
        tf.py_function(tell, [value, gradient], [])


def hooked_quantities(model: keras.layers.Layer) -> frozenset[tuple[int, str]]:
    """What has a hook in a model: a graph that was traced with other hooks must be traced again."""
    layers = model._flatten_layers()  # Keras has no public way that finds every layer
    return frozenset(
        (id(layer), handle.quantity) for layer in layers for handle in _hooks.get(layer, ())
    )
