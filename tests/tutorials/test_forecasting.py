"""The page on forecasting: its examples, the forecasts that are free, its network, its intervals."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import custom_layers
from custom_layers.data import generated_series
from custom_layers.data.local_files import DATA_FOLDER_VARIABLE
from tutorials.forecasting import classics, intervals, months, networks, price, series, side_by_side
from tutorials.forecasting.examples import examples

ROWS = 80


@pytest.fixture
def values():
    return np.random.default_rng(0).standard_normal(ROWS).cumsum()


@pytest.fixture
def calendar():
    return series.time_of_year(np.datetime64("1983-11-20") + np.arange(ROWS))


def test_the_time_of_year_goes_round_once_a_year():
    days = np.datetime64("1983-01-01") + np.arange(2 * 365 + 1)  # 1984 has 366 days
    sine, cosine = series.time_of_year(days).T
    assert_allclose(sine**2 + cosine**2, 1, rtol=1e-12)
    angle = np.unwrap(np.arctan2(sine, cosine))
    assert_allclose(
        angle[[0, 365, 365 + 31]], 2 * np.pi * np.array([0, 1, 1 + 31 / 366]), atol=1e-9
    )
    months_of = series.time_of_year(np.array(["1983-01", "1983-07"], "datetime64[M]"))
    assert_allclose(months_of[1, 1], np.cos(2 * np.pi * 181 / 365), rtol=1e-12)


def test_without_the_files_series_are_made_and_a_line_says_so(monkeypatch, capsys):
    monkeypatch.delenv(DATA_FOLDER_VARIABLE, raising=False)
    shown = series.load_all()
    assert [one.source for one, _ in shown.values()] == ["generated"] * 4
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all("generated" in line and DATA_FOLDER_VARIABLE in line for line in lines)


@pytest.mark.parametrize("relative", [False, True])
def test_examples_hold_what_is_known_and_what_came(values, calendar, relative):
    found = examples(values, calendar, 30, 50, width=6, horizon=3, relative=relative)
    assert found.x.shape == (18, 6, 3)
    for number, first in enumerate(range(30, 48)):
        past, last = values[first - 6 : first], values[first - 1] if relative else 0.0
        assert_allclose(found.x[number, :, 0], past - last, atol=1e-6)
        assert_allclose(found.x[number, :, 1:], calendar[first - 6 : first], atol=1e-6)
        assert_allclose(found.y[number], values[first : first + 3] - last, atol=1e-6)
        assert_array_equal(found.rows[number], range(first, first + 3))
    assert len(examples(values, calendar, 0, 50, 6).x) == 44  # no inputs before the first row


def test_naive_forecasts_repeat(values):
    rows = np.array([[40, 41, 42], [50, 51, 52]])
    assert_array_equal(classics.naive(values, rows), np.repeat(values[[39, 49]], 3).reshape(2, 3))
    assert_array_equal(classics.seasonal_naive(values, rows, 12), values[rows - 12])


def test_autoregression_finds_the_weights_and_forecasts_by_recursion(calendar):
    """A series without noise: what it was made with comes back, 10 steps ahead too."""
    s = np.zeros(ROWS)
    s[:2] = 1.0, -2.0
    for t in range(2, ROWS):
        s[t] = 0.3 + 0.8 * s[t - 1] - 0.5 * s[t - 2] + calendar[t] @ (0.4, -0.7)
    fitted = classics.fit_autoregression(s, calendar, 2, 0, 40)
    assert_allclose(fitted.weights, [0.3, 0.4, -0.7, -0.5, 0.8], atol=1e-9)
    rows = np.arange(45, 70)[:, None] + np.arange(10)
    hidden = np.where(np.arange(ROWS) < 45, s, np.nan)  # nothing from the first target on is read
    assert_allclose(fitted.forecast(hidden, rows[:1], calendar), s[rows[:1]], atol=1e-9)
    assert_allclose(fitted.forecast(s, rows, calendar), s[rows], atol=1e-9)


def test_autoregression_reads_its_own_part_alone_and_may_do_without_a_past(values, calendar):
    seen = np.where((np.arange(ROWS) >= 10) & (np.arange(ROWS) < 50), values, np.nan)
    fitted = classics.fit_autoregression(seen, calendar, 3, 10, 50)
    assert np.all(np.isfinite(fitted.weights))
    season = classics.fit_autoregression(seen, calendar, 0, 10, 50)
    rows = np.array([[60, 61]])
    known = np.column_stack([np.ones(40), calendar[10:50]])
    weights = np.linalg.lstsq(known, values[10:50], rcond=None)[0]
    wanted = np.column_stack([np.ones(2), calendar[60:62]]) @ weights
    assert_allclose(season.forecast(values, rows, calendar)[0], wanted, rtol=1e-9)


def test_least_absolute_errors_do_not_see_how_far_a_few_days_are_off(calendar):
    weights = np.array([0.3, 0.4, -0.7])
    values = np.column_stack([np.ones(ROWS), calendar]) @ weights
    values[[12, 25, 31, 44]] += [50, -80, 60, 90]
    fitted = classics.fit_autoregression(values, calendar, 0, 10, 50, absolute=True)
    assert_allclose(fitted.weights, weights, atol=1e-3)
    squares = classics.fit_autoregression(values, calendar, 0, 10, 50)
    assert np.abs(squares.weights - weights).max() > 1


def test_what_least_absolute_errors_find_is_the_median():
    values = np.random.default_rng(3).exponential(5.0, ROWS)
    fitted = classics.fit_autoregression(values, np.zeros((ROWS, 0)), 0, 9, 60, absolute=True)
    assert_allclose(fitted.weights, [np.median(values[9:60])], rtol=1e-3)


def test_arima_forecasts_a_step_from_the_rows_before(calendar):
    """With one weight of the past, one step ahead is c + a (s - c), whatever comes later."""
    s = 5 + generated_series("daily-min-temperatures").values[:ROWS] / 10
    fitted = classics.fit_arima(s[:60], (1, 0, 0))
    constant, weight = fitted.params[:2]
    found = classics.arima_one_step(fitted, s, None, 60)
    assert_allclose(found, constant + weight * (s[59:-1] - constant), rtol=1e-6)
    changed = np.where(np.arange(ROWS) < 70, s, 99.0)
    assert_allclose(classics.arima_one_step(fitted, changed, None, 60)[:11], found[:11], rtol=1e-9)


def test_conformal_margin_covers_the_calibration_part_and_no_more():
    """With 99 examples, 80 of them: one y lies upon an end, to rounding."""
    rng = np.random.default_rng(1)
    y, centre = rng.standard_normal((2, 99, 2)) * (1.0, 3.0)
    for width in (0.1, 50.0):  # too narrow, and too wide: then the margin is negative
        low, high = centre - width, centre + width
        margin = intervals.conformal_margin(low, high, y, 0.8)
        for rounding, held in ((1e-9, 80 / 99), (-1e-9, 79 / 99)):
            ends = low - margin - rounding, high + margin + rounding
            assert_allclose(intervals.coverage_of(*ends, y), held)
    assert np.all(margin < 0)
    assert np.all(np.isinf(intervals.conformal_margin(low[:9], high[:9], y[:9], 0.95)))


def test_conformal_intervals_hold_what_they_promise_on_exchangeable_data():
    """The guarantee: over many draws of 49 to calibrate with, 80 % or a little more."""
    rng = np.random.default_rng(2)
    held = []
    for _ in range(400):
        y = rng.exponential(size=(149, 1))
        low, high = np.full_like(y, 0.5), np.full_like(y, 0.6)
        margin = intervals.conformal_margin(low[:49], high[:49], y[:49], 0.8)
        held.append(intervals.coverage_of(low[49:] - margin, high[49:] + margin, y[49:]))
    assert 0.79 < np.mean(held) < 0.82


@pytest.fixture(scope="module")
def weather():
    made = generated_series("daily-min-temperatures")
    calendar = series.time_of_year(made.dates)
    parts = [examples(made.values, calendar, *p, 6, 3) for p in ((0, 250), (250, 300), (300, 350))]
    return made, calendar, parts


def test_builtin_and_custom_train_alike(weather):
    _, _, (train, validation, _) = weather
    apart = side_by_side.apart_after_an_epoch(train, validation, False, gradient="bptt")
    assert apart <= 1e-5


def test_a_network_eats_and_returns_the_unit_of_the_series(weather):
    """Scaled by the training part: the outputs are those of the layers between, put back by hand."""
    _, _, (train, _, test) = weather
    options = {"units": 4, "quantiles": (0.1, 0.5, 0.9), "jit_compile": False}
    model = networks.build(custom_layers, train, **options)
    _, scale, gru, dense, *_ = model.layers
    flat = train.x.reshape(-1, 3).astype("float64")
    scaled = ((test.x - flat.mean(0)) / flat.std(0)).astype("float32")
    assert_allclose(scale(test.x), scaled, rtol=1e-4, atol=1e-5)
    numbers = np.asarray(dense(gru(scaled))).reshape(-1, 3, 3)
    wanted = flat[:, 0].mean() + flat[:, 0].std() * numbers
    assert_allclose(networks.forecast(model, test), wanted, rtol=1e-4, atol=1e-4)
    shifted = test._replace(last=np.full((len(test.x), 1), 100.0))
    assert_allclose(networks.forecast(model, shifted), wanted + 100, rtol=1e-4)


def test_a_seed_decides_and_restarting_leaves_no_trace(weather):
    _, _, (train, validation, test) = weather

    def build():
        return networks.build(custom_layers, train, units=4, jit_compile=False)

    restarts = networks.Restarts(build)
    found = []
    for seed in (3, 4, 3):  # the model is built once, compiled once
        learnt = restarts.learn(seed, train, validation, epochs=2)
        found.append(networks.forecast(learnt.model, test))
        assert learnt.epochs in (1, 2)
        error = np.abs(networks.forecast(learnt.model, validation) - validation.y).mean()
        assert learnt.validation == pytest.approx(error, rel=1e-4)
    assert_array_equal(found[0], found[2])
    assert np.abs(found[0] - found[1]).max() > 1e-3


def test_a_recursive_forecast_eats_itself(weather):
    """A model that says what it saw last, plus one."""
    made, calendar, (*_, test) = weather
    hidden = test._replace(y=np.full_like(test.y, np.nan))
    found = networks.recursive(lambda x, training: x[:, -1, :1] + 1, hidden, calendar)
    last = made.values[test.rows[:, :1] - 1]
    assert_allclose(found, last + np.array([1, 2, 3]), rtol=1e-5)
    days = networks.recursive(lambda x, training: x[:, -1, 1:2], hidden, calendar)
    wanted = calendar[np.column_stack([test.rows[:, :1] - 1, test.rows[:, :-1]]), 0]
    assert_allclose(days, wanted, atol=1e-6)


def test_reach_is_a_share_of_the_last_day_s(weather):
    _, _, (train, _, test) = weather
    model = networks.build(custom_layers, train, units=4, jit_compile=False, gradient="bptt")
    found = side_by_side.reach_of(model, test.x[:5])
    assert found.shape == (6,)
    assert found[-1] == 1
    assert np.all(found > 0)


def test_forecast_changes_and_prices_say_the_same():
    said = price.Forecasts(
        dates=np.datetime64("2020-01-01") + np.arange(2),
        before=np.array([100.0, 110.0]),
        came=np.array([110.0, 99.0]),
        changes={
            "naive: no change": np.zeros(2),
            "GRU": 100 * np.log([1.1, 1.1]),
        },
    )
    assert_allclose(said.price("GRU"), [110, 121])
    assert said.error("GRU") == pytest.approx(11)
    assert said.error("naive: no change") == pytest.approx((10 + 11) / 2)
    assert (said.right_direction("GRU"), said.right_direction("naive: no change")) == (0.5, 0)
    assert_allclose(said.price("naive: no change") * np.exp(said.change / 100), said.came)
    less = np.array([10.0, 11 - 22])  # the price missed by 10 and 11, and by 0 and 22
    gain = less.mean() / (less.std(ddof=1) / np.sqrt(2))
    assert said.gain("GRU", "naive: no change") == pytest.approx(gain)


def test_prices_are_tested_on_days_that_nothing_was_learnt_from(monkeypatch):
    """A network that remembers the examples it was given: their targets end before the test begins."""
    seen = {}

    class Remembers:
        def __init__(self, build):
            (_, train), _ = build.args, build.keywords
            seen["train"] = train

        def learn(self, seed, train, validation, epochs):
            seen["validation"] = validation
            return networks.Learnt(0.0, 1, lambda x, training: np.zeros((len(x), 1), "float32"))

    monkeypatch.setattr(networks, "Restarts", Remembers)
    made = generated_series("sp500-2000")
    said = price.forecasts(made, 1000, [0], 1)
    assert len(said.dates) == 1020
    assert_array_equal(said.came, made.values[-1020:])
    assert_array_equal(said.before, made.values[-1021:-1])
    assert_allclose(said.price("GRU"), said.before)
    assert seen["train"].rows.max() < seen["validation"].rows.min()
    assert seen["validation"].rows.max() == len(made.values) - 2 - 1020
    assert seen["train"].rows.min() == len(made.values) - 1 - 1530 - 1000


def test_passengers_are_forecast_from_what_is_known_before(monkeypatch):
    made, asked = generated_series("airline-passengers"), []

    class Known:
        def __init__(self, logs):
            self.logs = logs

        def apply(self, logs):
            asked.append(len(logs))
            return Known(logs)

        def forecast(self, steps):
            return np.repeat(self.logs[-1], steps)

    monkeypatch.setattr(classics, "fit_arima", lambda logs, *order, **seasonal: Known(logs))
    errors = months.passengers_ahead(made, [0], 1, jit_compile=False)
    assert asked == list(range(120, 133))
    for month in (0, 11):
        first = np.arange(120, 133)
        came, year_ago = made.values[first + month], made.values[first + month - 12]
        growth = made.values[first - 1] / made.values[first - 13]
        wanted = {
            "last year's month": year_ago,
            "times the year's growth": year_ago * growth,
            "ARIMA of Box and Jenkins": made.values[first - 1],
        }
        for name, found in wanted.items():
            assert errors[name][month] == pytest.approx(np.abs(found - came).mean()), name
    assert months.shortly({"a": np.array([1.0, 2.0]), "b": np.ones(3)}) == "a 1.5, b 1.0"


def test_daily_margins_know_the_misses_before_and_no_more():
    """Against a loop; a miss after an example's first day must not matter to it."""
    rng = np.random.default_rng(3)
    y, rows = rng.standard_normal((60, 3)), np.arange(60)[:, None] + np.arange(3)
    low, high = np.full_like(y, -0.5), np.full_like(y, 0.5)
    found = intervals.daily_margins(low, high, y, rows, 0.8, begin=40, days=25)
    assert found.shape == (20, 3)
    for number in range(20):
        for k in range(3):
            known = [i for i in range(60) if i + k < 40 + number][-25:]
            margin = intervals.conformal_margin(
                low[known, k : k + 1], high[known, k : k + 1], y[known, k : k + 1], 0.8
            )
            assert found[number, k] == margin[0]
    with pytest.raises(ValueError, match=r"39 misses are known.*days=40"):
        intervals.daily_margins(low, high, y, rows, 0.8, begin=41, days=40)
    later = np.where(rows >= 50, 99.0, y)
    changed = intervals.daily_margins(low, high, later, rows, 0.8, begin=40, days=25)
    np.testing.assert_array_equal(changed[:11], found[:11])
    assert np.any(changed[12:] != found[12:])
