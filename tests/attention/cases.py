"""The papers' layers, their arguments, and what the loops make of them."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np

from custom_layers.attention.bahdanau import BahdanauAttention
from custom_layers.attention.luong import LuongAttention
from tests.attention import loops

BATCH, T, S, Q, K, V, UNITS = 3, 4, 6, 5, 2, 3, 7


class Case(NamedTuple):
    """A layer to make, its key features, and its score as a function of q, k and the weights."""

    name: str
    make: Callable[..., keras.Layer]
    key_features: int
    score: Callable


CASES = [
    Case("bahdanau", lambda **kw: BahdanauAttention(UNITS, **kw), K, loops.bahdanau_score),
    Case("luong-dot", lambda **kw: LuongAttention("dot", **kw), Q, loops.luong_dot_score),
    Case("luong-general", lambda **kw: LuongAttention(**kw), K, loops.luong_general_score),
    Case(
        "luong-concat",
        lambda **kw: LuongAttention("concat", UNITS, **kw),
        K,
        loops.luong_concat_score,
    ),
]


class Arguments(NamedTuple):
    query: np.ndarray
    value: np.ndarray
    key: np.ndarray


def draw(case: Case, seed: int = 3) -> Arguments:
    rng = np.random.default_rng(seed)
    sizes = (BATCH, T, Q), (BATCH, S, V), (BATCH, S, case.key_features)
    return Arguments(*(rng.standard_normal(size) for size in sizes))


def build(case: Case, dtype: str = "float64", **config) -> keras.Layer:
    """The layer with random weights."""
    layer = case.make(dtype=dtype, **config)
    layer(*draw(case))
    rng = np.random.default_rng(5)
    for weight in layer.weights:
        weight.assign(rng.standard_normal(weight.shape))
    return layer


def expected(case: Case, layer: keras.Layer, arguments: Arguments, keep=None):
    """Context and weights by loops; `keep` is (batch, query_steps, key_steps)."""
    weights = [keras.ops.convert_to_numpy(weight) for weight in layer.weights]
    query, value, key = arguments
    return loops.attend(lambda q, k: case.score(q, k, *weights), query, key, value, keep)


def masks() -> tuple[np.ndarray, np.ndarray]:
    """Of keys, one sequence of which has none; and of scores, where rows have none."""
    of_keys = np.ones((BATCH, S), dtype=bool)
    of_keys[0, -2:] = of_keys[1, :3] = False
    of_keys[2] = False
    of_scores = np.random.default_rng(9).random((BATCH, T, S)) < 0.4
    of_scores[0, 1] = False
    of_scores[1, 2] = True
    return of_keys, of_scores
