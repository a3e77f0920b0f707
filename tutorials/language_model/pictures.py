"""The pictures of the page."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from tutorials.figures import saved
from tutorials.language_model.learning import Curve
from tutorials.language_model.units import Unit

MILLION = 1e6
READ = "characters read in training, millions"
NATS = "nats per character"
NAMES = {
    "\n": "\u21b5",
    " ": "\u00a0",
}  # a line end is shown as an arrow, and ends the row


def save_learning(
    curve: Curve, levels: Mapping[str, float], first: Mapping[str, np.ndarray], path: Path
) -> Path:
    """The main training beside what counting reaches, and the first losses of two sets of layers.

    Args:
        curve: one point for each epoch.
        levels: nats per character of the validation text, by the name of what needs no training.
        first: by the name of the layers, the loss of each update, (updates,); two of them.
        path: the PNG.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    read = np.array(curve.characters) / MILLION
    for name, nats in levels.items():
        left.axhline(nats, color="0.6", linewidth=1, linestyle="--")
        left.text(read[-1], nats, name, ha="right", va="bottom", color="0.35", fontsize="small")
    left.plot(read, curve.training, "o-", label="training text")
    left.plot(read, curve.validation, "o-", label="validation text")
    left.set_title(f"{curve.validation[-1]:.2f} nats on the validation text (dashed: by counting)")
    left.set_xlabel(READ)
    left.set_ylabel(NATS)
    left.legend(loc="center", bbox_to_anchor=(0.35, 0.6))
    for (name, losses), width in zip(first.items(), (6, 1.5), strict=True):
        right.plot(np.arange(1, len(losses) + 1), losses, linewidth=width, label=name)
    apart = np.abs(np.subtract(*first.values())).max()
    right.set_title(f"Built-in and custom layers: losses at most {apart:.0e} apart")
    right.set_xlabel("update")
    right.set_ylabel(f"loss, {NATS}")
    right.legend()
    return _saved_with_grids(figure, path, left, right)


def save_carrying(
    by_place: Mapping[str, np.ndarray], trained: Mapping[str, Curve], path: Path
) -> Path:
    """What the state from the window before is worth: in reading, and in training.

    Args:
        by_place: nats of the first, second, ... character of a window, (steps,), by name.
        trained: curves by name.
        path: the PNG.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    for name, nats in by_place.items():
        places, means = _in_groups(nats)
        left.plot(places, means, "o-", label=f"{name}: {nats.mean():.2f} on average")
    left.set_xscale("log")
    left.set_title("One model, read with and without its past")
    left.set_xlabel("place of the character in its window")
    left.set_ylabel(NATS)
    left.legend()
    _draw_curves(right, trained)
    right.set_title("Trained with and without it, windows of 20")
    return _saved_with_grids(figure, path, left, right)


def save_truncation(reach: np.ndarray, trained: Mapping[str, Curve], path: Path) -> Path:
    """How far back a gradient reaches, and what cutting it earlier costs.

    Args:
        reach: |dL/dh| as a share of the last step's, (steps,), the last step last.
        trained: curves by name.
        path: the PNG.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    left.semilogy(np.arange(len(reach)), reach[::-1], color="C3")
    left.axvline(20, color="0.6", linewidth=1, linestyle="--")
    left.set_title(f"20 characters back, {reach[-21]:.0%} of a gradient is left")
    left.set_xlabel("characters before the one that was guessed")
    left.set_ylabel("size of the gradient by the state, share")
    _draw_curves(right, trained)
    right.set_title("Short windows make more updates of the same text")
    return _saved_with_grids(figure, path, left, right)


def save_dropout(
    masks: Mapping[str, np.ndarray], curves: Mapping[str, Curve], characters: int, path: Path
) -> Path:
    """The two kinds of masks over the steps, and what they do for a small text.

    Args:
        masks: (steps, units) of 0 and more, by name; two of them.
        curves: by name.
        characters: length of the training text.
        path: the PNG.
    """
    figure = plt.figure(figsize=(11, 4.4), layout="constrained")
    grid = figure.add_gridspec(2, 3)
    for row, (name, mask) in enumerate(masks.items()):
        axes = figure.add_subplot(grid[row, 0])
        axes.imshow(mask.T > 0, cmap="Greys_r", aspect="auto", interpolation="nearest")
        axes.set_title(name, fontsize="medium")
        axes.set_ylabel("unit")
        axes.set_yticks([])
        axes.set_xlabel("step; black is dropped")
    right = figure.add_subplot(grid[:, 1:])
    for number, (name, curve) in enumerate(curves.items()):
        passes = np.arange(1, len(curve.validation) + 1)
        right.plot(passes, curve.validation, color=f"C{number}", label=name)
        right.plot(passes, curve.training, color=f"C{number}", linestyle=":", linewidth=1)
    right.set_title(f"{characters:,} characters: without dropout the loss rises again")
    right.set_ylim(top=3.0)
    right.set_xlabel("passes over the text")
    right.set_ylabel(f"{NATS} (dotted: in training)")
    right.legend()
    return _saved_with_grids(figure, path, right)


def save_units(
    units: Mapping[str, Unit],
    of_random: Mapping[str, Unit],
    text: str,
    path: Path,
    width: int = 52,
    lines: int = 6,
) -> Path:
    """A text once for each unit; behind a character the unit's value after it, blue below red above 0.

    Args:
        units: by what they follow; their `values` are those along `text`.
        of_random: likewise, the best of random weights.
        text: shown from its first speech on.
        width: characters in a row at most; lines: rows for each unit.
    """
    begin = text.index("\n\n") + 2
    places = _places(text[begin:], width, lines)
    figure, panels = plt.subplots(
        len(units), 1, figsize=(9.5, 2.05 * len(units)), layout="constrained", squeeze=False
    )
    for axes, (name, unit) in zip(panels[:, 0], units.items(), strict=True):
        image = np.full((lines, width), np.nan)
        for y, x, number in places:
            image[y, x] = unit.values[begin + number]
            letter = NAMES.get(text[begin + number], text[begin + number])
            axes.text(x, y, letter, ha="center", va="center", family="monospace", fontsize=9)
        limit = float(np.nanmax(np.abs(image)))
        shown = axes.imshow(
            image, cmap="coolwarm", vmin=-limit, vmax=limit, aspect="auto", alpha=0.75
        )
        title = f"Unit {unit.number} and {name}: correlation {unit.told:+.2f}"
        title += f" (best of random weights {of_random[name].told:+.2f})"
        axes.set_title(title, fontsize="medium", loc="left")
        axes.set_axis_off()
        figure.colorbar(shown, ax=axes, label="state", pad=0.01)
    return saved(figure, path)


def _places(text: str, width: int, lines: int) -> list[tuple[int, int, int]]:
    """Row, column and number of each character that fits: a line end is the last in its row."""
    places, y, x = [], 0, 0
    for number, character in enumerate(text):
        if x == width:
            y, x = y + 1, 0
        if y == lines:
            break
        places.append((y, x, number))
        y, x = (y + 1, 0) if character == "\n" else (y, x + 1)
    return places


def _in_groups(values: np.ndarray) -> tuple[list[float], list[float]]:
    """Places, counted from 1, and values, averaged over groups of places that grow by a quarter."""
    borders = np.unique(np.ceil(1.25 ** np.arange(60)).astype(int))
    groups = [
        np.arange(begin, min(end, len(values) + 1))
        for begin, end in itertools.pairwise(borders)
        if begin <= len(values)
    ]
    return [g.mean() for g in groups], [values[g - 1].mean() for g in groups]


def _draw_curves(axes: Any, curves: Mapping[str, Curve]) -> None:
    for name, curve in curves.items():
        read = np.array(curve.characters) / MILLION
        axes.plot(
            read, curve.validation, "o-", markersize=3, label=f"{name}: {curve.validation[-1]:.2f}"
        )
    axes.set_xlabel(READ)
    axes.set_ylabel(f"{NATS}, validation text")
    axes.legend()


def _saved_with_grids(figure: Any, path: Path, *panels: Any) -> Path:
    for axes in panels:
        axes.grid(alpha=0.3)
    return saved(figure, path)
