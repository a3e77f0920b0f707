"""Layers inside the config of another layer: find them, and put other classes in their place.

A wrapper's config holds its layers as serialized dictionaries with the keys `module`, `class_name`,
`config` and `registered_name`, at any depth (`Bidirectional`, `TimeDistributed`, `RNN` around
`StackedRNNCells`, a whole model inside `TimeDistributed`). One walk over dictionaries and lists
finds them all, without a list of wrapper classes to keep up to date.
"""

from collections.abc import Callable, Iterator
from typing import Any

import keras

LayerClass = type[keras.layers.Layer]
ReplaceClass = Callable[[LayerClass], LayerClass | None]


def is_own(cls: type) -> bool:
    """Whether a class was written in this package, rather than re-exported by it."""
    return cls.__module__.split(".")[0] == "custom_layers"


def public_name(cls: type, namespace: Any) -> str | None:
    """The name by which `keras.layers` or `custom_layers` offers a class; None when it does not.

    It is the class's own but for GroupQueryAttention, whose class is named GroupedQueryAttention.
    """
    if getattr(namespace, cls.__name__, None) is cls:
        return cls.__name__
    return next((name for name, value in vars(namespace).items() if value is cls), None)


def layer_class(serialized: Any) -> LayerClass | None:
    """Class of the layer that a serialized dictionary describes; None when it describes none.

    Keras's own classes are found by name in `keras.layers`, all others in the registry of
    serializable objects or in the custom objects of the scope.
    """
    if not isinstance(serialized, dict) or not {"class_name", "config"} <= serialized.keys():
        return None
    module, name = serialized.get("module") or "", serialized["class_name"]
    if module.split(".")[0] == "keras":
        found = getattr(keras.layers, name, None) or getattr(keras.models, name, None)
    else:
        found = keras.saving.get_registered_object(serialized.get("registered_name"))
    return found if isinstance(found, type) and issubclass(found, keras.layers.Layer) else None


def nested_layers(config: Any) -> Iterator[tuple[str, LayerClass]]:
    """Yield (name, class) of each layer that stands somewhere inside `config`, outermost first."""
    cls = layer_class(config)
    if cls is not None:
        yield str(config["config"].get("name", config["class_name"])), cls
    children = config.values() if isinstance(config, dict) else config
    if isinstance(config, (dict, list, tuple)):
        for child in children:
            yield from nested_layers(child)


def with_classes_replaced(config: Any, replacement: ReplaceClass) -> Any:
    """Copy of `config` in which each layer's class is the one that `replacement` returns for it.

    Args:
        config: what `get_config()` or `keras.saving.serialize_keras_object` returned.
        replacement: takes a layer class, returns the class to put in its place or None to keep it.
    """
    if isinstance(config, (list, tuple)):
        return type(config)(with_classes_replaced(item, replacement) for item in config)
    if not isinstance(config, dict):
        return config
    copy = {key: with_classes_replaced(value, replacement) for key, value in config.items()}
    cls = layer_class(config)
    new_class = None if cls is None else replacement(cls)
    if new_class is not None:
        registered = keras.saving.get_registered_name(new_class)
        builtin_name = public_name(new_class, keras.layers)
        is_builtin = builtin_name is not None
        copy["module"] = "keras.layers" if is_builtin else new_class.__module__
        copy["class_name"] = builtin_name or new_class.__name__
        copy["registered_name"] = None if is_builtin else registered
    return copy


def custom_classes_inside(layer: keras.layers.Layer) -> dict[str, LayerClass]:
    """Classes of a layer and of all layers it holds that are not Keras's, by registered name.

    As custom objects they let the layer's config be read, whether the classes are registered or
    not.
    """
    found: dict[str, LayerClass] = {}
    seen: set[int] = set()

    def visit(value: Any) -> None:
        if not isinstance(value, (keras.layers.Layer, dict, list, tuple)) or id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, keras.layers.Layer):
            cls = type(value)
            if public_name(cls, keras.layers) is None:
                found.setdefault(keras.saving.get_registered_name(cls), cls)
            value = vars(value)
        for child in value.values() if isinstance(value, dict) else value:
            visit(child)

    visit(layer)
    return found
