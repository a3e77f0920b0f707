"""Pictures of the attention of every block and head."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg", force=False)

import numpy as np
from matplotlib.figure import Figure

from tutorials.transformer.model import Attended

KINDS = {  # field of `Attended`: title, pieces down, pieces across
    "encoder": ("the sentence to itself", "context_pieces", "context_pieces"),
    "decoder": ("the translation to itself", "target_pieces", "target_pieces"),
    "cross": ("the translation to the sentence", "target_pieces", "context_pieces"),
}


def heads_figure(attended: Attended, kind: str, title: str = "") -> Figure:
    """One panel for each head (across) of each block (down); darker is more attention.

    Args:
        kind: "encoder", "decoder" or "cross".
    """
    weights = getattr(attended, kind)  # (blocks, heads, rows, columns)
    named, down, across = KINDS[kind]
    rows, columns = getattr(attended, down), getattr(attended, across)
    blocks, heads = weights.shape[:2]
    width, height = 0.6 + 0.16 * len(columns), 0.6 + 0.16 * len(rows)
    figure = Figure(figsize=(1.6 + heads * width, 1.6 + blocks * height), layout="constrained")
    panels = figure.subplots(blocks, heads, squeeze=False, sharex=True, sharey=True)
    image: Any = None
    for block in range(blocks):
        for head in range(heads):
            axes = panels[block, head]
            image = axes.imshow(weights[block, head], cmap="Blues", vmin=0, vmax=1, aspect="auto")
            if block == 0:
                axes.set_title(f"head {head + 1}", fontsize=8)
            if head == 0:
                axes.set_ylabel(f"block {block + 1}", fontsize=8)
            axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=6)
            axes.set_yticks(range(len(rows)), rows, fontsize=6)
    figure.colorbar(image, ax=list(panels.flat), label="attention weight", shrink=0.6)
    figure.suptitle(f"{named}: {title}" if title else named, fontsize=10)
    return figure


def mean_figure(attended: Mapping[str, Attended], title: str = "") -> Figure:
    """Cross attention of the last block, the mean over its heads; a panel for each translator."""
    widest = max(len(item.context_pieces) for item in attended.values())
    tallest = max(len(item.target_pieces) for item in attended.values())
    size = (len(attended) * (1.8 + 0.4 * widest), 2.2 + 0.36 * tallest)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(attended), squeeze=False)[0]
    image: Any = None
    for axes, (name, item) in zip(panels, attended.items(), strict=True):
        image = axes.imshow(np.mean(item.cross[-1], axis=0), cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(len(item.context_pieces)), item.context_pieces, rotation=60)
        axes.set_yticks(range(len(item.target_pieces)), item.target_pieces)
        axes.set_xlabel(name)
        axes.set_ylabel("translation read so far")
    figure.colorbar(image, ax=list(panels), label="attention weight", shrink=0.8)
    if title:
        figure.suptitle(title)
    return figure


def save_attention_figures(
    transformers: Mapping[str, Any], sources: Sequence[str], folder: Path, **options: Any
) -> list[Path]:
    """For each sentence one picture with all translators, and of the last one every block and head.

    Translators of other blocks than the tutorial's show no attention and are left out. Returns the files
    written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = {name: m for name, m in transformers.items() if m.config["blocks"] is None}
    attended = {
        name: model.attention_of(sources, model.translate(list(sources), check=False, **options))
        for name, model in shown.items()
    }
    paths = []
    for number, source in enumerate(sources if shown else []):
        items = {name: found[number] for name, found in attended.items()}
        figures = {f"attention_{number + 1}": mean_figure(items, source)}
        last = list(items.values())[-1]
        for kind in KINDS:
            figures[f"heads_{number + 1}_{kind}"] = heads_figure(last, kind, source)
        for name, figure in figures.items():
            paths.append(folder / f"{name}.png")
            figure.savefig(paths[-1], dpi=120)
    return paths
