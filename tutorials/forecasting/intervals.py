r"""Intervals that hold what comes as often as they say.

A forecast (l, u) of two quantiles misses by

    E_i = max(l_i - y_i, y_i - u_i)                          (9)  negative inside

on the examples i = 1..n of a calibration part, which the network has not learned from. Widen both by

    c = the ceil((n + 1) * coverage)-th smallest E_i         (10)

and, if what comes is exchangeable with the calibration part, (l - c, u + c) holds it with at least that
probability. Time is not exchangeable: that is measured on the test part, not believed.

Source: Romano, Patterson and Candès 2019, arXiv:1905.03222, equations (5) to (7).
"""

import numpy as np


def conformal_margin(
    low: np.ndarray, high: np.ndarray, y: np.ndarray, coverage: float
) -> np.ndarray:
    """Equation (10) for each step of the horizon: (horizon,), in the unit of y; may be negative.

    Args:
        low, high, y: (examples, horizon) of the calibration part.
        coverage: in (0, 1); with too few examples for it the margin is infinite.
    """
    misses = np.sort(np.maximum(low - y, y - high), axis=0)  # (9)
    place = int(np.ceil((len(y) + 1) * coverage))
    if place > len(y):
        return np.full(y.shape[1], np.inf)
    return misses[place - 1]  # (10)


def daily_margins(
    low: np.ndarray,
    high: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    coverage: float,
    begin: int,
    days: int = 350,
) -> np.ndarray:
    """Equation (10) anew for each example, from the last misses that are known on its day.

    Args:
        low, high, y: (examples, horizon), in the order of time.
        rows: (examples, horizon), where in the series each y stands. A miss is known to an example if
            it stands before its first row.
        coverage: in (0, 1).
        begin: the first example to find margins for.
        days: of how many misses.

    Returns: (examples - begin, horizon).
    Raises: ValueError if there are not as many at the beginning.
    """
    fewest = int(np.sum(rows[:, -1] < rows[begin, 0]))
    if fewest < days:
        raise ValueError(
            f"daily_margins: {fewest} misses are known on the first day. Received: days={days}. "
            "Begin later, or use fewer."
        )
    misses = np.maximum(low - y, y - high)  # (9)
    place = int(np.ceil((days + 1) * coverage)) - 1
    margins = np.empty((len(y) - begin, y.shape[1]))
    for k in range(y.shape[1]):
        known = np.searchsorted(rows[:, k], rows[begin:, 0])  # how many
        last = misses[known[:, None] + np.arange(-days, 0), k]
        margins[:, k] = np.sort(last, axis=1)[:, place]  # (10)
    return margins


def coverage_of(low: np.ndarray, high: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The share of y inside, for each step of the horizon."""
    return np.mean((low <= y) & (y <= high), axis=0)
