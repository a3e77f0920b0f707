"""What the translator is looked at with: sentences that it does not train on, always the same ones."""

from pathlib import Path
from typing import Any

import keras

from custom_layers.debugging import GradientInspector

SENTENCES = 8  # an eighth of a training batch: a look costs about half a training step


def probe_of(data: Any) -> tuple[Any, Any]:
    """(x, y) of the first held-out sentences."""
    x, y = next(iter(data.held_out))
    return keras.tree.map_structure(lambda words: words[:SENTENCES].numpy(), (x, y))


def inspectors(data: Any, folder: Path, every: int) -> list[GradientInspector]:
    """What writes gates, states, attention and gradients into a run; nothing if `every` is 0."""
    return [GradientInspector(folder, probe_of(data), every=every)] if every else []
