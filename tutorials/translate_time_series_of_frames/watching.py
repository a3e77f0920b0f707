"""Which frames the two answers at the end come from: gradients frame by frame, and frames taken away."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from custom_layers.debugging import record
from tutorials.translate_time_series_of_frames.films import NOISE, Films
from tutorials.translate_time_series_of_frames.model import answers, right

QUESTIONS = ("digit", "way")


class Gradients(NamedTuple):
    """Of one loss at the last frame: each film's shares of its own sum over the frames, and their mean.

    Films with a large loss have large gradients; as shares, all films count the same.
    states: |dL/dh_t|, the total derivative, (steps,). frames: |dL/df_t|, f_t the features of frame t.
    """

    states: np.ndarray
    frames: np.ndarray


def gradients_of_the_end(model: keras.Model, films: Films) -> dict[str, Gradients]:
    """Of the loss of the digit, and of that of the way.

    Args:
        model: that answers after each frame; its LSTM is "lstm", its reading of all frames "frames".
    """
    found = {}
    for number, (name, truth) in enumerate(zip(QUESTIONS, films.at_the_end(), strict=True)):
        with record(model) as trace, tf.GradientTape() as tape:
            logits = model(films.pixels[..., None])[number][:, -1]
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(truth, logits)
        recording = trace.read(tape, loss)
        states, frames = (recording[key].gradient.numpy() for key in ("lstm/h", "frames/output"))
        found[name] = Gradients(mean_shares(states), mean_shares(frames))
    return found


def mean_shares(gradient: np.ndarray) -> np.ndarray:
    """The norms of (count, steps, units) as shares of each film's sum, over all films: (steps,)."""
    norms = np.linalg.norm(gradient.astype("float64"), axis=2)
    return (norms / norms.sum(axis=1, keepdims=True)).mean(axis=0)


def lost_without(model: keras.Model, films: Films, seed: int) -> dict[str, np.ndarray]:
    """How much rarer the last answer is right when one frame shows noise alone: (steps,) by question."""
    random, steps = np.random.default_rng(seed), films.ways.shape[1]
    whole = right(answers(model, films.pixels), films)
    lost: dict[str, list[float]] = {name: [] for name in QUESTIONS}
    for step in range(steps):
        pixels = films.pixels.copy()
        pixels[:, step] = NOISE * random.standard_normal(pixels[:, step].shape)
        without = right(answers(model, pixels), films)
        for name, before, after in zip(QUESTIONS, whole, without, strict=True):
            lost[name].append(before[-1] - after[-1])
    return {name: np.array(values) for name, values in lost.items()}
