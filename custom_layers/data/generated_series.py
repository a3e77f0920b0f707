r"""Made series of the shape of real ones, for whoever has no data: trend, season and weather.

    z_t = level + slope t + swing cos(2 pi (t - peak) / period) + e_t            (1)
    e_t = memory e_{t-1} + noise n_t,  n_t normal with mean 0 and deviation 1    (2)
    s_t = z_t, or exp(z_t) where `grows`                                         (3)

Of no series is more claimed than that its length, dates and sizes are those of the real one.
"""

from typing import NamedTuple

import numpy as np

from custom_layers.core.shape_check import require
from custom_layers.data.time_series import Series


class Recipe(NamedTuple):
    """What (1) to (3) need; peak and period in rows, the rest in the unit of z."""

    name: str
    start: str
    rows: int
    level: float
    swing: float = 0.0
    period: float = 1.0
    peak: float = 0.0
    slope: float = 0.0
    memory: float = 0.0
    noise: float = 0.0
    grows: bool = False


RECIPES = {
    "daily-min-temperatures": Recipe(
        *("Temp", "1981-01-01", 3650, 11.2, 4.2, 365.25, 30.0), memory=0.6, noise=2.2
    ),
    "monthly-sunspots": Recipe(
        *("Sunspots", "1749-01", 2820, 3.4, 1.1, 131.0, 17.0), memory=0.9, noise=0.15, grows=True
    ),
    "airline-passengers": Recipe(
        *("Passengers", "1949-01", 144, 4.8, 0.2, 12.0, 6.5, 0.01, 0.8, 0.03), grows=True
    ),
    "sp500-2000": Recipe(
        "close", "2000-01-03", 5105, 7.2, slope=1e-4, memory=1.0, noise=0.012, grows=True
    ),
}


def generated_series(like: str, seed: int = 0) -> Series:
    """A series of the length, the dates and about the sizes of a real one; its source is "generated".

    Args:
        like: name of the real one, without ".csv": one of `RECIPES`.
        seed: int, the same for the same numbers.

    Raises: ValueError for another name.
    """
    require(
        like in RECIPES,
        "generated_series",
        "`like` must be a series that there is a recipe for",
        f"like={like!r}",
        f"Choose from {', '.join(RECIPES)}.",
    )
    recipe = RECIPES[like]
    t = np.arange(recipe.rows)
    e = recipe.noise * np.random.default_rng(seed).standard_normal(recipe.rows)
    for step in t[1:]:
        e[step] += recipe.memory * e[step - 1]  # (2)
    season = np.cos(2 * np.pi * (t - recipe.peak) / recipe.period)
    z = recipe.level + recipe.slope * t + recipe.swing * season + e  # (1)
    dates = np.datetime64(recipe.start) + t  # as many days or months, by the unit of the start
    return Series(dates, np.exp(z) if recipe.grows else z, recipe.name)  # (3)
