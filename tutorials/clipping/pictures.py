"""The pictures of the page."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from tutorials.clipping import cliff
from tutorials.clipping.reading import LAST, Run
from tutorials.figures import saved


def save_cliff(descents: Mapping[str, cliff.Descent], path: Path) -> Path:
    """The loss over w and b with a descent each; how far each has gone from update to update."""
    figure, panels = plt.subplots(
        1, len(descents), figsize=(11, 3.9), layout="constrained", sharex=True, sharey=True
    )
    w, b = np.linspace(3.8, 6.6, 281), np.linspace(-3.1, -1.7, 281)
    surface = cliff.loss(*np.meshgrid(w, b))
    for axes, (name, descent) in zip(panels, descents.items(), strict=True):
        shades = axes.pcolormesh(w, b, surface, cmap="Greys_r", shading="auto", rasterized=True)
        axes.plot(descent.w, descent.b, ".-", color="C1", markersize=3, linewidth=0.8)
        axes.plot(*cliff.START, "o", color="C0", markersize=6)
        axes.set(xlim=(w[0], w[-1]), ylim=(b[0], b[-1]), xlabel="w")
        axes.set_title(
            f"{name}: loss {descent.loss[-1]:.2f}, longest stride {descent.strides.max():.3g}",
            size=9,
        )
    panels[0].set_ylabel("b")
    figure.colorbar(shades, ax=panels, label="loss L(w, b)")
    return saved(figure, path)


def save_runs(runs: Mapping[str, Run], path: Path) -> Path:
    """Above, the norm of each step's gradient before and after clipping; below, the losses."""
    figure, rows = plt.subplots(
        2, len(runs), figsize=(12, 5.4), layout="constrained", sharex=True, sharey="row"
    )
    for (norm, loss), (name, run) in zip(rows.T, runs.items(), strict=True):
        updates = np.arange(1, len(run.losses) + 1)
        norm.semilogy(updates, run.before, ".", color="C1", markersize=3, label="before")
        norm.semilogy(updates, run.after, ".", color="C0", markersize=2, label="after clipping")
        norm.set_title(
            f"{name}\n{run.cut:.1%} of the steps cut, largest {run.before.max():.2g}", size=9
        )
        loss.plot(updates, run.losses, color="C0", linewidth=0.8)
        loss.set_title(f"{run.end:.2f} in the last {LAST}", size=9)
        loss.set(xlabel="update", ylim=(1.8, 8))  # a training that is ruined goes beyond
    rows[0, 0].set_ylabel("norm of all gradients")
    rows[1, 0].set_ylabel("loss, nats per character")
    rows[0, -1].legend(markerscale=4)
    return saved(figure, path)


def save_thresholds(ends: Mapping[str, Mapping[float, float]], plain: float, path: Path) -> Path:
    """The loss that each threshold of each rule ends at, beside the best one without clipping."""
    figure, axes = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
    for rule, losses in ends.items():
        axes.semilogx(list(losses), list(losses.values()), "o-", label=rule)
    axes.axhline(plain, color="C3", linestyle="--", label="without clipping, at its best rate")
    axes.set(xlabel="threshold c", ylabel="loss at the end, nats")
    axes.legend()
    axes.grid(alpha=0.3)
    return saved(figure, path)
