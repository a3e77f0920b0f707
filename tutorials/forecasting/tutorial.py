# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Forecasting
#
# How cold will it be tomorrow, at the coldest? And on each day of next week? A network that reads the
# last month can say something. So can anyone who looks at today's thermometer. This page puts both
# side by side, on the same days, with what statistics has had for fifty years. Where the old way
# wins, the page says so.
#
# Three rules hold all along. Most forecasts that look too good have broken one of them:
#
# 1. **Time is not shuffled.** What is tested lies after everything that was learned from.
# 2. **The test part is for the last number only.** Scales come from the training part, choices are
#    made on a part of their own.
# 3. **An error means nothing alone.** It is large or small beside that of a forecast that is free.

# %%
import importlib.util
import itertools
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if importlib.util.find_spec("tutorials") is None:  # a notebook starts in its own folder
    sys.path.insert(0, str(next(p for p in Path.cwd().parents if (p / "tutorials").is_dir())))

import numpy as np

import custom_layers
from custom_layers.data import windows
from tutorials import page
from tutorials.forecasting import claims, classics, months, networks, pictures, price, series
from tutorials.forecasting.examples import examples
from tutorials.forecasting.intervals import conformal_margin, coverage_of, daily_margins
from tutorials.forecasting.networks import forecast
from tutorials.forecasting.side_by_side import apart_after_an_epoch, reach_of

PAGE = page.begin("forecasting", "A network's forecasts beside those that need none.")
SEEDS = range(2 if PAGE.fast else 5)
EPOCHS = 4 if PAGE.fast else 40
mode: dict = {"gradient": "bptt", "jit_compile": not PAGE.fast}  # XLA pays after some thirty epochs

# %% [markdown]
# ## 1. Four series
#
# The lowest temperature of each day in Melbourne; sunspots, and airline passengers, of each month; the
# closing price of the S&P 500. Each is cut in time. The last part, in orange, is the test.

# %%
shown = series.load_all()  # by title: a series, and how many of its last rows are the test
(temperature, _), (sunspots, _), (passengers, _), (index, _) = shown.values()
REAL = all(one.source != "generated" for one, _ in shown.values())
PAGE.show(pictures.save_series(shown, PAGE.out / "series.png"))

# %% [markdown]
# ## 2. Windows, and parts that do not leak
#
# A network wants examples. Of a series $s$, a width $w$ and a horizon $h$, each is
#
# $$x_i = (s_i, \dots, s_{i+w-1}) \quad (1) \qquad y_i = (s_{i+w}, \dots, s_{i+w+h-1}) \quad (2)$$

# %%
inputs, targets, rows = windows(np.arange(8), width=3, horizon=2)
print(np.hstack([inputs, targets]), "the last two are targets", sep="\n")

# %% [markdown]
# Neighbours share nearly all of their numbers. Shuffle them into two parts, and the first part holds
# nearly every target of the second. So we cut time, and then windows from each part: six years to train
# on, one to make choices with, one to calibrate intervals, two to test. An example belongs to the part
# in which its *targets* stand. Its inputs may reach back into the part before: that is past by then.
# `before=` of `windows` lends them.
#
# The calendar is known of every day to come. It enters as the sine and the cosine of the time of year,
# so that 31 December lies beside 1 January.

# %%
borders = temperature.rows - 365 * np.array([6 if PAGE.fast else 10, 4, 3, 2, 0])
calendar = series.time_of_year(temperature.dates)
parts = ("train", "validation", "calibration", "test")
of_part = dict(zip(parts, itertools.pairwise(borders.tolist()), strict=True))


def temperatures(part, width, horizon=1):
    return examples(temperature.values, calendar, *of_part[part], width, horizon)


for name, (begin, end) in of_part.items():
    print(f"{name:12} {temperature.dates[begin]} to {temperature.dates[end - 1]}")

# %% [markdown]
# **The scale is learned, too.** Networks like numbers around 0. Whoever takes mean and deviation of the
# whole series has told the network something of the test part. `StandardScaling.adapt` takes them from
# what it is handed, here the training part, and keeps them as weights of the model: a file of the model
# carries them, and what is loaded scales as what was trained. Its `inverted` layer goes back, so that
# the model eats degrees and returns degrees:
#
# $$y = \frac{x - \mu}{\sigma} \qquad (3) \qquad\qquad x = \mu + \sigma y \qquad (4)$$

# %%
scaling = custom_layers.StandardScaling(axis=None)
scaling.adapt(temperature.values[slice(*of_part["train"])])
there = scaling(temperature.values)
back = scaling.inverse(there)
mean, deviation = scaling.get_weights()[:2]
print(f"mean {mean:.2f} °C, deviation {deviation:.2f} °C, from {scaling.get_weights()[2]} days")

# %% [markdown]
# ## 3. Forecasts that are free
#
# **Naive**: tomorrow is as today. **Seasonal naive**: tomorrow is as the same day a year ago.
#
# $$\hat s_{t+k} = s_t \qquad (5) \qquad\qquad \hat s_{t+k} = s_{t+k-m} \qquad (6)$$
#
# **Linear autoregression**: a weighted sum of the last $p$ days and of the calendar, by least squares,
# which takes a millisecond, or by least absolute errors, by which we judge. With $p = 0$ it is the
# season alone. **ARIMA** adds a memory of its own misses; statsmodels fits it by maximum likelihood.
#
# $$\hat s_{t+1} = c + \sum_{j=1}^{p} a_j s_{t+1-j} + \sum_j b_j\, \mathrm{season}_{t+1,j} \qquad (7)$$
#
# How many days $p$? That is a choice, so the validation part makes it.

# %%
values, LAGS = temperature.values, (0, 1, 2, 3, 5, 7, 10, 14, 21)
choice, test_rows = (temperatures(part, 1).rows for part in ("validation", "test"))


def absolute_error(found, rows, values=values):
    """Mean absolute error of each step of the horizon."""
    return np.abs(found - values[rows]).mean(axis=0)


def autoregression(days, rows, **loss):
    fitted = classics.fit_autoregression(values, calendar, days, *of_part["train"], **loss)
    return fitted.forecast(values, rows, calendar)


def days_chosen(**loss):
    of_days = {p: absolute_error(autoregression(p, choice, **loss), choice).item() for p in LAGS}
    print("validation, °C:", {p: round(error, 3) for p, error in of_days.items()})
    return min(of_days, key=of_days.__getitem__)


days = days_chosen()
free = {
    "naive": classics.naive(values, test_rows),
    "seasonal naive": classics.seasonal_naive(values, test_rows, 365),
    "season alone": autoregression(0, test_rows),
    "linear, least squares": autoregression(days, test_rows),
    "linear, absolute errors": autoregression(days_chosen(absolute=True), test_rows, absolute=True),
}
begin, end = of_part["train"]
arima = classics.fit_arima(values[begin:end], (1, 0, 1), calendar[begin:end])
known, to_test = (values[begin:], calendar[begin:]), of_part["test"][0] - begin
free["ARIMA (1, 0, 1)"] = classics.arima_one_step(arima, *known, to_test)[:, None]
one_day = {name: absolute_error(found, test_rows).item() for name, found in free.items()}
print("test, °C:", {name: round(error, 3) for name, error in one_day.items()})

# %% [markdown]
# The naive forecast of the year is beaten by everything: a day is an accident, and last year's accident
# is no guide to this year's. The season as a *curve* does better. What yesterday adds to the season is
# worth 0.3 °C, and the linear forecast takes that. This is what a network has to beat.
#
# ## 4. One day ahead
#
# The network: a window of days in degrees, scaled, a GRU of 32 units, a number, scaled back. From the
# same weights, on the same batches, Keras's layers and ours must train alike:

# %%
apart = apart_after_an_epoch(temperatures("train", 10), temperatures("validation", 10), **mode)
print(f"after an epoch the forecasts differ by {apart:.1e} of the largest")

# %% [markdown]
# Choices, on the validation part: how many days the network sees, and (`EarlyStopping`) how long it
# trains. The loss is the absolute error, in degrees.

# %%
chosen, restarts = {}, {}
for width in (10,) if PAGE.fast else (10, 30):
    train, validation = temperatures("train", width), temperatures("validation", width)
    restarts[width] = networks.restarts(train, **mode)
    learnt = restarts[width].learn(100, train, validation, EPOCHS)
    chosen[width] = learnt.validation
    print(f"{width} days: {learnt.validation:.3f} °C on validation, after {learnt.epochs} epochs")
width = min(chosen, key=chosen.__getitem__)

# %% [markdown]
# Now several seeds with that width, none of them the one that chose, each tested once. `recursive` is
# kept for the next section. The mean of all their forecasts is a forecast as well: an **ensemble**.

# %%
train, validation = temperatures("train", width), temperatures("validation", width)
test, week = temperatures("test", width), temperatures("test", width, 7)
of_seed, recursively, errors = [], [], []
for seed in SEEDS:
    learnt = restarts[width].learn(seed, train, validation, EPOCHS)
    of_seed.append(forecast(learnt.model, test))
    recursively.append(networks.recursive(learnt.model, week, calendar))
    errors.append(absolute_error(of_seed[-1], test.rows).item())
    print(f"seed {seed}: {learnt.epochs} epochs, test {errors[-1]:.3f} °C")
ensemble = np.mean(of_seed, axis=0)
one_day["GRU, one seed"] = float(np.mean(errors))
one_day["GRU, ensemble"] = absolute_error(ensemble, test.rows).item()
for name in ("linear, least squares", "linear, absolute errors"):
    gain = np.abs(free[name] - test.y) - np.abs(ensemble - test.y)
    in_errors = gain.mean() / (gain.std(ddof=1) / np.sqrt(len(gain)))
    print(f"gain over {name}: {gain.mean():.3f} °C, {in_errors:.1f} standard errors")
spread = {"GRU, one seed": float(np.std(errors, ddof=1))}
PAGE.show(pictures.save_bars(one_day, spread, PAGE.out / "one_day.png"))

# %% [markdown]
# That is the honest size of it: better than yesterday's value by an eighth. One GRU is as good as a
# weighted sum that is fitted to the same loss, and the mean of five is ahead of it by a hundredth of a
# degree. Most of tomorrow's weather is not in the past of one thermometer.
#
# **How far back does the network look?** The gradient of a forecast by the state of each day says how
# much of what the network held on that day still reaches the forecast. A recorder reads it from our GRU:

# %%
reach = reach_of(learnt.model, test.x[:64])
print("weight of the last six days:", np.round(reach[-6:], 3))

# %% [markdown]
# ## 5. A week ahead
#
# Two ways. **Recursive**: forecast a day, take it for true, forecast the next. **Direct**: put out seven
# numbers at once, and train for all of them. And since nobody knows next Thursday, let the direct
# network put out not one number for each day but five *quantiles*. The loss whose best answer is the
# quantile $q$ costs $q$ for each degree too low and $1 - q$ for each too high:
#
# $$L_q(y, f) = \max\big(q\,(y - f),\ (q - 1)(y - f)\big) \qquad (8)$$

# %%
QUANTILES = (0.025, 0.1, 0.5, 0.9, 0.975)
week_train = temperatures("train", width, 7)
direct = networks.restarts(week_train, quantiles=QUANTILES, **mode)
begin, end = of_part["calibration"][0], of_part["test"][1]
held, by_seed = examples(values, calendar, begin, end, width, 7), []
for seed in SEEDS[: 1 if PAGE.fast else 3]:
    learnt = direct.learn(seed, week_train, temperatures("validation", width, 7), EPOCHS)
    by_seed.append(np.sort(forecast(learnt.model, held), axis=-1))
quantiles = np.mean(by_seed, axis=0)
first = int(np.argmax(held.rows[:, 0] == of_part["test"][0]))  # the first example to test with
by_horizon = {
    "naive": absolute_error(classics.naive(values, week.rows), week.rows),
    "season alone": absolute_error(autoregression(0, week.rows), week.rows),
    "linear, least squares": absolute_error(autoregression(days, week.rows), week.rows),
    "GRU, recursive": absolute_error(np.mean(recursively, axis=0), week.rows),
    "GRU, direct": absolute_error(quantiles[first:, :, 2], week.rows),
}
print(*(f"{name:22} {np.round(error, 2)}" for name, error in by_horizon.items()), sep="\n")

# %% [markdown]
# From the second day on, next to nothing is left of today, whoever looks at it. All the good forecasts
# meet the season, and the direct and the recursive one are alike. The naive forecast goes on to believe
# in today, and pays for it.
#
# ## 6. Intervals, and whether they hold
#
# Two of the quantiles are the ends of an interval: 0.1 and 0.9 should hold 80 % of what comes. A
# network that has learned too well, or too little, is wrong about that, and its training part does not
# show it. So we measure its misses on the calibration year, which it has never seen. An interval
# $(l, u)$ misses $y$ by
#
# $$E_i = \max(l_i - y_i,\ y_i - u_i) \qquad (9)$$
#
# which is negative inside. Widen both ends by the $\lceil (n+1)\,\mathrm{coverage} \rceil$-th smallest
# of the $n$ misses (10): this is conformal calibration (Romano et al. 2019, arXiv:1905.03222). If test
# days were drawn like calibration days, the promised coverage would be certain. They come a year later,
# and no year is as the other. So we count. And we calibrate once more, **anew each day**, from the last
# 350 misses that are known by then.

# %%
bands, covered = {}, {}
for promised, low, high in ((0.95, 0, 4), (0.8, 1, 3)):
    ends, before = (quantiles[..., low], quantiles[..., high]), slice(0, first - 6)
    margins = {
        "as it says": 0.0,
        "calibrated": conformal_margin(ends[0][before], ends[1][before], held.y[before], promised),
        "each day": daily_margins(*ends, held.y, held.rows, promised, first),
    }
    for name, margin in margins.items():
        band = ends[0][first:] - margin, ends[1][first:] + margin
        covered[promised, name] = float(coverage_of(*band, held.y[first:]).mean())
    bands[f"{promised:.0%}"] = [end[270:390, 0] for end in band]  # a spring, one day ahead
    print(f"{promised:.0%}:", {name: f"{covered[promised, name]:.1%}" for name in margins})

dates = temperature.dates[week.rows[270:390, 0]]
first_days = dates, week.y[270:390, 0], bands
PAGE.show(pictures.save_weather(by_horizon, *first_days, PAGE.out / "picture.png"))

# %% [markdown]
# In the test years the network's own intervals hold a little more than they promise. Calibration by the
# year before has widened them, and made them worse: that year was wilder than those that came. Anew each
# day, from the last 350 misses, is nearest to the promise.
#
# ## 7. Months ahead: where the classics win
#
# **Airline passengers**, twelve months ahead, from 96 months. They grow without end, and a network has
# never seen where they will go. So it gets *changes* of the logarithm since the last month that is
# known. Against it: last year's month times the growth of a year, and the ARIMA model that Box and
# Jenkins made of this very series in 1970, which has two weights for the past.
#
# **Sunspots**, 24 months ahead, from 11 years before: 2,100 months to learn from. Against the network: a
# linear autoregression over as many months.

# %%
twelve_months = months.passengers_ahead(passengers, SEEDS[:3], 10 * EPOCHS, **mode)
cycle, learnt_from = (36, 600) if PAGE.fast else (132, 2100)
two_years = months.sunspots_ahead(sunspots, cycle, learnt_from, SEEDS[:2], EPOCHS, **mode)
panels = {"Airline passengers, thousands": twelve_months, "Sunspots": two_years}

print(months.shortly(twelve_months), months.shortly(two_years), sep="\n")
PAGE.show(pictures.save_months(panels, PAGE.out / "months.png"))

# %% [markdown]
# With 96 months, a model that *is* trend and season needs no examples to find that out, and the network
# does. And of the sunspots a weighted sum says more than this GRU. Not because their cycle is linear (it
# rises faster than it falls): but the sum is quickly fitted, and 2,100 months are few for a GRU.
#
# ## 8. A price, and how not to be fooled
#
# Pictures of a network that "follows" a share price are everywhere. Here is one. The network reads 20
# daily changes $r_t = 100 \log(p_t / p_{t-1})$ and says tomorrow's; the price that it forecasts is
# $p_t e^{\hat r_{t+1}/100}$.

# %%
said = price.forecasts(index, 1000 if PAGE.fast else 3500, SEEDS[:2], EPOCHS, **mode)
print(said.table())
looks, lost = said.looks, said.error("GRU") / said.error("naive: no change")
constant = "the median change"
beyond, luck = said.error("GRU") / said.error(constant), said.gain("GRU", constant)
print(f"the GRU's error is {beyond:.3f} of that of {constant}, by {luck:.1f} standard errors")
PAGE.show(pictures.save_price(said, slice(-160, -60), PAGE.out / "price.png"))

# %% [markdown]
# Left, the forecast hugs the price: the correlation is nearly 1 and worth nothing, since the naive
# forecast has it too. It *is* yesterday's price, one day late. The right panel asks the only question,
# what is added to what was known. The error is a hundredth smaller than that of "no change". A part of
# it any constant has, since the index rose. The rest is less than two standard errors: chance can do
# that. **Judge no forecast of a series that wanders by its level.**
#
# ## What has been claimed
#
# Every claim of this page, checked. On generated series, and with the small data of the fast mode, which
# of two good forecasts is the better one is left open.


# %%
def check():
    """Raise AssertionError for the first claim that does not hold."""
    assert temperatures("test", width).rows.min() == of_part["test"][0]
    known = values[slice(*of_part["train"])]
    np.testing.assert_allclose((mean, deviation), (known.mean(), known.std()), rtol=1e-6)
    np.testing.assert_allclose(back, values, atol=1e-4)
    assert apart <= 1e-5, "Keras's layers and ours train alike"
    assert one_day["naive"] > 1.05 * one_day["linear, least squares"]
    assert one_day["seasonal naive"] > 1.3 * one_day["season alone"]
    assert by_horizon["naive"][-1] > 1.2 * by_horizon["season alone"][-1]
    assert reach[0] < reach[-1], "the past fades"
    assert looks > 0.97, "a price looks right"
    assert abs(lost - 1) < 0.05, "and is worth nothing"
    if not REAL or PAGE.fast:
        return
    claims.check_temperatures(one_day, errors, by_horizon, covered)
    claims.check_months(*panels.values())
    claims.check_price(lost, luck)


check()
print("all claims hold")

# %%
PAGE.report(
    "A day ahead a GRU is as good as a weighted sum; on months classics win, on a price nobody does."
    if REAL and not PAGE.fast
    else "What to compare a forecast with.",
    {
        "one day ahead, ensemble of GRUs, °C": one_day["GRU, ensemble"],
        "one day ahead, single seeds, °C": f"{np.mean(errors):.3f} ± {np.std(errors, ddof=1):.3f}",
        "the free ones, °C": ", ".join(f"{name} {one_day[name]:.3f}" for name in free),
        **claims.coverages(covered),
        "passengers, thousands": months.shortly(twelve_months),
        "sunspots": months.shortly(two_years),
        "price: error against no change / the median change": f"{lost:.3f} / {beyond:.3f}",
    },
    PAGE.out / "picture.png",
    data="real series" if REAL else "generated series",
)
