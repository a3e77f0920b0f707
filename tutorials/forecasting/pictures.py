"""The pictures of the page: the series, errors by horizon, intervals, and a price that fools the eye."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from custom_layers.data import Series
from tutorials.figures import saved
from tutorials.forecasting.price import Forecasts


def save_series(shown: Mapping[str, tuple[Series, int]], path: Path) -> Path:
    """Each series over time, its test part in colour.

    Args:
        shown: by title, which ends with the unit: a series, and how many of its last rows are the test.
        path: the PNG.
    """
    figure, all_axes = plt.subplots(2, 2, figsize=(11, 5.5), layout="constrained")
    for axes, (title, (one, rows)) in zip(all_axes.flat, shown.items(), strict=True):
        axes.plot(one.dates[:-rows], one.values[:-rows], color="C0", linewidth=0.7)
        axes.plot(one.dates[-rows:], one.values[-rows:], color="C1", linewidth=0.9, label="test")
        axes.set_title(title)
        axes.grid(alpha=0.3)
    all_axes[0, 0].legend(loc="upper right", fontsize="small")
    return saved(figure, path)


def save_bars(errors: Mapping[str, float], spread: Mapping[str, float], path: Path) -> Path:
    """One bar for each forecast of one day ahead, the best one at the top.

    Args:
        errors: by name, the mean absolute error, °C.
        spread: by name, half the length of an error bar; where there is one.
        path: the PNG.
    """
    names = sorted(errors, key=lambda name: -errors[name])
    figure, axes = plt.subplots(figsize=(8, 0.45 * len(names) + 1.4), layout="constrained")
    colors = ["C1" if "GRU" in name else "0.6" for name in names]
    bars = axes.barh(
        names,
        [errors[name] for name in names],
        color=colors,
        xerr=[spread.get(name, 0.0) for name in names],
    )
    axes.bar_label(bars, fmt="%.3f", padding=4)
    axes.set_xlim(0, 1.12 * max(errors.values()))
    axes.set_xlabel("mean absolute error on two years of test, °C")
    axes.set_title("One day ahead: what a network is worth, and what is free")
    return saved(figure, path)


def draw_by_horizon(axes: Any, errors: Mapping[str, np.ndarray], title: str, unit: str) -> None:
    """A line for each forecast: its error so many steps ahead, (horizon,)."""
    for name, error in errors.items():
        network = "GRU" in name
        axes.plot(
            np.arange(1, len(error) + 1),
            error,
            marker="o" if network else None,
            markersize=4,
            linewidth=2 if network else 1.3,
            linestyle="-" if network else "--",
            label=name,
        )
    axes.set_title(title)
    axes.set_xlabel(unit)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def draw_interval(axes: Any, dates: np.ndarray, y: np.ndarray, bands: Mapping[str, Any]) -> None:
    """What came, and the intervals that were forecast for it.

    Args:
        axes: to draw on.
        dates, y: (steps,).
        bands: by name, (low, high), each (steps,); the widest first.
    """
    for shade, (name, (low, high)) in zip((0.15, 0.3), bands.items(), strict=True):
        axes.fill_between(dates, low, high, color="C0", alpha=shade, linewidth=0, label=name)
    low, high = next(iter(bands.values()))
    inside = (low <= y) & (y <= high)
    axes.plot(dates[inside], y[inside], ".", color="black", markersize=3, label="what came")
    axes.plot(dates[~inside], y[~inside], "x", color="C3", label="outside of both")
    axes.grid(alpha=0.3)
    axes.set_ylim(bottom=low.min() - 0.25 * (high.max() - low.min()))  # room for the legend
    axes.legend(fontsize="small", loc="lower left", ncols=2)


def save_weather(
    errors: Mapping[str, np.ndarray],
    dates: np.ndarray,
    y: np.ndarray,
    bands: Mapping[str, Any],
    path: Path,
) -> Path:
    """The page's picture: error by horizon, and intervals over a season."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(12, 4.6), layout="constrained", width_ratios=(1, 1.5)
    )
    draw_by_horizon(left, errors, "Two days on, all that is left is the season", "days ahead")
    left.set_ylabel("mean absolute error, °C")
    draw_interval(right, dates, y, bands)
    right.set_title("Intervals of one day ahead, calibrated each day")
    right.set_ylabel("minimum of the day, °C")
    right.tick_params(axis="x", rotation=25)
    return saved(figure, path)


def save_months(panels: Mapping[str, Mapping[str, np.ndarray]], path: Path) -> Path:
    """Errors by months ahead, a panel for each series, whose title says its unit."""
    figure, all_axes = plt.subplots(1, len(panels), figsize=(12, 4.4), layout="constrained")
    for axes, (title, errors) in zip(all_axes, panels.items(), strict=True):
        draw_by_horizon(axes, errors, title, "months ahead")
        axes.set_ylabel("mean absolute error")
    return saved(figure, path)


def save_price(said: Forecasts, some: slice, path: Path) -> Path:
    """The same forecasts twice: as a price, where they look right, and as a change, where they are not.

    Args:
        said: of a price, one day ahead.
        some: days to show the price of.
        path: the PNG.
    """
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(12, 4.6), layout="constrained", width_ratios=(1.5, 1)
    )
    left.plot(said.dates[some], said.came[some], color="0.3", label="what came")
    forecast = said.price("GRU")[some]
    left.plot(said.dates[some], forecast, "C1--", label="GRU, forecast a day before")
    left.set_title("As a price, a forecast looks right")
    left.set_ylabel("S&P 500, points")
    left.tick_params(axis="x", rotation=25)
    left.legend(fontsize="small")
    right.plot(said.changes["GRU"], said.change, ".", color="C1", markersize=3)
    right.axhline(0, color="0.6", linewidth=0.8)
    right.axvline(0, color="0.6", linewidth=0.8)
    right.set_title("As a change, it says next to nothing")
    right.set_xlabel("forecast change, %")
    right.set_ylabel("change that came, %")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return saved(figure, path)
