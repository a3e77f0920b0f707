"""Cutting a series for a network that forecasts: parts in time, and windows of inputs and targets.

With a window's width w and a horizon h, example i of a series s is

    x_i = (s_i, ..., s_{i+w-1})        (1) what is known
    y_i = (s_{i+w}, ..., s_{i+w+h-1})  (2) what came after it

so that no input lies at or after its target. Neighbouring examples share nearly all of their values:
whoever shuffles them into parts has each test target in the training part too. So the parts are cut
in time first (`split_in_time`), and windows from each part alone; `before=` lends the first windows of a
part their inputs, which are past by then, and never a target.
"""

from typing import Any, NamedTuple, TypeVar

import numpy as np

from custom_layers.core.shape_check import require, require_positive_integer
from custom_layers.data.time_series import Series


class Parts(NamedTuple):
    """A series in three, one after the other in time."""

    train: Any
    validation: Any
    test: Any


class Windows(NamedTuple):
    """Examples in the order of time. Inputs and targets are views of one array: they cost no memory.

    Attributes:
        inputs: (examples, width) or (examples, width, features).
        targets: (examples, horizon) or (examples, horizon, features).
        rows: int (examples, horizon), where in the series each target stands, not counting `before`:
            `series.dates[windows.rows]` are the targets' dates.
    """

    inputs: np.ndarray
    targets: np.ndarray
    rows: np.ndarray


Part = TypeVar("Part", Series, np.ndarray)


def split_in_time(series: Part, validation: float | int, test: float | int) -> Parts:
    """Cut off the last rows to test with, and those before them to make choices with.

    Args:
        series: a `Series`, or an array whose first axis is time.
        validation, test: how much of it; a float in (0, 1) is a share of all rows, rounded; an int >= 1
            is a number of rows.

    Returns: train, validation and test, of the series' type; each date of one part lies before all of
    the next.
    Raises: ValueError for another size, or if no row is left to train on.
    """
    rows = len(series.values if isinstance(series, Series) else series)
    sizes = []
    for name, size in (("validation", validation), ("test", test)):
        is_count = hasattr(size, "__index__") and not isinstance(size, bool)
        require(
            int(size) >= 1 if is_count else isinstance(size, float) and 0 < size < 1,
            "split_in_time",
            f"`{name}` must be a share in (0, 1), or a number of rows",
            f"{name}={size!r}",
            "0.2 is a fifth, 365 are so many rows.",
        )
        sizes.append(int(size) if is_count else max(1, round(size * rows)))
    begin, middle = rows - sum(sizes), rows - sizes[1]
    require(
        begin >= 1,
        "split_in_time",
        "a row must be left to train on",
        f"{rows} rows, of which {sizes[0]} to validate and {sizes[1]} to test with",
        "Make these parts smaller.",
    )
    borders = ((0, begin), (begin, middle), (middle, rows))
    if isinstance(series, Series):
        return Parts(*(series.part(*border) for border in borders))
    return Parts(*(series[slice(*border)] for border in borders))


def windows(series: Part, width: int, horizon: int = 1, *, before: Part | None = None) -> Windows:
    """Every example (1), (2) whose targets lie in the series.

    Args:
        series: a `Series`; or an array (rows,) or (rows, features).
        width: int >= 1, the steps that a network sees.
        horizon: int >= 1, the steps that it forecasts.
        before: what came just before the series, as the training part before a validation part: its last
            `width` rows are inputs of the first examples. No target is taken from it.

    Raises: ValueError when the rows are too few for one example, `before` has fewer rows than `width`
        or other features, or its dates do not lie before those of the series.
    """
    width = require_positive_integer(width, owner="windows", name="width")
    horizon = require_positive_integer(horizon, owner="windows", name="horizon")
    values = _values(series)
    rows = len(values)
    if before is not None:
        values = np.concatenate([_rows_before(series, before, width), values])
    require(
        len(values) >= width + horizon and rows >= horizon,
        "windows",
        f"a series must have {width + horizon} rows or more for a width of {width} and a horizon of "
        f"{horizon}" + ("" if before is None else f", {horizon} of them its own"),
        f"{len(values)} rows" + ("" if before is None else f", {rows} of them its own"),
        "Choose a shorter window, or bring more rows.",
    )
    cut = np.lib.stride_tricks.sliding_window_view(values, width + horizon, axis=0)
    cut = np.moveaxis(cut, -1, 1)  # (examples, width + horizon, features)
    first = width - (len(values) - rows)  # where the first target stands
    return Windows(
        cut[:, :width],
        cut[:, width:],
        first + np.arange(len(cut))[:, None] + np.arange(horizon)[None],
    )


def _values(series: Any) -> np.ndarray:
    values = series.values if isinstance(series, Series) else np.asarray(series)
    require(
        values.ndim in (1, 2),
        "windows",
        "`series` must be (rows,) or (rows, features)",
        f"series.shape={values.shape}",
        "The first axis is time.",
    )
    return values


def _rows_before(series: Any, before: Any, width: int) -> np.ndarray:
    """The last `width` rows of what came before."""
    values, own = _values(before), _values(series)
    require(
        len(values) >= width and values.shape[1:] == own.shape[1:],
        "windows",
        f"`before` must have at least {width} rows, the width, and the features of `series`",
        f"before.shape={values.shape}, series.shape={own.shape}",
        "Choose a shorter window, or hand over more of the past.",
    )
    if isinstance(series, Series) and isinstance(before, Series):
        require(
            before.dates[-1] < series.dates[0],
            "windows",
            "`before` must end before the series begins",
            f"before ends {before.dates[-1]}, the series begins {series.dates[0]}",
            "Hand over the part in time before it.",
        )
    return values[-width:]
