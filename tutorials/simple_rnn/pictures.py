"""The pictures of the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Circle, FancyBboxPatch

from tutorials.figures import saved

FORWARD, BACK = "0.25", "C3"


def save_unrolled(
    states: Sequence[np.ndarray], gradients: Sequence[float], shares: Sequence[float], path: Path
) -> Path:
    """The network beside itself unrolled: every step a layer, with the same weights.

    Args:
        states: h_0, ..., h_T of one sequence, each (units,), shown as colours.
        gradients: |dL/dh_t| of the steps 1 to T.
        shares: |dL/dU_t|, of the copy of U that stands before step t.
    """
    steps = len(gradients)
    figure, axes = plt.subplots(figsize=(10, 3.5), layout="constrained")
    axes.set_aspect("equal")
    axes.axis("off")

    def box(x: float, y: float, text: str, colour: str) -> None:
        patch = FancyBboxPatch(
            (x - 0.32, y - 0.2), 0.64, 0.4, boxstyle="round,pad=0.04", facecolor=colour
        )
        axes.add_patch(patch)
        axes.text(x, y, text, ha="center", va="center", size=11)

    def arrow(start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
        style = {"arrowstyle": "-|>", "color": colour, "lw": 1.5}
        axes.annotate("", end, start, arrowprops=style)

    x = -1.6  # the folded network
    box(x, 0, "x", "#cfe2f3")
    box(x, 1.3, "h", "#d9ead3")
    box(x, 2.6, "z", "#fce5cd")
    arrow((x, 0.27), (x, 1.03), FORWARD)
    arrow((x, 1.57), (x, 2.33), FORWARD)
    axes.add_patch(Circle((x - 0.62, 1.3), 0.3, fill=False, color=FORWARD, lw=1.5))
    axes.text(x - 1.0, 1.3, "U", ha="right", va="center")
    axes.text(x + 0.08, 0.62, "W")
    axes.text(x + 0.08, 1.92, "V")
    axes.text(x + 0.85, 1.3, "=", size=20, ha="center", va="center")
    for t in range(steps + 1):
        at = 1.75 * t
        box(at, 1.3, f"$h_{t}$", "#d9ead3")
        for unit, value in enumerate(states[t]):
            colour = plt.get_cmap("RdBu_r")(0.5 + value / 2)
            cell = plt.Rectangle(
                (at - 0.34 + 0.17 * unit, 0.78), 0.17, 0.17, facecolor=colour, edgecolor="0.6"
            )
            axes.add_patch(cell)
        if t == 0:
            continue
        box(at, 0, f"$x_{t}$", "#cfe2f3")
        box(at, 2.6, f"$z_{t}$", "#fce5cd")
        arrow((at + 0.42, 0.2), (at + 0.42, 1.06), FORWARD)
        arrow((at, 1.57), (at, 2.33), FORWARD)
        axes.text(at + 0.48, 0.55, "W")
        axes.text(at - 0.2, 1.92, "V")
        before = at - 1.75
        arrow((before + 0.4, 1.38), (at - 0.4, 1.38), FORWARD)
        axes.text(at - 0.875, 1.46, "U", ha="center")
        arrow((at - 0.4, 1.2), (before + 0.4, 1.2), BACK)
        axes.text(
            at - 0.875, 1.0, f"{shares[t - 1]:.3f}", color=BACK, size=8, ha="center", va="center"
        )
        arrow((at + 0.16, 2.33), (at + 0.16, 1.57), BACK)
        axes.text(at + 0.22, 1.92, f"{gradients[t - 1]:.3f}", color=BACK, size=8)
    axes.set_xlim(-3.0, 1.75 * steps + 0.9)
    axes.set_ylim(-0.4, 3.0)
    axes.set_title(
        "One network, unrolled over its steps. Red, on the way back: $|dL/dh_t|$ beside V,"
        "\nand under U what its copy there adds to the gradient of U",
        size=11,
    )
    return saved(figure, path)


def save_learnt(
    losses: Mapping[str, Sequence[float]],
    best: float,
    by_step: np.ndarray,
    third: np.ndarray,
    norms: Mapping[str, Sequence[float]],
    every: int,
    path: Path,
) -> Path:
    """Losses, what is left of them at each step, and the gradients that the inspector saw.

    Args:
        losses: by name, one an epoch. best: the smallest that anyone can have.
        by_step: (steps,) mean loss of each step after training. third: bool (steps,), known bits.
        norms: |dL/dw| by weight, one a look. every: training steps between two looks.
    """
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.9), layout="constrained")
    for number, (name, values) in enumerate(losses.items()):
        left.plot(
            np.arange(1, len(values) + 1),
            values,
            label=name,
            linewidth=(5, 1.5)[number % 2],
            color=("0.8", "C0")[number % 2],
        )
    left.axhline(np.log(2), color="0.4", linestyle=":", label="knowing nothing")
    left.axhline(best, color="C2", linestyle="--", label="the best there is")
    left.set_title("Two trainings, one curve")
    left.set_xlabel("epoch")
    left.set_ylabel("binary cross-entropy in nats")
    left.set_ylim(bottom=0)
    left.legend(fontsize="small")
    steps = np.arange(1, len(by_step) + 1)
    middle.bar(steps, by_step, color=np.where(third, "C2", "0.7"))
    middle.axhline(np.log(2), color="0.4", linestyle=":")
    middle.set_title("Every third bit (green) is known")
    middle.set_xlabel("step")
    middle.set_ylabel("binary cross-entropy in nats")
    for name, values in norms.items():
        right.semilogy(every * np.arange(len(values)), values, label=name)
    right.set_title("Gradients of the weights, watched")
    right.set_xlabel("training step")
    right.set_ylabel("norm of the gradient")
    right.legend(fontsize="small")
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
    return saved(figure, path)
