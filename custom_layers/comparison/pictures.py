"""The pictures of a comparison: loss curves, gradient differences, seconds per step.

Each function draws one figure from a report and measures nothing. Figures are made without
`matplotlib.pyplot`, so that no window opens and no backend of the caller's is changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from custom_layers.comparison.step_timing import ratios_of_pairs

if TYPE_CHECKING:
    from custom_layers.comparison.report import ComparisonReport

# Colours that stay apart for colour-blind eyes: Okabe and Ito 2008, jfly.uni-koeln.de/color.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
LINES = ("-", "--", ":", "-.", "-", "--")  # a curve that lies on another one still shows
EXACT = 1e-10  # where a difference of 0, or a smaller one, is drawn on a logarithmic axis
LONGEST_PATH = 46  # characters of a weight's path beside its bar


def save_pictures(report: ComparisonReport, folder: Path) -> list[tuple[str, str]]:
    """Write all pictures of a report as PNG; return (file name, caption) of each."""
    figures = [("loss.png", "Loss by step, and how far the curves are apart", loss_figure(report))]
    if any(report.record.gradient_differences.values()):
        caption = "Differences of the gradients at the first step, weight by weight"
        figures.append(("gradients.png", caption, gradient_figure(report)))
    if report.seconds_per_step(report.reference) is not None:
        figures.append(("seconds.png", "Seconds per step, and their ratio", time_figure(report)))
    for name, _, figure in figures:
        figure.savefig(folder / name, dpi=120)
    return [(name, caption) for name, caption, _ in figures]


def loss_figure(report: ComparisonReport) -> Figure:
    """Loss curves over each other; below, where models are compared, their absolute difference."""
    rows = 2 if report.others else 1
    figure = Figure(figsize=(8, 3.2 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    steps = np.arange(1, report.record.step + 1)
    for i, name in enumerate(report.record.names):
        axes[0].plot(steps, report.record.losses[name], **_style(i, len(steps)), label=name)
        looks = [(step, r[name]["loss"]) for step, r in report.record.held_out_curve]
        if looks:
            marker = {"marker": "os^Dvp"[i % 6], "markersize": 9 - 3 * min(i, 2)}
            label = f"{name}, held-out"
            axes[0].plot(
                *zip(*looks, strict=True), **marker, linestyle="", color=_colour(i), label=label
            )
    axes[0].set_ylabel("loss of the batch")
    axes[0].set_title("Training loss")
    axes[0].legend()
    if report.others:
        for i, name in enumerate(report.others, 1):
            difference = np.maximum(report.loss_differences(name), EXACT)
            axes[1].plot(steps, difference, ".", color=_colour(i), markersize=4, label=name)
        _log_scale(axes[1], "y")
        axes[1].axhline(2e-5, color="0.4", linewidth=0.8, linestyle=":", label="2e-5")
        axes[1].axvspan(0.5, min(50, len(steps)) + 0.5, color="0.93", zorder=0)
        axes[1].set_title(f"Difference from {report.reference} (grey: the first 50 steps)")
        axes[1].set_ylabel("absolute difference")
        axes[1].legend()
    axes[-1].set_xlabel("step")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    for ax in axes:
        ax.grid(alpha=0.25)
    return figure


def gradient_figure(report: ComparisonReport) -> Figure:
    """One bar per weight: difference of its gradient, relative to the largest over all weights."""
    weights = max(len(entries) for entries in report.record.gradient_differences.values())
    figure = Figure(
        figsize=(8, 1.4 + 0.26 * weights * max(1, len(report.others))), layout="constrained"
    )
    ax = figure.subplots()
    height = 0.8 / len(report.others)
    for i, name in enumerate(report.others):
        entries = report.record.gradient_differences[name]
        values = [max(entry.difference, EXACT) for entry in entries]
        finite = [value if np.isfinite(value) else 1.0 for value in values]
        places = np.arange(len(entries)) + (i - (len(report.others) - 1) / 2) * height
        ax.barh(places, finite, height, left=0, color=_colour(i + 1), label=name)
    ax.set_yticks(range(weights), _shortened([entry.path for entry in entries]), fontsize=8)
    ax.set_ylim(weights - 0.4, -0.6)  # the first weight on top
    _log_scale(ax, "x")
    ax.axvline(1e-5, color="0.4", linewidth=0.8, linestyle=":", label="1e-5")
    ax.set_xlabel("largest difference of an entry / largest entry over all gradients")
    ax.set_title(f"Gradients at the first step: difference from {report.reference}")
    ax.legend()
    ax.grid(alpha=0.25, axis="x")
    return figure


def time_figure(report: ComparisonReport) -> Figure:
    """Milliseconds of each timed step; beside it, the ratio pair by pair as a histogram."""
    columns = 2 if report.others else 1
    figure = Figure(figsize=(5.5 * columns, 3.6), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)[0]
    for i, name in enumerate(report.record.names):
        timed = [
            (s, t * 1e3) for s, t in enumerate(report.record.seconds[name], 1) if t is not None
        ]
        median = float(np.median([t for _, t in timed]))
        axes[0].plot(*zip(*timed, strict=True), ".", color=_colour(i), alpha=0.5, markersize=4)
        axes[0].axhline(
            median, color=_colour(i), linestyle=LINES[i % 6], label=f"{name}: {median:.2f} ms"
        )
    every = [t * 1e3 for name in report.record.names for t in report.record.seconds[name] if t]
    axes[0].set_ylim(0, float(np.percentile(every, 98)) * 1.3)
    axes[0].set_xlabel("step")
    axes[0].set_ylabel("milliseconds")
    axes[0].set_title("Time per step and its median")
    axes[0].legend()
    if report.others:
        for i, name in enumerate(report.others, 1):
            seconds = report.record.seconds
            ratios = ratios_of_pairs(seconds[report.reference], seconds[name])
            ends = np.percentile(ratios, (2, 98))
            bins = min(30, max(5, len(ratios) // 4))
            axes[1].hist(ratios, bins, range=tuple(ends), color=_colour(i), alpha=0.6)
            median = float(np.median(ratios))
            axes[1].axvline(median, color=_colour(i), label=f"{name}: × {median:.3f}")
        axes[1].axvline(1.0, color="0.4", linewidth=0.8, linestyle=":")
        axes[1].set_xlabel(f"time / time of {report.reference}, same batch")
        axes[1].set_ylabel("steps")
        axes[1].set_title("Ratio pair by pair, its median (ends of 2 % left out)")
        axes[1].legend()
    for ax in axes:
        ax.grid(alpha=0.25)
    return figure


def _style(index: int, points: int) -> dict[str, object]:
    return {
        "color": _colour(index),
        "linestyle": LINES[index % len(LINES)],
        "linewidth": 2.4 if index == 0 else 1.3,
        "alpha": 0.6 if index == 0 else 1.0,
        "marker": "." if points < 30 else "",
    }


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def _log_scale(ax: Axes, axis: str) -> None:
    """Logarithmic scale that shows the tolerances, and a difference of 0 at the lower end."""
    ax.set(**{f"{axis}scale": "log"})
    low, high = getattr(ax, f"get_{axis}lim")()
    ax.set(**{f"{axis}lim": (min(low, EXACT / 2) if axis == "y" else EXACT, max(high, 1e-4))})
    powers = np.arange(np.log10(EXACT), np.ceil(np.log10(max(high, 1e-4))) + 1)
    labels = [f"$\\leq 10^{{{powers[0]:.0f}}}$", *(f"$10^{{{power:.0f}}}$" for power in powers[1:])]
    ax.set(**{f"{axis}ticks": 10.0**powers, f"{axis}ticklabels": labels})
    ax.minorticks_off()


def _shortened(paths: list[str]) -> list[str]:
    """Paths without the model's name when all begin with it, and without the front of long ones."""
    model_names = {path.split("/")[0] for path in paths}
    if len(model_names) == 1:
        paths = [path.split("/", 1)[-1] for path in paths]
    return [p if len(p) <= LONGEST_PATH else "…" + p[1 - LONGEST_PATH :] for p in paths]
