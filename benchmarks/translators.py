"""The tutorials' translators as the benchmarks train them: their data, and the model from any layers."""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from tutorials.nmt_with_attention import data as nmt_data
from tutorials.nmt_with_attention.model import build_translator
from tutorials.transformer import data as transformer_data
from tutorials.transformer.model import build_transformer
from tutorials.transformer.subwords import Subwords
from tutorials.translation.batches import TranslationData
from tutorials.translation.text import vectorizer_of


class Translator(NamedTuple):
    """One of the tutorials.

    data: its module, with `PRESETS` and `prepare`.
    tokens_of: vocabulary -> strings to ragged token numbers.
    build: (layers, data, preset) -> a compiled model.
    steps: of the official way.
    recurrent: whether it has a GRU.
    """

    data: Any
    tokens_of: Callable[[Any], Callable[[Any], Any]]
    build: Callable[[Any, TranslationData, Any], Any]
    steps: int
    recurrent: bool


def build_nmt(layers: Any, data: TranslationData, preset: Any) -> Any:
    """The recurrent translator, at a constant learning rate."""
    vocabularies = data.context_vocabulary, data.target_vocabulary
    return build_translator(layers, *vocabularies, preset.units, learning_rate=preset.learning_rate)


def build_attentive(layers: Any, data: TranslationData, preset: Any) -> Any:
    """The Transformer, its learning rate rising."""
    return build_transformer(
        *(layers, data.context_vocabulary, data.target_vocabulary),
        transformer_data.learning_rate_of(preset),
        **transformer_data.sizes_of(preset),
    )


TRANSLATORS = {
    "NMT": Translator(nmt_data, vectorizer_of, build_nmt, 2000, True),
    "Transformer": Translator(
        transformer_data, lambda pieces: Subwords(pieces).tokens_of, build_attentive, 2000, False
    ),
}


def corpus_name() -> str:
    """Real sentence pairs where CUSTOM_LAYERS_DATA says where they are, else the demo corpus."""
    return "spa-eng" if "CUSTOM_LAYERS_DATA" in os.environ else "demo"
