"""What this tutorial adds to the job that the translation tutorials share."""

from argparse import Namespace
from typing import Any

import keras

import custom_layers
from tutorials.nmt_with_attention.data import (
    PRESETS,
    Preset,
    TranslationData,
    learning_rate_of,
    load,
)
from tutorials.nmt_with_attention.model import build_translator
from tutorials.nmt_with_attention.pictures import save_attention_figures
from tutorials.translation.job import Tutorial

NAMESPACES = {"builtin": keras.layers, "custom": custom_layers}


def build(
    layers: Any, data: TranslationData, preset: Preset, steps: int, arguments: Namespace
) -> Any:
    """A compiled translator of the sizes asked for."""
    return build_translator(
        layers,
        data.context_vocabulary,
        data.target_vocabulary,
        preset.units,
        arguments.attention,
        learning_rate_of(preset, steps),
    )


TUTORIAL = Tutorial(
    presets=PRESETS,
    namespaces=NAMESPACES,
    several={"both": ["builtin", "custom"]},
    load=lambda arguments, preset: load(arguments.data, preset, arguments.seed, arguments.batches),
    describe=lambda data: (
        f"{len(data.context_vocabulary):,} and {len(data.target_vocabulary):,} words"
    ),
    sizes=lambda preset, arguments: f"{preset.units} units, {arguments.attention} attention",
    build=build,
    save_pictures=save_attention_figures,
)
