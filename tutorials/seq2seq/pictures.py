"""The pictures of the page: accuracy over length, gradients by the encoder's states, what is fed in."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from tutorials.figures import saved

WITHOUT, WITH, PATIENT = "fixed vector", "attention", "fixed vector, many more updates"
COLOURS = {WITHOUT: "C3", WITH: "C0", PATIENT: "C1"}


def save_accuracy_over_length(
    lengths: Sequence[int], right: Mapping[str, np.ndarray], longest_learnt: int, path: Path
) -> Path:
    """Share of sequences that come out right as a whole, by their length.

    Args:
        lengths: of the sequences, in tokens.
        right: name -> one share for each length and seed, (seeds, lengths); the line is their mean.
        longest_learnt: the longest sequence of training.
    """
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    axes.axvspan(longest_learnt + 0.5, max(lengths) + 0.5, color="0.93")
    axes.text(longest_learnt + 0.8, 0.97, "longer than any learnt", color="0.4", va="top")
    for name, shares in right.items():
        mean = shares.mean(axis=0)
        axes.plot(lengths, mean, "o-", color=COLOURS[name], label=name)
        if len(shares) > 1:
            low, high = shares.min(axis=0), shares.max(axis=0)
            axes.fill_between(lengths, low, high, color=COLOURS[name], alpha=0.2, linewidth=0)
    axes.set_xlim(min(lengths) - 0.5, max(lengths) + 0.5)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("length of the sequence (letters)")
    axes.set_ylabel("share of sequences right as a whole")
    axes.set_title("A fixed vector learns long sequences slowly, attention soon")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    return saved(figure, path)


def save_gradients_by_state(norms: Mapping[str, Mapping[str, np.ndarray]], path: Path) -> Path:
    """How much of the loss's gradient reaches each state of the encoder.

    Args:
        norms: title of a panel -> name of a network -> |dL/dh_s| at each step, (steps,).
    """
    figure, all_axes = plt.subplots(
        1, len(norms), figsize=(4.6 * len(norms), 3.8), layout="constrained", squeeze=False
    )
    for axes, (title, lines) in zip(all_axes[0], norms.items(), strict=True):
        for name, values in lines.items():
            steps = np.arange(1, len(values) + 1)
            axes.semilogy(steps, values, "o-", color=COLOURS[name], label=name, markersize=4)
        axes.set_xlabel("state of the encoder, step s")
        axes.set_ylabel("|dL / dh_s|")
        axes.set_title(title)
        axes.grid(alpha=0.3)
    all_axes[0][0].legend()
    return saved(figure, path)


def save_alignment(
    weights: np.ndarray, written: Sequence[str], said: Sequence[str], path: Path
) -> Path:
    """Where a decoder looks: attention weights (said, written), with the characters."""
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(written)), written)
    axes.set_yticks(range(len(said)), said)
    axes.set_xlabel("the date as it is written (characters)")
    axes.set_ylabel("what is said (characters)")
    axes.set_title("Each character of the ISO form looks at the part that it comes from")
    figure.colorbar(image, ax=axes, label="attention weight")
    return saved(figure, path)


def save_feeding(
    schedules: Mapping[str, np.ndarray],
    accuracy: Mapping[str, Mapping[str, Sequence[float]]],
    path: Path,
) -> Path:
    """What the decoders were fed with in training, and how they do when they run free.

    Args:
        schedules: way of feeding -> probability of the own token at each step, (steps,).
        accuracy: way of feeding -> "fed the truth" and "running free" -> one share for each seed.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for number, (name, probability) in enumerate(schedules.items()):
        left.plot(probability, color=f"C{number}", label=name, linewidth=2)
    left.set_xlabel("training step")
    left.set_ylabel("probability of the decoder's own token")
    left.set_ylim(-0.03, 1.03)
    left.set_title("What is fed in, in training")
    left.grid(alpha=0.3)
    left.legend(loc="center left")
    marks = {"fed the truth": "o", "running free": "s"}
    for number, measured in enumerate(accuracy.values()):
        for offset, (kind, shares) in zip((-0.12, 0.12), measured.items(), strict=True):
            place = np.full(len(shares), number + offset)
            fill = f"C{number}" if kind == "running free" else "none"
            right.plot(place, shares, marks[kind], color=f"C{number}", mfc=fill, markersize=8)
    right.set_xticks(range(len(accuracy)), list(accuracy))
    right.set_xlim(-0.5, len(accuracy) - 0.5)
    for kind, mark in marks.items():
        fill = "0.3" if kind == "running free" else "none"
        right.plot([], [], mark, color="0.3", mfc=fill, label=kind)
    right.set_ylabel("share of tokens right, held out")
    right.set_title("How it does: one mark for each seed")
    right.grid(alpha=0.3)
    right.legend()
    return saved(figure, path)
