"""The pictures of the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from tutorials.conv_lstm.inside import Inside
from tutorials.figures import saved

GREY = {"cmap": "gray", "vmin": 0, "vmax": 1}


def save_films(shown: np.ndarray, every: int, path: Path) -> Path:
    """A row a film, every so many frames: (films, steps, size, size)."""
    frames = range(0, shown.shape[1], every)
    figure, panels = plt.subplots(
        *(len(shown), len(frames)),
        figsize=(len(frames), 1.05 * len(shown) + 0.2),
        layout="constrained",
        squeeze=False,
    )
    for row, film in zip(panels, shown, strict=True):
        for axes, t in zip(row, frames, strict=True):
            _picture(axes, film[t], **GREY)
    for axes, t in zip(panels[0], frames, strict=True):
        axes.set_title(f"frame {t + 1}", size=9)
    return saved(figure, path)


def save_forecasts(
    true: np.ndarray,
    said: Mapping[str, np.ndarray],
    errors: Mapping[str, np.ndarray],
    ink: float,
    path: Path,
) -> Path:
    """One film's frames to come as they came and as they were said; below, errors over the horizon.

    Args:
        true: (ahead, size, size). said: by the name of a forecast, of the same shape.
        errors: by name, (ahead,), squared error over a frame. ink: that of an empty frame.
    """
    rows = {"what came": true, **said}
    figure = plt.figure(figsize=(10, 1.0 * len(rows) + 3.6), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=[len(rows), 3.4])
    above, below = halves
    panels = above.subplots(len(rows), len(true))
    for row, (name, film) in zip(panels, rows.items(), strict=True):
        for axes, frame in zip(row, film, strict=True):
            _picture(axes, frame, **GREY)
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", size=9)
    for k, axes in enumerate(panels[0]):
        axes.set_title(f"+{k + 1}", size=9)
    axes = below.subplots()
    ahead = np.arange(1, len(true) + 1)
    for number, (name, error) in enumerate(errors.items()):
        axes.plot(ahead, error, "o-", markersize=4, color=f"C{number}", label=name)
    axes.axhline(ink, color="0.5", linestyle=":", label="an empty frame")
    axes.set_xlabel("frames ahead")
    axes.set_ylabel("squared error, sum over a frame")
    axes.set_ylim(bottom=0)
    axes.set_xticks(ahead)
    axes.legend(fontsize="small", ncols=2, loc="lower right")
    axes.grid(alpha=0.3)
    return saved(figure, path)


def save_gates(film: np.ndarray, maps: Mapping[str, np.ndarray], path: Path) -> Path:
    """A film, and below it what one filter of each gate and state does at each place.

    Args:
        film: (steps, size, size). maps: by title, (steps, side, side).
    """
    steps = len(film)
    figure, panels = plt.subplots(
        1 + len(maps), steps, figsize=(steps, len(maps) + 1.5), layout="constrained"
    )
    for t in range(steps):
        _picture(panels[0, t], film[t], **GREY)
        panels[0, t].set_title(f"frame {t + 1}", size=9)
    panels[0, 0].set_ylabel("seen", rotation=0, ha="right", va="center", size=9)
    for row, (title, map_) in zip(panels[1:], maps.items(), strict=True):
        high = float(np.abs(map_).max())
        colours: dict[str, Any] = (
            {"cmap": "viridis", "vmin": 0, "vmax": 1}
            if "gate" in title
            else {"cmap": "RdBu_r", "vmin": -high, "vmax": high}
        )
        for axes, frame in zip(row, map_, strict=True):
            shown = _picture(axes, frame, **colours)
        row[0].set_ylabel(title, rotation=0, ha="right", va="center", size=9)
        figure.colorbar(shown, ax=row, fraction=0.02, pad=0.01)
    return saved(figure, path)


def save_pull(film: np.ndarray, inside: Inside, path: Path) -> Path:
    """The frames that were seen, and how much one patch (cross) of the next hangs on each state.

    Args: film: (steps, size, size). inside: of as many steps.
    """
    steps, side = inside.pull.shape[:2]
    figure, panels = plt.subplots(2, steps, figsize=(steps, 2.6), layout="constrained")
    largest = inside.pull.max()
    with np.errstate(divide="ignore"):
        logarithms = np.log10(inside.pull / largest)
    for t in range(steps):
        _picture(panels[0, t], film[t], extent=(-0.5, side - 0.5, side - 0.5, -0.5), **GREY)
        shown = _picture(panels[1, t], logarithms[t], cmap="magma", vmin=-5, vmax=0)
        panels[0, t].set_title(f"frame {t + 1}", size=9)
        for axes in panels[:, t]:
            axes.plot(*reversed(inside.place), "+", color="C2", markersize=7)
    panels[0, 0].set_ylabel("seen", rotation=0, ha="right", va="center", size=9)
    panels[1, 0].set_ylabel("|dp/dh|", rotation=0, ha="right", va="center", size=9)
    bar = figure.colorbar(shown, ax=panels[1], fraction=0.02, pad=0.01)
    bar.set_label("log10 of the largest\n(white: exactly 0)", size=8)
    return saved(figure, path)


def save_losses(losses: Mapping[str, Sequence[float]], every: int, path: Path) -> Path:
    """The loss of the batches while each network learns, mean of `every` of them."""
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for name, of_batches in losses.items():
        whole = np.array(of_batches[: len(of_batches) // every * every]).reshape(-1, every)
        axes.plot(every * (1 + np.arange(len(whole))), whole.mean(axis=1), label=name)
    axes.set_yscale("log")
    axes.set_xlabel("batches")
    axes.set_ylabel("binary cross-entropy, nats a pixel")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize="small")
    return saved(figure, path)


def _picture(axes: Any, frame: np.ndarray, **options: Any) -> Any:
    axes.set_xticks([])
    axes.set_yticks([])
    return axes.imshow(frame, interpolation="nearest", **options)
