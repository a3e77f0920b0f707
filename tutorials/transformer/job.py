"""What this tutorial adds to the job that the translation tutorials share."""

from argparse import Namespace
from typing import Any, NamedTuple

import keras
import keras_hub

import custom_layers
from tutorials.transformer.data import PRESETS, Preset, learning_rate_of, load, sizes_of
from tutorials.transformer.model import build_transformer
from tutorials.transformer.pictures import save_attention_figures
from tutorials.translation.batches import TranslationData
from tutorials.translation.job import Tutorial


class Source(NamedTuple):
    """Where layers come from, and the blocks where they are not this tutorial's."""

    layers: Any
    blocks: Any = None


NAMESPACES = {
    "builtin": Source(keras.layers),
    "custom": Source(custom_layers),
    "keras_hub": Source(keras.layers, keras_hub.layers),
}


def build(
    source: Source, data: TranslationData, preset: Preset, steps: int, arguments: Namespace
) -> Any:
    """A compiled Transformer of the preset's sizes."""
    return build_transformer(
        source.layers,
        data.context_vocabulary,
        data.target_vocabulary,
        learning_rate_of(preset),
        source.blocks,
        **sizes_of(preset),
    )


TUTORIAL = Tutorial(
    presets=PRESETS,
    namespaces=NAMESPACES,
    several={"both": ["builtin", "custom"], "all": ["builtin", "custom", "keras_hub"]},
    load=lambda arguments, preset: load(arguments.data, preset, arguments.seed, arguments.batches),
    describe=lambda data: (
        f"{len(data.context_vocabulary):,} and {len(data.target_vocabulary):,} sub-words"
    ),
    sizes=lambda preset, arguments: (
        f"{preset.num_layers} layers, d_model {preset.d_model}, {preset.num_heads} heads, dff "
        f"{preset.dff}, dropout {preset.dropout}"
    ),
    build=build,
    save_pictures=save_attention_figures,
)
