"""The pictures of the page: shaded words, words taken out, and how far to trust a probability."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np

from tutorials.figures import saved
from tutorials.sentiment.calibration import Reliability
from tutorials.sentiment.removal import Moved

CHARACTERS = 84  # of a line of shaded words
NEGATIVE, NEUTRAL, POSITIVE = "#c44e52", "#b8b8b8", "#4c72b0"
VERDICTS = {-1: ("negative", NEGATIVE), 0: ("neutral", NEUTRAL), 1: ("positive", POSITIVE)}


class ShadedReview(NamedTuple):
    """A review as the network reads it: title, words, and what each is attended, (words,)."""

    title: str
    words: Sequence[str]
    attention: np.ndarray


def lines_of(words: Sequence[str], longest: int = CHARACTERS) -> list[list[int]]:
    """The places of the words, line by line; a line has at most so many characters."""
    lines: list[list[int]] = [[]]
    used = 0
    for place, word in enumerate(words):
        if lines[-1] and used + len(word) > longest:
            lines.append([])
            used = 0
        lines[-1].append(place)
        used += len(word) + 1
    return lines


def save_shaded_words(reviews: Sequence[ShadedReview], path: Path) -> Path:
    """Each word on a ground that is the darker the more it is attended; 1 / words is white.

    The darkest is the most attended word of each review.
    """
    layout = [lines_of(review.words) for review in reviews]
    heights = [len(lines) + 2 for lines in layout]
    rows = sum(heights)
    figure, axes = plt.subplots(figsize=(8.2, 0.27 * rows + 0.9), layout="constrained")
    axes.set_xlim(0, CHARACTERS)
    axes.set_ylim(rows, 0)
    axes.axis("off")
    colours, row = plt.get_cmap("Oranges"), 0
    for review, lines in zip(reviews, layout, strict=True):
        axes.text(0, row + 0.7, review.title, fontsize=10, fontweight="bold", va="center")
        even = 1 / len(review.words)
        depth = np.clip((review.attention - even) / (review.attention.max() - even + 1e-12), 0, 1)
        for number, places in enumerate(lines):
            column = 0.0
            for place in places:
                word = review.words[place]
                axes.add_patch(
                    plt.Rectangle(
                        *((column - 0.3, row + number + 1.1), len(word) + 0.6, 0.84),
                        color=colours(0.9 * depth[place]) if depth[place] > 0.02 else "white",
                    )
                )
                ink = "white" if depth[place] > 0.75 else "black"
                middle = (column + len(word) / 2, row + number + 1.52)
                style: dict[str, Any] = {
                    "size": 10.5,
                    "family": "monospace",
                    "ha": "center",
                    "va": "center",
                }
                axes.text(*middle, word, color=ink, **style)
                column += len(word) + 1
        row += len(lines) + 2
    figure.suptitle("The words that the network attends to", fontsize=12)
    return saved(figure, path)


def save_removal(moved: Moved, path: Path) -> Path:
    """What taking words out does: to the probability, and to the verdict."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for axes, attended, drawn in (
        (left, moved.attended, moved.drawn),
        (right, 100 * moved.turned_attended, 100 * moved.turned_drawn),
    ):
        axes.plot(moved.counts, attended, "o-", color="C1", label="the most attended words")
        axes.plot(moved.counts, drawn, "s--", color="0.5", label="random words")
        axes.set_xlabel("words taken out of a review")
        axes.set_xticks(moved.counts)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
    left.legend()
    left.set_ylabel("mean change of the probability")
    right.set_ylabel("reviews whose verdict turns (%)")
    figure.suptitle("Do the attended words matter?")
    return saved(figure, path)


def save_calibration(
    before: Reliability,
    after: Reliability,
    temperature: float,
    stars: np.ndarray,
    verdicts: np.ndarray,
    path: Path,
) -> Path:
    """Left: accuracy over confidence, before and after. Right: verdicts by the stars of the writer.

    Args:
        before, after: of the same predictions, temperature 1 and the one found.
        stars: (reviews,), 0 for a review without any.
        verdicts: (reviews,) -1, 0, 1.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    left.plot([0.5, 1], [0.5, 1], color="0.7", label="as sure as right")
    for found, name, style in (
        (before, f"as trained (ECE {before.error():.3f})", "s--"),
        (after, f"temperature {temperature:.2f} (ECE {after.error():.3f})", "o-"),
    ):
        there = found.predictions > 0
        left.plot(found.confidence[there], found.accuracy[there], style, label=name)
    left.set_xlabel("confidence: probability of the verdict")
    left.set_ylabel("accuracy: share that is right")
    left.set_title("Sure, and right to be?")
    left.grid(alpha=0.3)
    left.legend(loc="lower right", fontsize="small")
    _draw_verdicts(right, stars, verdicts)
    return saved(figure, path)


def _draw_verdicts(axes: Any, stars: np.ndarray, verdicts: np.ndarray) -> None:
    """A bar for each number of stars, parted by verdict."""
    kinds = np.unique(stars)
    bottom = np.zeros(len(kinds))
    for verdict, (name, colour) in VERDICTS.items():
        share = np.array([100 * np.mean(verdicts[stars == kind] == verdict) for kind in kinds])
        places = np.arange(len(kinds))
        axes.bar(places, share, bottom=bottom, color=colour, label=name, width=0.85)
        bottom += share
    names = [str(kind) if kind else "none given" for kind in kinds]
    axes.set_xticks(range(len(kinds)), names)
    axes.set_xlabel("stars that the writer gave, of 10 (5 and 6 are not in the data)")
    axes.set_ylabel("reviews (%)")
    axes.set_title("Who is called neutral?")
    axes.set_ylim(0, 112)  # the names stand above the bars
    axes.set_yticks(range(0, 101, 20))
    axes.legend(loc="upper center", ncols=3, fontsize="small")
