"""The pictures of the page: what padding does to an answer, and what batches are made of."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np


def save_effect(
    padding: Sequence[int],
    questions: Mapping[str, np.ndarray],
    accuracy: Mapping[str, Sequence[float]],
    path: Path,
) -> Path:
    """Two panels over the number of padded steps.

    Args:
        padding: zeros behind a sentence, across.
        questions: by the name of a network, the probabilities (sentences, len(padding)) that it gives
            to sentences all of which are questions.
        accuracy: likewise, the share of sentences that it judges rightly.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for number, (name, probabilities) in enumerate(questions.items()):
        for row, line in enumerate(probabilities):
            label = name if row == 0 else None
            left.plot(padding, line, color=f"C{number}", alpha=0.7, label=label)
    left.set_title("The same questions, more and more padding")
    left.set_ylabel("probability of a question")
    left.set_ylim(-0.03, 1.03)
    for number, (name, shares) in enumerate(accuracy.items()):
        right.plot(padding, shares, "o-", color=f"C{number}", label=name)
    right.set_title("Only a mask makes padding harmless")
    right.set_ylabel("share judged rightly")
    right.set_ylim(0.45, 1.02)
    for axes in (left, right):
        axes.set_xlabel("padded steps behind each sentence")
        axes.grid(alpha=0.3)
        axes.legend(loc="lower left")
    return _saved(figure, path)


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
    return _saved(figure, path)


def _saved(figure: Any, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
