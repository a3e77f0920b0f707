"""A model of built-in layers turned into one of our layers, and back.

    glass = twin_of(keras_model)     # same graph, same weights, our layers
    print(explain_twin(glass))       # which layers are ours, and which stayed as they were
    plain = builtin_of(glass)        # the way back

The model is cloned layer by layer. Every layer whose class has a counterpart is made again from its
own config as an object of that counterpart, wrappers together with the layers inside them; every
other layer is made again as an object of its own class.
"""

import contextlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras

import custom_layers
from custom_layers.comparison.layer_configs import (
    LayerClass,
    ReplaceClass,
    custom_classes_inside,
    is_own,
    nested_layers,
    public_name,
    with_classes_replaced,
)
from custom_layers.comparison.model_state import copy_optimizer, copy_seed_states, copy_weights


def twin_of(model: keras.Model, custom_objects: Mapping[str, Any] | None = None) -> keras.Model:
    """Rebuild a Sequential or Functional model from our layers, with its weights.

    Weights, the states of all seed generators (so that dropout draws the same masks) and, when the
    model is compiled, the compile settings and the optimizer's state are carried over. The original
    model is left as it was. Names of layers stay; shared layers stay shared, nested models nested.
    A layer without a twin keeps its class; `explain_twin(twin)` names those layers. A Sequential
    model that has no input shape yet has no weights either, so there are none to carry over.

    Args:
        model: Sequential or Functional `keras.Model`, compiled or not.
        custom_objects: functions and classes by name, for compile settings (a loss, a metric)
            that are not registered with `keras.saving.register_keras_serializable`.
    Returns: a new `keras.Model` of the same kind.
    Raises: TypeError when `model` is no Keras model or a subclassed one, whose graph only its own
        code knows; ValueError when a layer or a compile setting cannot be made again from its
        config, or a twin's weights do not fit those of its built-in.
    """
    return _rebuilt("twin_of", model, twin_class, dict(custom_objects or {}))


def builtin_of(model: keras.Model, custom_objects: Mapping[str, Any] | None = None) -> keras.Model:
    """Rebuild a Sequential or Functional model of our layers from Keras's, with its weights.

    The inverse of `twin_of`, with the same arguments and errors. Layers that Keras does not have
    (`BahdanauAttention`, for one) stay as they are.
    """
    return _rebuilt("builtin_of", model, builtin_class, dict(custom_objects or {}))


@dataclass(frozen=True)
class TwinExplanation:
    """Which layers of a model are ours and which are not; each entry is (name, class name).

    Layers inside a wrapper or a nested model are named with their owners: `encoder/gru`.
    """

    own: list[tuple[str, str]] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{len(self.own)} layers are ours, {len(self.kept)} have no twin in use"]
        width = max((len(name) for name, _ in self.own + self.kept), default=0)
        lines += [f"  {name:<{width}}  ours        {class_name}" for name, class_name in self.own]
        lines += [f"  {name:<{width}}  as it was   {class_name}" for name, class_name in self.kept]
        return "\n".join(lines)


def explain_twin(model: keras.Model) -> TwinExplanation:
    """Name the layers of a model that are ours and those that are not.

    Takes any model whose layers can tell their config, so it also answers for a model that was
    loaded from a file. Inputs and bare operations (`x + y`) are no layers and are left out.
    """
    explanation = TwinExplanation()
    _explain(model, "", explanation)
    return explanation


def twin_class(cls: LayerClass) -> LayerClass | None:
    """Our class that re-implements the built-in layer class `cls`; None when there is none."""
    name = public_name(cls, keras.layers)
    own = None if name is None else getattr(custom_layers, name, None)
    return own if isinstance(own, type) and is_own(own) else None


def builtin_class(cls: LayerClass) -> LayerClass | None:
    """Keras's layer class that our class `cls` re-implements; None when there is none."""
    name = public_name(cls, custom_layers) or cls.__name__
    found = getattr(keras.layers, name, None) if is_own(cls) else None
    return found if isinstance(found, type) else None


def _rebuilt(
    asked: str,
    model: keras.Model,
    replacement: ReplaceClass,
    custom_objects: dict[str, Any],
) -> keras.Model:
    if not isinstance(model, keras.Model):
        raise TypeError(f"{asked}: takes a keras.Model. Received: {type(model).__name__}.")
    if not _has_known_graph(model):
        raise _subclassed(asked, model)
    loss = getattr(model, "loss", None)
    for part in keras.tree.flatten(loss):
        if callable(part) and hasattr(part, "__name__"):
            custom_objects.setdefault(part.__name__, part)

    def clone_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
        return _cloned_layer(asked, layer, replacement, custom_objects)

    with keras.saving.custom_object_scope(custom_objects):
        try:
            clone = keras.models.clone_model(model, clone_function=clone_layer, recursive=True)
        except TypeError as error:
            if "Could not deserialize" not in str(error) and "Could not locate" not in str(error):
                raise
            raise ValueError(
                f"{asked}: a compile setting of model `{model.name}` cannot be made again from its "
                "config. Register it with keras.saving.register_keras_serializable, or hand it "
                f"over in custom_objects={{name: object}}. Reason: {_first_line(error)}"
            ) from error
    if type(clone) is not type(model):
        raise _subclassed(asked, model)
    copy_weights(model, clone, source_name=asked, target_name="its counterpart")
    copy_seed_states(model, clone)
    if model.compiled and clone.compiled and model.optimizer.built:
        copy_optimizer(model, clone, source_name=asked, target_name="its counterpart")
    for old, new in zip(_leaf_layers(model), _leaf_layers(clone), strict=True):
        _copy_state_beside_the_weights(old, new)
    return clone


def _cloned_layer(
    asked: str,
    layer: keras.layers.Layer,
    replacement: ReplaceClass,
    custom_objects: dict[str, Any],
) -> keras.layers.Layer:
    cls = replacement(type(layer)) or type(layer)
    try:
        with keras.saving.custom_object_scope(custom_classes_inside(layer) | custom_objects):
            return cls.from_config(with_classes_replaced(layer.get_config(), replacement))
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(
            f"{asked}: layer `{layer.name}` ({type(layer).__name__}) cannot be made as "
            f"{cls.__module__}.{cls.__name__} from its config. Give the class a `get_config` that "
            f"holds all arguments of its constructor. Reason: {_first_line(error)}"
        ) from error


def _copy_state_beside_the_weights(old: keras.layers.Layer, new: keras.layers.Layer) -> None:
    """Carry over what a layer keeps outside its variables: vocabularies, constants."""
    if isinstance(old, keras.layers.Normalization):
        new.finalize_state()  # its constants are computed from the weights copied before
    elif hasattr(old, "save_assets") and hasattr(old, "get_vocabulary"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            new.load_assets(folder)


def _leaf_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Layers of a model in order, those of nested models in their place."""
    leaves: list[keras.layers.Layer] = []
    for layer in model.layers:
        leaves += _leaf_layers(layer) if _has_known_graph(layer) else [layer]
    return leaves


def _explain(model: keras.Model, owner: str, explanation: TwinExplanation) -> None:
    for layer in model.layers:
        name = owner + layer.name
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if isinstance(layer, keras.Model) and hasattr(layer, "layers"):
            _explain(layer, name + "/", explanation)
            continue
        found = [(name, type(layer))]
        with (
            contextlib.suppress(NotImplementedError),  # no config: what is inside cannot be told
            keras.saving.custom_object_scope(custom_classes_inside(layer)),
        ):
            found += [(f"{name}/{inner}", cls) for inner, cls in nested_layers(layer.get_config())]
        for path, cls in found:
            entries = explanation.own if is_own(cls) else explanation.kept
            if not issubclass(cls, (keras.layers.InputLayer, keras.Model)):
                entries.append((path, cls.__name__))


def _has_known_graph(layer: keras.layers.Layer) -> bool:
    """Whether a layer is a Sequential or Functional model: the two whose graph Keras can tell."""
    return isinstance(layer, keras.Sequential) or (
        isinstance(layer, keras.Model) and hasattr(layer, "operations")
    )


def _subclassed(asked: str, model: keras.Model) -> TypeError:
    return TypeError(
        f"{asked}: takes Sequential and Functional models; the graph of the subclassed model "
        f"`{model.name}` ({type(model).__name__}) is known to its own code alone. Build it a "
        f"second time instead, e.g. {type(model).__name__}(..., layers=custom_layers), and copy "
        "the weights with set_weights(model.get_weights())."
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
