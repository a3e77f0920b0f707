"""A small model with dropout, a small data set, and namespaces with planted faults."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest


def namespace_with(**replaced):
    """`keras.layers` with some names replaced."""
    names = [name for name in dir(keras.layers) if name[0].isupper()]
    return SimpleNamespace(**{n: getattr(keras.layers, n) for n in names} | replaced)


def build_small_model(layers, **compile_settings):
    """Compiled to run eagerly by default: tracing would take most of the tests' time."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, activation="tanh"),
            layers.Dropout(0.25),
            layers.Dense(2),
        ]
    )
    settings = {"metrics": ["mae"], "run_eagerly": True, **compile_settings}
    model.compile(keras.optimizers.Adam(0.01), "mse", **settings)
    return model


@pytest.fixture
def build_model():
    return build_small_model


@pytest.fixture
def layers_with():
    return namespace_with


@pytest.fixture
def arrays():
    random = np.random.default_rng(4)
    x = random.normal(size=(40, 4)).astype("float32")
    return x, np.stack([x[:, 0] * x[:, 1], x[:, 2]], axis=1)
