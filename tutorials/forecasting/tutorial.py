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
# What will the coldest moment of tomorrow be? And of each day next week? A network that reads the past
# month can say something. So can anyone who looks at today's thermometer. This page puts both beside
# each other, on the same days, and adds what statistics has had for fifty years. Where the old way
# wins, the page says so.
#
# Three rules hold all along, and most forecasts that look too good have broken one of them:
#
# 1. **Time is not shuffled.** What is tested lies after all that was learned from.
# 2. **Nothing is measured on the test part but the end result.** Scales come from the training part,
#    choices are made on another.
# 3. **A number means little alone.** An error is large or small beside that of a forecast that is free.

# %%
import importlib.util
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if importlib.util.find_spec("tutorials") is None:  # a notebook starts in its own folder
    sys.path.insert(0, str(next(p for p in Path.cwd().parents if (p / "tutorials").is_dir())))

import keras
import numpy as np
import tensorflow as tf

import custom_layers
from custom_layers.data import split_in_time, windows
from custom_layers.debugging import record
from tutorials import page
from tutorials.forecasting import classics, intervals, networks, pictures, series

PAGE = page.begin("forecasting", "A network's forecasts beside those that need none.")
SEEDS = range(2 if PAGE.fast else 5)
FAST_GRU = {"gradient": "bptt"}  # by hand, and compiled: the quickest way on a CPU

# %% [markdown]
# ## 1. Four series
#
# The lowest temperature of each day in Melbourne; sunspots and airline passengers of each month; the
# closing price of the S&P 500. What is orange is for the test, and is not looked at before.

# %%
temperature = series.load("daily-min-temperatures")
sunspots = series.load("monthly-sunspots")
passengers = series.load("airline-passengers")
index = series.load("sp500-2000", value="close")
parts = split_in_time(temperature, validation=2 * 365, test=2 * 365)
shown = {
    "Minimum of the day, Melbourne, °C": temperature,
    "Sunspots of the month": sunspots,
    "Airline passengers of the month, thousands": passengers,
    "S&P 500, points": index,
}
begins = [temperature.rows - 730, sunspots.rows - 480, passengers.rows - 24, index.rows - 1020]
PAGE.show(
    pictures.save_series(shown, dict(zip(shown, begins, strict=True)), PAGE.out / "series.png")
)
