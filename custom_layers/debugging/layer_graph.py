"""The graph of a model as a person draws it: its layers, and which one feeds which.

A traced function holds thousands of operations. Here each layer is one node, found by its output; edges
are found by walking back through the operations from one layer's output to the next one's.
"""

import re
from typing import Any

import keras
import tensorflow as tf

from custom_layers.core import taps
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.debugging.layer_outputs import tapped_outputs
from custom_layers.debugging.recorder import names_of_layers


class _Outputs:
    """Listens to the outputs of layers only, in the order of computation."""

    def __init__(self, model: keras.Model) -> None:
        self._names = names_of_layers(model)
        self.kinds: dict[str, str] = {}
        self.values: list[tuple[str, Tensor]] = []
        self._paths: dict[int, str] = {}  # of each layer's last call

    def hears(self, layer: Any, value: Tensor) -> bool:
        return id(layer) in self._names and not isinstance(value, keras.KerasTensor)

    def probe(self, shape: Shape, dtype: Any) -> Tensor:
        return tf.zeros(shape, dtype)

    def keep(self, layer: Any, name: str, value: Tensor, *_: Any, **__: Any) -> None:
        if not name.startswith("output"):
            return
        if (
            name == "output" or id(layer) not in self._paths
        ):  # a call: its first output is no number
            path = taps.unused_name(self._names[id(layer)], self.kinds)
            self.kinds[path] = layer.__class__.__name__
            self._paths[id(layer)] = path
        self.values.append((self._paths[id(layer)], value))


def layer_graph(model: keras.Model, inputs: Any) -> tf.compat.v1.GraphDef:
    """One node a call of a layer: its path, its class, the shape of its output, and what feeds it.

    Args:
        model: built. It is traced once, and changed in nothing.
        inputs: tensors as the model takes them.
    """
    outputs = _Outputs(model)

    def forward(inputs: Any) -> Any:
        with taps.listening(outputs), tapped_outputs(model):
            return model(inputs, training=False)

    traced = tf.function(forward, autograph=False).get_concrete_function(inputs)
    given = traced.inputs[: len(traced.inputs) - len(traced.captured_inputs)]
    found = [(f"input_{n}", tensor) for n, tensor in enumerate(given, 1)] + outputs.values
    name_of = {id(tensor): _node_name(path) for path, tensor in found}
    graph = tf.compat.v1.GraphDef()
    nodes: dict[str, Any] = {}
    for path, tensor in found:
        name = _node_name(path)
        if name not in nodes:
            kind = outputs.kinds.get(path, "Placeholder")
            nodes[name] = graph.node.add(name=name, op=kind)
            nodes[name].attr["_output_shapes"].list.shape.add().CopyFrom(tensor.shape.as_proto())
        feeding = _feeding(tensor, name_of)
        nodes[name].input.extend(
            other for other in feeding if other != name and other not in nodes[name].input
        )
    return graph


def _feeding(tensor: Tensor, name_of: dict[int, str]) -> list[str]:
    """Names of the outputs that a tensor is computed from, and that no other lies between."""
    feeding: list[str] = []
    seen = set()
    ahead = list(tensor.op.inputs)
    while ahead:
        before = ahead.pop(0)
        if id(before) in seen:
            continue
        seen.add(id(before))
        if id(before) in name_of:
            feeding.append(name_of[id(before)])
        else:
            ahead.extend(before.op.inputs)
    return feeding


def _node_name(path: str) -> str:
    """A path as TensorFlow allows it: a second call, `gru:2`, is a node `gru.2`."""
    return re.sub(r"[^A-Za-z0-9_./\\-]", ".", path)
