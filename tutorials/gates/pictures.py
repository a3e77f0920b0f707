"""The pictures of the page: how exactly each cell learns to ring, and its gates over a stream."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from tutorials.figures import saved


class Watched(NamedTuple):
    """What a network did on one stream.

    gates: "i", "f", "o", "c" and "h", each (steps, units). answers: (steps,), probabilities.
    """

    gates: Mapping[str, np.ndarray]
    answers: np.ndarray


ROWS = {
    "i": "input gate\ni",
    "f": "forget gate\nf",
    "o": "output gate\no",
    "c": "cell\nc",
    "h": "state\nh",
}


def save_gates(
    watched: Mapping[str, Watched], spikes: np.ndarray, due: np.ndarray, path: Path
) -> Path:
    """A column a network, a row each for its gates, its states and its answers; a line a unit.

    Args:
        watched: by the name of a network.
        spikes: (steps,), 1 where a spike comes in.
        due: (steps,), 1 where the alarm should ring.
    """
    figure, panels = plt.subplots(
        *(len(ROWS) + 1, len(watched)),
        figsize=(5 * len(watched), 8),
        layout="constrained",
        sharex=True,
        squeeze=False,
    )
    steps = np.arange(len(due))
    for column, (name, network) in zip(panels.T, watched.items(), strict=True):
        for axes, key in zip(column, [*ROWS, "answer"], strict=True):
            lines = network.answers[:, None] if key == "answer" else network.gates[key]
            low, high = (-0.05, 1.05) if key in "ifo" or key == "answer" else _limits(lines)
            axes.fill_between(steps, low, high, where=due > 0, color="C1", alpha=0.25, step="mid")
            for step in np.flatnonzero(spikes):
                axes.axvline(step, color="0.4", linestyle=":", linewidth=1)
            for unit, line in enumerate(lines.T):
                axes.plot(steps, line, color=("C0", "C2", "C3")[unit % 3], linewidth=1.4)
            axes.set_ylim(low, high)
            axes.grid(alpha=0.3)
        column[0].set_title(name)
        column[-1].set_xlabel("step (dotted: a spike; orange: ring now)")
    for axes, label in zip(panels[:, 0], [*ROWS.values(), "answer"], strict=True):
        axes.set_ylabel(label)
    return saved(figure, path)


def _limits(lines: np.ndarray) -> tuple[float, float]:
    margin = 0.05 * max(1e-3, float(np.ptp(lines)))
    return float(lines.min()) - margin, float(lines.max()) + margin


def save_learning(exact: Mapping[str, np.ndarray], updates: int, title: str, path: Path) -> Path:
    """The share of alarms on time over the updates, a thin line a seed, a broad one their mean.

    Args:
        exact: by the name of a cell, (epochs, seeds).
        updates: of an epoch.
    """
    figure, axes = plt.subplots(figsize=(8, 4.8), layout="constrained")
    for number, (name, shares) in enumerate(exact.items()):
        at = updates * np.arange(1, len(shares) + 1)
        axes.plot(at, shares, color=f"C{number}", alpha=0.35, linewidth=1)
        mean = shares.mean(axis=1)
        axes.plot(at, mean, ".-", color=f"C{number}", linewidth=2.5, label=name)
    axes.set_title(title)
    axes.set_xlabel("updates (thin: one start; thick: the mean)")
    axes.set_xscale("log")
    ends = {updates * len(shares) for shares in exact.values()}
    axes.set_xticks(sorted({updates, *ends}), minor=False)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_formatter("")
    axes.set_ylabel("share of alarms at exactly the right step")
    axes.set_ylim(-0.03, 1.03)
    axes.grid(alpha=0.3)
    figure.legend(fontsize="small", loc="outside lower center", ncols=3)
    return saved(figure, path)
