"""The four series of the page, and what a calendar knows of their days."""

import numpy as np

from custom_layers.data import Series, generated_series, read_series
from custom_layers.data.local_files import DATA_FOLDER_VARIABLE, local_file

DAY = np.timedelta64(1, "D")


def load(name: str, value: str | None = None) -> Series:
    """A series of the folder that CUSTOM_LAYERS_DATA names; a generated one, and a line, without it.

    Args:
        name: the file's, without ".csv".
        value: the column, where there are several.
    """
    relative = f"timeseries/{name}.csv"
    path = local_file(relative)
    if path is None:
        print(f"{name}: generated. The real one is {relative} where {DATA_FOLDER_VARIABLE} points.")
        return generated_series(name)
    return read_series(path, value=value)


def load_all() -> dict[str, tuple[Series, int]]:
    """The page's series by title, with their unit, and how many of the last rows are the test."""
    return {
        "Lowest temperature of the day, °C": (load("daily-min-temperatures"), 730),
        "Sunspots of the month": (load("monthly-sunspots"), 480),
        "Airline passengers of the month, thousands": (load("airline-passengers"), 24),
        "S&P 500 at the close, points": (load("sp500-2000", value="close"), 1020),
    }


def time_of_year(dates: np.ndarray) -> np.ndarray:
    """Sine and cosine of the part of its year that has passed, (rows, 2): known of any day to come.

    So 31 December lies beside 1 January, which a number from 0 to 1 would put far apart.
    """
    begin = dates.astype("datetime64[Y]")
    passed = (dates - begin.astype("datetime64[D]")) / DAY
    days = ((begin + 1).astype("datetime64[D]") - begin.astype("datetime64[D]")) / DAY
    angle = 2 * np.pi * passed / days
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1)
