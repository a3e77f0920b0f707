r"""Forecasts that need no network: yesterday's value, last year's, and a linear autoregression.

    naive            f_{t+k} = s_t                                               (5)
    seasonal naive   f_{t+k} = s_{t+k-m}, of one season of m rows before         (6)
    autoregression   f_{t+1} = c + sum_j a_j s_{t+1-j} + sum_j b_j season_{t+1,j}  (7)

(7) by least squares or least absolute errors; k steps ahead it eats its own forecasts. Functions take
rows (examples, horizon), where in the series the targets stand; the row before the first is the last
that is known.
The numbers are those of the page.
"""

import warnings
from typing import Any, NamedTuple

import numpy as np
from statsmodels.regression.quantile_regression import QuantReg
from statsmodels.tsa.arima.model import ARIMA


def naive(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Equation (5), (examples, horizon)."""
    return np.broadcast_to(values[rows[:, :1] - 1], rows.shape)


def seasonal_naive(values: np.ndarray, rows: np.ndarray, season: int) -> np.ndarray:
    """Equation (6), (examples, horizon); the horizon may be one season at most."""
    assert rows.shape[1] <= season
    return values[rows - season]


class Autoregression(NamedTuple):
    """Equation (7): c, then the weights of the season, then those of the past, the latest last."""

    weights: np.ndarray
    lags: int

    def forecast(self, values: np.ndarray, rows: np.ndarray, season: np.ndarray) -> np.ndarray:
        """Forecasts (examples, horizon) from what is known before each example's first row.

        Args:
            values: the whole series, (all rows,); none at or after an example's first row is read.
            rows: (examples, horizon).
            season: what the calendar knows, (all rows, kinds).
        """
        past = values[rows[:, :1] + np.arange(-self.lags, 0)]
        found = []
        for k in range(rows.shape[1]):
            ones = np.ones((len(rows), 1))
            found.append(np.hstack([ones, season[rows[:, k]], past]) @ self.weights)  # (7)
            past = np.hstack([past, found[-1][:, None]])[:, 1:]
        return np.stack(found, axis=1)


def fit_autoregression(
    values: np.ndarray,
    season: np.ndarray,
    lags: int,
    begin: int,
    end: int,
    *,
    absolute: bool = False,
) -> Autoregression:
    """Fit (7) to the rows from `begin` to before `end`; nothing after `end` is read.

    Args:
        absolute: by least absolute errors, which finds the median; else by least squares.
    """
    rows = np.arange(begin + lags, end)
    past = values[rows[:, None] + np.arange(-lags, 0)]
    known = np.hstack([np.ones((len(rows), 1)), season[rows], past])
    if absolute:
        weights = np.asarray(QuantReg(values[rows], known).fit(q=0.5, max_iter=5000).params)
    else:
        weights = np.linalg.lstsq(known, values[rows], rcond=None)[0]
    return Autoregression(weights, lags)


def fit_arima(
    values: np.ndarray, order: tuple[int, int, int], season: Any = None, seasonal: Any = None
) -> Any:
    """An ARIMA model of statsmodels by maximum likelihood, with a regression on the season."""
    trend = "c" if order[1] == 0 else "n"
    model = ARIMA(
        values, exog=season, order=order, seasonal_order=seasonal or (0, 0, 0, 0), trend=trend
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that its first guess of a weight is replaced by 0
        return model.fit()


def arima_one_step(fitted: Any, values: np.ndarray, season: Any, begin: int) -> np.ndarray:
    """Forecasts one step ahead of the rows from `begin`, the coefficients staying as fitted."""
    return np.asarray(fitted.apply(values, exog=season).predict(start=begin))
