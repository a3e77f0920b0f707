"""The pictures of the page: who knows what, what each reading can tell, and what reaches each layer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

from tutorials.figures import saved


def save_knowledge(norms: Mapping[str, np.ndarray], path: Path) -> Path:
    """One panel a network: |dy_t / dx_s| for all pairs of steps; where it is 0, nothing is drawn.

    Args:
        norms: by the name of a network, (steps, steps), a row for each output.
    """
    figure, panels = plt.subplots(
        1, len(norms), figsize=(3.4 * len(norms) + 0.8, 3.7), layout="constrained", sharey=True
    )
    largest = max(matrix.max() for matrix in norms.values())
    scale = LogNorm(vmin=1e-3 * largest, vmax=largest, clip=True)
    image: Any = None
    for axes, (name, matrix) in zip(panels, norms.items(), strict=True):
        image = axes.imshow(np.where(matrix > 0, matrix, np.nan), cmap="Blues", norm=scale)
        axes.set_title(name)
        axes.set_xlabel("input of step s")
    panels[0].set_ylabel("output of step t")
    figure.colorbar(image, ax=panels, label="norm of dy_t / dx_s", shrink=0.9)
    return saved(figure, path)


def save_accuracy(
    learning: Mapping[str, Sequence[float]], most_frequent: float, path: Path
) -> Path:
    """The share of blots that each network fills rightly, after each epoch.

    Args:
        learning: by the name of a network, a share for each epoch.
        most_frequent: what always the same answer gets right.
    """
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for name, shares in learning.items():
        axes.plot(range(1, len(shares) + 1), shares, "o-", label=name)
    axes.axhline(most_frequent, color="0.5", linestyle="--", label="always the most frequent one")
    axes.set_title("Which article stood there? The noun that tells comes later")
    axes.set_xlabel("epoch")
    axes.set_ylabel("share right, sentences not seen")
    axes.set_xticks(range(1, 1 + max(map(len, learning.values()))))
    axes.set_ylim(0.2, 1)
    axes.grid(alpha=0.3)
    axes.legend()
    return saved(figure, path)


def save_gradients(
    at_start: Mapping[str, Sequence[float]], training: Mapping[str, np.ndarray], path: Path
) -> Path:
    """Left: the gradient by each cell's bias at the start, of a deep stack. Right: over a training.

    Args:
        at_start: by the name of a stack, a norm for each cell from the input upwards.
        training: by the name of a stack and a cell, rows of (training step, norm).
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for number, (name, norms) in enumerate(at_start.items()):
        left.semilogy(range(1, len(norms) + 1), norms, "o-", color=f"C{number}", label=name)
    left.set_title("Before training: what reaches each cell")
    left.set_xlabel("cell, from the input upwards")
    for number, (name, rows) in enumerate(training.items()):
        style = "-" if number < len(training) // 2 else "--"
        color = f"C{number % (len(training) // 2)}"
        right.semilogy(*rows.T, style, color=color, label=name)
    right.set_title("Over a training, cell by cell")
    right.set_xlabel("training step")
    for axes in (left, right):
        axes.set_ylabel("norm of the gradient by b")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    return saved(figure, path)


def save_depths(
    depths: Mapping[tuple[str, int], Sequence[float]], most_frequent: float, path: Path
) -> Path:
    """The share of blots that each stack fills rightly: a dot a start, a line through their means.

    Args:
        depths: by kind and number of cells, a share for each start.
        most_frequent: what always the same answer gets right.
    """
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for number, kind in enumerate(dict.fromkeys(kind for kind, _ in depths)):
        found = {depth: shares for (one, depth), shares in depths.items() if one == kind}
        color, aside = f"C{number}", 0.03 * (2 * number - 1)
        for depth, shares in found.items():
            axes.plot([depth + aside] * len(shares), shares, "o", color=color, alpha=0.6)
        at = [depth + aside for depth in found]
        axes.plot(at, [np.mean(s) for s in found.values()], "-", color=color, label=kind)
    axes.axhline(most_frequent, color="0.5", linestyle="--", label="always the most frequent one")
    axes.set_title("Stacks of different starts, after the same number of updates")
    axes.set_xlabel("cells in a stack")
    axes.set_xticks(sorted({depth for _, depth in depths}))
    axes.set_ylabel("share right, sentences not seen")
    axes.set_ylim(0.2, 1)
    axes.grid(alpha=0.3)
    axes.legend()
    return saved(figure, path)
