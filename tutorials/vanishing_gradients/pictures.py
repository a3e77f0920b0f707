"""The pictures of the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from tutorials.figures import saved
from tutorials.vanishing_gradients.grid import SEEDS, Grid
from tutorials.vanishing_gradients.initializers import Passage
from tutorials.vanishing_gradients.networks import HIGH, LOW, at_rate
from tutorials.vanishing_gradients.runs import LIMITS


def save_tasks(
    adding: tuple[np.ndarray, np.ndarray], copying: tuple[np.ndarray, np.ndarray], path: Path
) -> Path:
    """One sequence of each task.

    Args:
        adding: x (steps, 2) and y (1,). copying: x (steps, symbols + 2) and y (steps,).
    """
    figure, (above, below) = plt.subplots(2, 1, figsize=(8, 4.6), layout="constrained")
    (u, marks), answer = adding[0].T, float(adding[1][0])
    steps = np.arange(1, len(u) + 1)
    above.bar(steps, u, color=np.where(marks > 0, "C1", "0.75"))
    above.set_title(f"Adding: what is the sum of the two marked numbers? Here {answer:.2f}")
    above.set_ylabel("number")
    read, said = copying[0].argmax(axis=-1), copying[1]
    symbols = copying[0].shape[-1] - 2
    for row, line in enumerate((read, said)):
        for step, symbol in enumerate(line):
            text = str(symbol) if symbol < symbols else ("·" if symbol == symbols else "?")
            below.text(step + 1, -row, text, ha="center", va="center", size=8)
            if symbol != symbols:
                colour = "C1" if symbol < symbols else "C0"
                square = Rectangle((step + 0.5, -row - 0.4), 1, 0.8, color=colour, alpha=0.35)
                below.add_patch(square)
    below.set_yticks([0, -1], ["x, read", "y, to say"])
    below.set_ylim(-1.6, 0.6)
    below.set_title("Copying: when the bell (?) rings, repeat what was read at first")
    for axes in (above, below):
        axes.set_xlabel("step")
    above.set_xlim(0.3, len(u) + 0.7)
    below.set_xlim(0.3, len(read) + 0.7)
    return saved(figure, path)


def save_passages(
    passages: Mapping[tuple[str, str], Passage], activations: Sequence[str], way: str, path: Path
) -> Path:
    """Activations and gradients under each initializer; a column for each activation function.

    Args:
        passages: by (initializer, activation). activations: the columns. way: "layer" or "step".
    """
    figure, panels = plt.subplots(
        2, len(activations), figsize=(9, 6.2), layout="constrained", sharex=True, squeeze=False
    )
    styles = ("-", "--", "-.", ":", (0, (1, 1)))
    for column, activation in enumerate(activations):
        own = {name: p for (name, f), p in passages.items() if f == activation}
        for number, (name, passage) in enumerate(own.items()):
            for row, values in enumerate(passage):
                panels[row, column].semilogy(
                    np.arange(1, len(values) + 1),
                    np.where(values > 0, values, np.nan),
                    color=f"C{number}",
                    linestyle=styles[number % len(styles)],
                    linewidth=2,
                    label=name,
                )
        panels[0, column].set_title(f"f = {activation}: size of h, on the way forward")
        panels[1, column].set_title(f"f = {activation}: |dL/dh|, on the way back")
        panels[1, column].set_xlabel(way)
        panels[1, column].xaxis.set_major_locator(MaxNLocator(integer=True))
        for row in range(2):
            panels[row, column].set_ylim(1e-9, 1e3)
            panels[row, column].grid(alpha=0.3)
    panels[0, 0].set_ylabel("root mean square (the first input: 1)")
    panels[1, 0].set_ylabel(f"norm, as a share of the last {way}'s")
    panels[0, 0].legend(fontsize="small")
    return saved(figure, path)


def save_gradients_over_time(panels: Mapping[str, Mapping[str, np.ndarray]], path: Path) -> Path:
    """|dL/dh_t| over the steps: a panel a title, a line a network, each (steps,)."""
    figure, all_axes = plt.subplots(
        1, len(panels), figsize=(2 + 3.9 * len(panels), 4), layout="constrained", squeeze=False,
        sharey=True,
    )  # fmt: skip
    names = dict.fromkeys(name for norms in panels.values() for name in norms)
    colours = {name: f"C{number}" for number, name in enumerate(names)}
    for axes, (title, norms) in zip(all_axes[0], panels.items(), strict=True):
        for name, values in norms.items():
            shares = np.where(values > 0, values / values[-1], np.nan)
            axes.semilogy(np.arange(1, len(values) + 1), shares, label=name, color=colours[name])
        axes.set_title(title)
        axes.set_xlabel("step t")
        axes.grid(alpha=0.3)
    all_axes[0, 0].set_ylabel("|dL/dh_t|, as a share of the last step's")
    all_axes[0, 0].legend(fontsize="small")
    return saved(figure, path)


def save_losses(
    losses: Mapping[str, Sequence[float]], every: int, baseline: float, solved: float, path: Path
) -> Path:
    """Losses of several runs.

    Args:
        losses: by name, one for every `every` batches. baseline: the loss of remembering nothing.
        solved: the one below which the task is solved.
    """
    figure, axes = plt.subplots(figsize=(7.5, 4), layout="constrained")
    for name, values in losses.items():
        axes.semilogy(every * np.arange(1, len(values) + 1), values, "o-", markersize=3, label=name)
    axes.axhline(baseline, color="0.4", linestyle="--", label="remembering nothing")
    axes.axhline(solved, color="0.4", linestyle=":", label="solved, below this")
    axes.set_xlabel("batches of training")
    axes.set_ylabel("mean squared error")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("Adding two numbers: who finds out which")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return saved(figure, path)


def save_grid(grid: Grid, networks: Sequence[str], path: Path) -> Path:
    """How many seeds solved which task: a panel a task, a row a network, a column a length and a rate.

    Only columns with a run are drawn. The fewer seeds were run, the paler is a field.
    """
    columns = {task: grid.columns(task) for task in LIMITS}
    columns = {task: found for task, found in columns.items() if found}
    figure, panels = plt.subplots(
        *(1, len(columns)),
        figsize=(2.5 + 1.1 * sum(map(len, columns.values())), 4.2),
        width_ratios=[len(found) for found in columns.values()],
        layout="constrained",
        squeeze=False,
        sharey=True,
    )
    colours = plt.get_cmap("RdYlGn")
    for axes, (task, of_task) in zip(panels[0], columns.items(), strict=True):
        labels = []
        for column, (length, rate) in enumerate(of_task):
            for row, name in enumerate(networks):
                found = grid.summary(task, length, at_rate(name, rate))
                face: Any = colours(0.15 + 0.7 * found.solved / found.ran) if found.ran else "0.95"
                alpha = 0.15 + 0.85 * found.ran / len(SEEDS) if found.ran else 1
                corner = (column - 0.5, row - 0.5)
                axes.add_patch(Rectangle(corner, 1, 1, facecolor=face, alpha=alpha, edgecolor="w"))
                text = f"{found.solved} of {found.ran}" if found.ran else "–"
                if found.median is not None:
                    text += f"\n{found.median}"
                axes.text(column, row, text, ha="center", va="center", size=9)
            labels.append(f"T = {length}\n" + (f"rate {rate:g}" if rate else "own rate"))
        axes.set_xlim(-0.5, len(of_task) - 0.5)
        axes.set_ylim(len(networks) - 0.5, -0.5)
        axes.set_xticks(range(len(of_task)), labels)
        axes.set_yticks(range(len(networks)), list(networks))
        axes.set_title(f"{task.capitalize()}\nin {LIMITS[task]:,} batches")
    figure.suptitle("Seeds that solved it, and after how many batches (median)", size=12)
    figure.supxlabel(
        f"own rate: {LOW:g} without gates, {HIGH:g} with, for copying twice that; "
        "pale: few seeds run; –: not run",
        size=9,
    )
    return saved(figure, path)


def save_remedies(grid: Grid, task: str, steps: int, remedies: Sequence[str], path: Path) -> Path:
    """When each seed solved the task under each remedy; crosses at the right were given up."""
    figure, axes = plt.subplots(figsize=(9, 4.6), layout="constrained")
    limit = LIMITS[task]
    for row, name in enumerate(remedies):
        outcomes = [grid.outcomes.get(f"{task}/{steps}/{name}/{seed}") for seed in SEEDS]
        found = [outcome for outcome in outcomes if outcome is not None]
        for number, outcome in enumerate(found):
            height = row + 0.15 * (number - (len(found) - 1) / 2)
            if outcome.solved_at is None:
                axes.plot(1.12 * limit, height, "x", color="C3")
            else:
                axes.plot(outcome.solved_at, height, "o", color="C2")
        if not found:
            axes.text(300, row, "not run yet", va="center", size=9, color="0.4")
    axes.axvline(limit, color="0.5", linestyle=":")
    axes.set_xlim(0, 1.2 * limit)
    axes.set_yticks(range(len(remedies)), list(remedies))
    axes.set_ylim(len(remedies) - 0.5, -0.5)
    axes.set_xlabel("batches until solved; a cross: given up")
    axes.set_title(f"{task.capitalize()} over {steps} steps: what helps a plain network")
    axes.grid(alpha=0.3)
    return saved(figure, path)
