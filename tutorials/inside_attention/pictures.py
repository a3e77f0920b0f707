"""The pictures of the page: alignments, queries and keys in the plane, gradients over d."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

from tutorials.figures import saved
from tutorials.nmt_with_attention.model import Attended

MARKS = {"[START]": "[start]", "[END]": "[end]"}


def draw_weights(
    axes: Any,
    weights: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    links: Mapping[int, set[int]] | None = None,
) -> Any:
    """One heat map with its words; the right cells are framed. Returns the image."""
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(columns)), [MARKS.get(word, word) for word in columns])
    axes.set_yticks(range(len(rows)), [MARKS.get(word, word) for word in rows])
    axes.tick_params(axis="x", rotation=50, labeltop=True, labelbottom=False, top=True)
    axes.tick_params(axis="x", bottom=False)
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("left")
        label.set_rotation_mode("anchor")
    for row, right in (links or {}).items():
        for column in right:
            frame = Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="C1")
            frame.set_linewidth(1.6)
            axes.add_patch(frame)
    return image


def save_hand_alignment(
    panels: Mapping[str, np.ndarray], rows: Sequence[str], columns: Sequence[str], path: Path
) -> Path:
    """Several weight matrices of one sentence pair, side by side.

    Args:
        panels: title -> weights (rows, columns).
        rows, columns: the words of the translation, and those to translate.
    """
    figure, all_axes = plt.subplots(
        1, len(panels), figsize=(3.4 * len(panels) + 0.8, 4), layout="constrained", squeeze=False
    )
    image: Any = None
    for number, (axes, (title, weights)) in enumerate(
        zip(all_axes[0], panels.items(), strict=True)
    ):
        image = draw_weights(axes, weights, rows, columns)
        axes.set_xlabel(title)
        if number == 0:
            axes.set_ylabel("translation")
    figure.colorbar(image, ax=all_axes, label="weight", shrink=0.8)
    return saved(figure, path)


def name_point(axes: Any, name: str, point: np.ndarray, away: float) -> None:
    """A label so many points farther out (or nearer in) than what it names."""
    offset = away * point / np.linalg.norm(point)
    axes.annotate(
        name, point, xytext=offset, textcoords="offset points", ha="center", va="center", size=9
    )


def save_queries_and_keys(queries: np.ndarray, keys: np.ndarray, path: Path) -> Path:
    """Each symbol as it looks (a ring) and as it is found (a dot), in a plane; and their products.

    A ring has the colour of the dot that it should find.

    Args:
        queries, keys: (symbols, 2), the symbol after x is x + 1, and after the last the first.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    colours = plt.get_cmap("hsv")(np.arange(len(keys)) / len(keys))
    q, k = (points / np.linalg.norm(points, axis=1).max() for points in (queries, keys))
    for symbol, own in enumerate(colours):
        left.plot(*k[symbol], "o", color=own, markersize=10)
        name_point(left, f"k{symbol}", k[symbol], away=16)
        wanted = colours[(symbol + 1) % len(keys)]
        left.plot(*(0.75 * q[symbol]), "o", mfc="none", color=wanted, markersize=10, mew=2.5)
        name_point(left, f"q{symbol}", 0.75 * q[symbol], away=-16)
    left.set_aspect("equal")
    left.margins(0.15)
    left.set_xlabel("first number")
    left.set_ylabel("second number")
    left.set_title("Queries (rings) and keys (dots)")
    scores = queries @ keys.T
    extent = np.abs(scores).max()
    image = right.imshow(scores, cmap="RdBu_r", vmin=-extent, vmax=extent)
    right.set_xticks(range(len(keys)))
    right.set_yticks(range(len(keys)))
    right.set_xlabel("symbol that is found")
    right.set_ylabel("symbol that looks")
    right.set_title("Their products")
    figure.colorbar(image, ax=right, label="score", shrink=0.8)
    return saved(figure, path)


def save_gradient_over_size(
    sizes: Sequence[int], norms: Mapping[str, Sequence[float]], path: Path
) -> Path:
    """What passes through the softmax, for vectors of several sizes.

    Args:
        sizes: numbers of features, across.
        norms: name of a line -> one norm of the Jacobian for each size.
    """
    figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
    for name, values in norms.items():
        axes.loglog(sizes, values, "o-", label=name)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("features d of a query and a key")
    axes.set_ylabel("norm of the softmax's Jacobian")
    axes.grid(alpha=0.3)
    axes.legend()
    return saved(figure, path)


def save_alignments(
    attended: Mapping[str, Sequence[Attended]],
    links: Sequence[Mapping[int, set[int]]],
    path: Path,
) -> Path:
    """One row of panels a sentence, one column a translator; what is right is framed.

    Args:
        attended: name of a translator -> what it attended to in each sentence.
        links: of each sentence, row -> the right columns.
    """
    rows, names = len(links), list(attended)
    figure, panels = plt.subplots(
        rows,
        len(names),
        figsize=(4.4 * len(names), 3.9 * rows),
        layout="constrained",
        squeeze=False,
    )
    image: Any = None
    for column, name in enumerate(names):
        for row, item in enumerate(attended[name]):
            axes = panels[row, column]
            words = item.target_words, item.context_words
            image = draw_weights(axes, item.weights, *words, links[row])
            axes.set_xlabel(name)
            if column == 0:
                axes.set_ylabel("translation")
    figure.colorbar(image, ax=panels, label="attention weight", shrink=0.6)
    return saved(figure, path)
