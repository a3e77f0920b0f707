"""Examples of any series of the page: what is known before the first target, and what came."""

from typing import NamedTuple

import numpy as np

from custom_layers.data import windows


class Examples(NamedTuple):
    """In the order of time.

    Attributes:
        x: (examples, width, 1 + kinds), the series, then what the calendar knows of the same days.
        y: (examples, horizon).
        rows: (examples, horizon), where in the series the targets stand.
        last: (examples, 1), what has been subtracted from both: 0, or the last value that is known.
    """

    x: np.ndarray
    y: np.ndarray
    rows: np.ndarray
    last: np.ndarray


def examples(
    values: np.ndarray,
    calendar: np.ndarray,
    begin: int,
    end: int,
    width: int,
    horizon: int = 1,
    relative: bool = False,
) -> Examples:
    """All examples whose targets stand in the rows from `begin` to before `end`.

    Args:
        values: the whole series, (all rows,).
        calendar: (all rows, kinds), known of any day; kinds may be 0.
        begin, end: a part of it. Inputs of its first examples reach back before `begin`.
        width, horizon: as of `windows`.
        relative: whether a window is written as differences from its last value. What grows without
            end leaves the range that a network has been trained in; its changes do not.
    """
    known = np.column_stack([values, calendar]).astype("float32")
    x, y, rows = windows(known[begin:end], width, horizon, before=known[:begin] if begin else None)
    last = x[:, -1:, 0] if relative else np.zeros((len(x), 1), "float32")
    first = np.arange(x.shape[-1]) == 0
    return Examples(x - last[:, :, None] * first, y[..., 0] - last, begin + rows, last)
