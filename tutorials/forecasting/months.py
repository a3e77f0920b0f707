"""Months ahead: the network of the page beside classics, on a short series that grows and a long one."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from custom_layers.data import Series
from tutorials.forecasting import classics, networks
from tutorials.forecasting.examples import examples
from tutorials.forecasting.series import time_of_year

Errors = dict[str, np.ndarray]  # by forecast, the mean absolute error of each month ahead


def passengers_ahead(series: Series, seeds: Sequence[int], epochs: int, **mode: Any) -> Errors:
    """Twelve months ahead over the last 24; all learn from the first 96.

    The network sees two years as changes of the logarithm since the last month that is known.

    Args:
        series: of months, positive.
        seeds: of the networks, whose mean is the forecast.
        epochs: at most.
        **mode: of `networks.build`.
    """
    logs, calendar = np.log(series.values), time_of_year(series.dates.astype("datetime64[D]"))
    train, validation, test = (
        examples(logs, calendar, *part, width=24, horizon=12, relative=True)
        for part in ((0, 96), (96, 120), (120, 144))
    )
    network = networks.restarts(train, **mode)
    by_network = [
        networks.forecast(network.learn(seed, train, validation, epochs, batch=16).model, test)
        for seed in seeds
    ]
    arima = classics.fit_arima(logs[:96], (0, 1, 1), seasonal=(0, 1, 1, 12))
    by_arima = [arima.apply(logs[:row]).forecast(12) for row in test.rows[:, 0]]
    before = test.rows[:, :1]
    found = {
        "last year's month": classics.seasonal_naive(logs, test.rows, 12),
        "times the year's growth": classics.seasonal_naive(logs, test.rows, 12)
        + (logs[before - 1] - logs[before - 13]),
        "ARIMA of Box and Jenkins": np.stack(by_arima),
        "GRU, direct": np.mean(by_network, axis=0),
    }
    came = series.values[test.rows]
    return {name: np.abs(np.exp(one) - came).mean(axis=0) for name, one in found.items()}


def sunspots_ahead(
    series: Series, cycle: int, learnt_from: int, seeds: Sequence[int], epochs: int, **mode: Any
) -> Errors:
    """24 months ahead over the last 40 years, from so many months as `cycle` says.

    Args:
        series: of months.
        cycle: how many months the network and the linear forecast see.
        learnt_from: how many months before the last 60 years to learn from.
        seeds, epochs, mode: as of `passengers_ahead`.
    """
    values, calendar, end = series.values, np.zeros((series.rows, 0)), series.rows
    borders = [end - 720 - learnt_from, end - 720, end - 480, end]
    train, validation, test = (
        examples(values, calendar, *part, width=cycle, horizon=24)
        for part in itertools.pairwise(borders)
    )
    network = networks.restarts(train, **mode)
    by_network = [
        networks.forecast(network.learn(seed, train, validation, epochs).model, test)
        for seed in seeds
    ]
    linear = classics.fit_autoregression(values, calendar, cycle, borders[0], borders[1])
    found = {
        "naive": classics.naive(values, test.rows),
        "linear autoregression": linear.forecast(values, test.rows, calendar),
        "GRU, direct": np.mean(by_network, axis=0),
    }
    return {name: np.abs(one - values[test.rows]).mean(axis=0) for name, one in found.items()}


def shortly(errors: Errors) -> str:
    """The mean over the months ahead of each forecast, in a line."""
    return ", ".join(f"{name} {error.mean():.1f}" for name, error in errors.items())
