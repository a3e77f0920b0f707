"""A price one day ahead, as its picture shows it and as it is."""

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from custom_layers.data import Series
from tutorials.forecasting import classics, networks
from tutorials.forecasting.examples import examples


class Forecasts(NamedTuple):
    """One day ahead, over the test days.

    Attributes:
        dates: (days,).
        before, came: the price of the day before, and the one that came, (days,).
        changes: by forecast, 100 log(price that is forecast / price before), (days,).
    """

    dates: np.ndarray
    before: np.ndarray
    came: np.ndarray
    changes: dict[str, np.ndarray]

    @property
    def change(self) -> np.ndarray:
        """The change that came, in the same unit."""
        return 100 * np.log(self.came / self.before)

    def price(self, name: str) -> np.ndarray:
        """A forecast as a price."""
        return self.before * np.exp(self.changes[name] / 100)

    def error(self, name: str) -> float:
        """Mean absolute error of the price."""
        return float(np.abs(self.price(name) - self.came).mean())

    def gain(self, name: str, over: str) -> float:
        """How much less `name` misses than `over`, in standard errors of the mean difference."""
        misses = [np.abs(self.price(one) - self.came) for one in (name, over)]
        less = misses[1] - misses[0]
        return float(less.mean() / (less.std(ddof=1) / np.sqrt(len(less))))

    def right_direction(self, name: str) -> float:
        """The share of days on which the price moved as was said."""
        return float(np.mean(np.sign(self.changes[name]) == np.sign(self.change)))

    @property
    def looks(self) -> float:
        """Correlation of the GRU's price with the one that came."""
        return float(np.corrcoef(self.price("GRU"), self.came)[0, 1])

    @property
    def worth(self) -> float:
        """Correlation of the GRU's change with the one that came."""
        return float(np.corrcoef(self.changes["GRU"], self.change)[0, 1])

    def table(self) -> str:
        """A line for each forecast, and how often it went up anyway."""
        lines = [
            f"{name:22} {self.error(name):.3f} points, right direction {self.right_direction(name):.1%}"
            for name in self.changes
        ]
        lines += [
            f"it went up on {np.mean(self.change > 0):.1%} of the days; the GRU's forecast and"
        ]
        lines += [f"what came: correlation {self.looks:.4f} of prices, {self.worth:.3f} of changes"]
        return "\n".join(lines)


def forecasts(
    series: Series, learnt_from: int, seeds: Sequence[int], epochs: int, **mode: Any
) -> Forecasts:
    """Test the last 1,020 days, choose epochs on the 510 before.

    Args:
        series: of prices.
        learnt_from: how many days before these to learn from.
        seeds: of the networks, whose mean is the forecast.
        epochs: at most.
        **mode: of `networks.build`.
    """
    returns = 100 * np.diff(np.log(series.values))  # returns[i] leads to values[i + 1]
    calendar, end = np.zeros((len(returns), 0)), len(returns)
    borders = [end - 1530 - learnt_from, end - 1530, end - 1020, end]
    train, validation, test = (
        examples(returns, calendar, *part, width=20) for part in itertools.pairwise(borders)
    )
    network = networks.restarts(train, **mode)
    by_network = [
        networks.forecast(network.learn(seed, train, validation, epochs).model, test)
        for seed in seeds
    ]
    linear = classics.fit_autoregression(returns, calendar, 5, borders[0], borders[1])
    rows = test.rows[:, 0]
    changes = {
        "naive: no change": np.zeros(len(rows)),
        "the median change": np.full(len(rows), np.median(returns[borders[0] : borders[1]])),
        "linear autoregression": linear.forecast(returns, test.rows, calendar)[:, 0],
        "GRU": np.mean(by_network, axis=0)[:, 0],
    }
    return Forecasts(series.dates[rows + 1], series.values[rows], series.values[rows + 1], changes)
