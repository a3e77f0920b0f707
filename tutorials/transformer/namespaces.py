"""Where a Transformer's layers come from: Keras, KerasHub for what Keras lacks, or custom_layers.

KerasHub takes seconds to import, and is imported only where it is needed.
"""

from typing import Any

from tutorials.translation.text_translator import namespace_of


def cached_attention_of(layers: Any) -> Any:
    """The namespace's attention with a cache; Keras's own is in KerasHub."""
    return _of(layers, "CachedMultiHeadAttention")


def positions_of(layers: Any) -> Any:
    """The namespace's sines and cosines; Keras's own are in KerasHub."""
    return _of(layers, "SinePositionEncoding")


def blocks_namespace(name: str) -> Any:
    """The module of blocks that a saved translator was built from."""
    if name == "keras_hub.layers":
        import keras_hub

        return keras_hub.layers
    return namespace_of(name, "Transformer")


def name_of(blocks: Any) -> str:
    """What `blocks_namespace` takes; KerasHub's modules have longer names than users write."""
    name = blocks.__name__
    return "keras_hub.layers" if name.startswith("keras_hub") else name


def _of(layers: Any, name: str) -> Any:
    if hasattr(layers, name):
        return getattr(layers, name)
    import keras_hub

    return getattr(keras_hub.layers, name)
