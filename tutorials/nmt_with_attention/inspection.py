"""What the translator is looked at with: sentences that it does not train on, always the same ones."""

from typing import Any

import keras

from tutorials.nmt_with_attention.data import TranslationData

SENTENCES = 32  # half a training batch: a look costs about half a training step


def probe_of(data: TranslationData) -> tuple[Any, Any]:
    """(x, y) of the first held-out sentences."""
    x, y = next(iter(data.held_out))
    return keras.tree.map_structure(lambda words: words[:SENTENCES].numpy(), (x, y))
