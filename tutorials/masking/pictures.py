"""The pictures of the page: what padding does to an answer, and what batches are made of."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from tutorials.figures import saved


def save_effect(
    padding: Sequence[int],
    moved: Mapping[str, Sequence[float]],
    accuracy: Mapping[str, Sequence[float]],
    path: Path,
) -> Path:
    """Two panels over the number of padded steps.

    Args:
        padding: zeros behind a sentence, across.
        moved: by the name of a network, how far its probabilities move on average, compared with those
            without padding.
        accuracy: likewise, the share of sentences that it judges rightly.
    """
    figure, panels = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for axes, values, label in (
        (panels[0], moved, "mean change of a probability"),
        (panels[1], accuracy, "share judged rightly"),
    ):
        for name, line in values.items():
            summary, _, mask = name.partition(", ")
            color = {"masked": "C0", "never a mask": "C1", "mask lost": "C3"}[mask]
            style = "o-" if summary == "LSTM" else "s--"
            axes.plot(padding, line, style, color=color, label=name, markersize=5)
        axes.set_xlabel("padded steps behind each sentence")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    panels[0].set_title("With a mask nothing moves")
    panels[1].set_title("Without one, answers depend on the padding")
    panels[1].set_ylim(0.45, 1.02)
    panels[0].legend(fontsize="small")
    return saved(figure, path)


def save_batches(batches: Mapping[str, tuple[Any, float]], path: Path) -> Path:
    """Rectangles as the network reads them: a dark cell is a word, a light one padding.

    Args:
        batches: by the name of a way, rows (sentences, steps) of a batch, and the share of padding of
            all its batches.
    """
    widest = max(np.shape(rows)[1] for rows, _ in batches.values())
    figure, panels = plt.subplots(1, len(batches), figsize=(10, 3.6), layout="constrained")
    for axes, (name, (rows, share)) in zip(panels, batches.items(), strict=True):
        longest_first = np.argsort(-np.count_nonzero(rows, axis=1), kind="stable")
        cells = np.where(np.asarray(rows)[longest_first] != 0, 1.0, 0.25)
        axes.imshow(cells, cmap="Blues", vmin=0, vmax=1.3, aspect="auto", interpolation="nearest")
        axes.set_xlim(-0.5, widest - 0.5)
        axes.set_title(f"{name}: {share:.0%} of all cells are padding")
        axes.set_xlabel("step")
        axes.set_ylabel("sentence of one batch")
    return saved(figure, path)
