"""The pictures of the page: films, accuracy over the frames seen, which frames decide."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from tutorials.figures import saved
from tutorials.translate_time_series_of_frames.films import ARROWS, Films
from tutorials.translate_time_series_of_frames.watching import Gradients

COLOURS = {"digit": "C0", "way": "C1"}
ANSWERS = {"digit": "which digit", "way": "which way"}


def save_films(
    rows: Sequence[tuple[str, Films, int]],
    said: tuple[np.ndarray, np.ndarray],
    path: Path,
) -> Path:
    """A row a film, a column a frame, the true answers at the end and the network's.

    Args:
        rows: what to call it, where it is from, and its number there.
        said: digits and ways, (rows,) each.
    """
    steps = rows[0][1].pixels.shape[1]
    figure, panels = plt.subplots(
        len(rows), steps, figsize=(1.05 * steps + 2.4, 1.3 * len(rows)), layout="constrained"
    )
    for line, (name, films, number), digit, way in zip(panels, rows, *said, strict=True):
        for axes, frame in zip(line, films.pixels[number], strict=True):
            axes.imshow(frame, cmap="gray", vmin=-0.3, vmax=1)
            axes.set_xticks([])
            axes.set_yticks([])
        line[0].set_ylabel(name)
        true = f"{films.digits[number]} {ARROWS[films.ways[number, -1]]}"
        mine = f"{digit} {ARROWS[way]}"
        label = line[-1].annotate(
            f"true  {true}\nsaid  {mine}",
            xy=(1.12, 0.5),
            xycoords="axes fraction",
            va="center",
            fontsize=13,
            color="black" if mine == true else "C3",
            annotation_clip=False,
        )
        label.set_in_layout(True)
    for step, axes in enumerate(panels[0], start=1):
        axes.set_title(f"frame {step}", fontsize=9)
    return saved(figure, path)


def save_frames_seen(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    alone: tuple[float, float],
    path: Path,
) -> Path:
    """How often the digit and the way are right, by how many frames have been seen.

    Args:
        curves: how the network was taught -> shares of digits and of ways, (steps,) each.
        alone: likewise, of the network that sees one frame.
    """
    figure, axes = plt.subplots(figsize=(7.6, 4.4), layout="constrained")
    for (taught, shares), style in zip(curves.items(), ("o-", "s:"), strict=True):
        for (key, what), share in zip(ANSWERS.items(), shares, strict=True):
            at = np.arange(1, len(share) + 1)
            axes.plot(at, share, style, color=COLOURS[key], label=f"{what}, {taught}")
    for (key, what), one, chance in zip(ANSWERS.items(), alone, (1 / 10, 1 / 8), strict=True):
        last = len(next(iter(curves.values()))[0])
        axes.plot(1, one, "x", color=COLOURS[key], markersize=10, mew=2.5)
        axes.plot([], [], "x", color=COLOURS[key], mew=2, label=f"{what}, one frame alone")
        axes.axhline(chance, color=COLOURS[key], linewidth=1, linestyle="--", alpha=0.6)
        low = key == "digit"
        axes.text(
            *(last, chance - 0.01 if low else chance + 0.01, f"by chance, {what}"),
            va="top" if low else "bottom",
            ha="right",
            fontsize=8,
            color=COLOURS[key],
        )
    axes.set_ylim(0, 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("frames seen")
    axes.set_ylabel("share of films answered rightly")
    axes.set_title("What it is, is soon known; which way it goes needs the order of frames")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="center right", bbox_to_anchor=(1.0, 0.34))
    return saved(figure, path)


def save_what_decides(
    gradients: Mapping[str, Gradients], lost: Mapping[str, np.ndarray], path: Path
) -> Path:
    """The gradients of both losses at the last frame over the frames, and what a missing frame costs.

    Args:
        gradients: by question, shares of the sum over all frames.
        lost: by question, by how much the share of right answers falls without frame t, (steps,).
    """
    figure, panels = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained", sharex=True)
    titles = (
        "by the state, |dL / dh_t|",
        "by the frame's features, |dL / df_t|",
        "without frame t",
    )
    for key, found in gradients.items():
        lines = (found.states, found.frames, 100 * lost[key])
        for axes, line in zip(panels, lines, strict=True):
            at = np.arange(1, len(line) + 1)
            axes.plot(at, line, "o-", color=COLOURS[key], label=ANSWERS[key])
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title)
        axes.set_xlabel("frame t")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    for axes in panels[:2]:
        axes.set_ylabel("share of the sum over all frames")
        axes.set_ylim(bottom=0)
    panels[2].axhline(0, color="0.5", linewidth=1)
    panels[2].set_ylabel("right answers lost (percent of films)")
    panels[0].legend(title="the last answer to", loc="upper center")
    return saved(figure, path)
