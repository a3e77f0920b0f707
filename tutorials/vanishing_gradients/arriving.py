"""How much of a gradient arrives at each step of the adding problem."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from custom_layers.data import AddingProblem
from custom_layers.debugging import record
from custom_layers.debugging.tables import read_log
from tutorials.vanishing_gradients.networks import network, recipe_for
from tutorials.vanishing_gradients.runs import BATCH


def fresh(name: str, steps: int, seed: int = 0, **options: Any) -> keras.Model:
    """A network for the adding problem, as a run with that seed begins with it."""
    keras.utils.set_random_seed(seed)
    return network(recipe_for("adding", name), AddingProblem(steps), **options)


def gradient_over_time(model: keras.Model, steps: int) -> np.ndarray:
    """|dL/dh_t|, or |dL/dc_t| where there is a c; (steps,)."""
    inputs, answers = AddingProblem(steps).draw(BATCH, seed=1)
    with record(model, outputs=False) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(inputs) - answers) ** 2)
    norms = trace.gradient_norms(tape, loss)
    state = "memory/c" if "memory/c" in norms else "memory/h"
    return np.asarray(norms[state], "float64")


def share_left(name: str, steps: int, seeds: Sequence[int]) -> np.ndarray:
    """|dL/dh_1| / |dL/dh_T| of the untrained network, or of its c; (seeds,)."""
    norms = [gradient_over_time(fresh(name, steps, seed), steps) for seed in seeds]
    return np.array([norm[0] / norm[-1] for norm in norms])


def vanishing_ratios(log_dir: Path) -> list[float]:
    """|dL/dh_1| / |dL/dh_T| at each look of an inspector."""
    scalars = read_log(log_dir).scalars
    return scalars.query("measure == 'vanishing_ratio' and layer == 'memory'")["value"].tolist()
