"""Pictures of what each word of a translation attended to."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg", force=False)

from matplotlib.figure import Figure

from tutorials.nmt_with_attention.model import Attended
from tutorials.translation.text import END, START

MARKS = {START: "[start]", END: "[end]"}


def _shown(words: Sequence[str]) -> list[str]:
    return [MARKS.get(word, word) for word in words]


def attention_figure(attended: Mapping[str, Attended], title: str = "") -> Figure:
    """One heat map per model: words of the source across, words of the translation down.

    Args:
        attended: name of the model -> `Translator.attention_of` one sentence.
        title: the sentence as it was written, with its accents.
    """
    widest = max(len(item.context_words) for item in attended.values())
    tallest = max(len(item.target_words) for item in attended.values())
    size = (len(attended) * (1.8 + 0.46 * widest), 2.2 + 0.42 * tallest)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(attended), squeeze=False)[0]
    image: Any = None
    for axes, (name, item) in zip(panels, attended.items(), strict=True):
        image = axes.imshow(item.weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_xticks(range(len(item.context_words)), _shown(item.context_words))
        axes.tick_params(axis="x", rotation=60, labeltop=True, labelbottom=False, top=True)
        axes.tick_params(axis="x", bottom=False)
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("left")
            label.set_rotation_mode("anchor")
        axes.set_yticks(range(len(item.target_words)), _shown(item.target_words))
        axes.set_xlabel(name)
        axes.set_ylabel("translation")
        for row, weights in enumerate(item.weights):
            for column, weight in enumerate(weights):
                if weight >= 0.1:
                    color = "white" if weight > 0.6 else "black"
                    axes.text(
                        column, row, f"{weight:.1f}", ha="center", va="center", color=color, size=7
                    )
    figure.colorbar(image, ax=list(panels), label="attention weight", shrink=0.8)
    if title:
        figure.suptitle(title)
    return figure


def save_attention_figures(
    translators: Mapping[str, Any], sources: Sequence[str], folder: Path, **options: Any
) -> list[Path]:
    """One picture a sentence, the models side by side. Returns the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    attended = {
        name: translator.attention_of(
            sources, translator.translate(list(sources), check=False, **options)
        )
        for name, translator in translators.items()
    }
    paths = []
    for number, source in enumerate(sources):
        figure = attention_figure(
            {name: items[number] for name, items in attended.items()}, title=source
        )
        paths.append(folder / f"attention_{number + 1}.png")
        figure.savefig(paths[-1], dpi=120)
    return paths
