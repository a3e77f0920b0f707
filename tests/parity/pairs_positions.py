"""Layers that tell positions, and the tables of token ids beside them.

Peers are KerasHub's, but for ReversibleEmbedding. Positions given by hand are out of order and repeat,
so that they cannot be taken for the steps' numbers.
"""

import keras
import numpy as np

from tests.parity.differentiate import BACKEND
from tests.parity.harness import RELATIVE, Pair, normal

HUB = "keras_hub.layers"
BATCH, STEPS, FEATURES, VOCABULARY = 3, 6, 8, 7
x = normal(BATCH, STEPS, FEATURES)
heads_apart = normal(BATCH, STEPS, 2, FEATURES)
heads_first = normal(BATCH, 2, STEPS, FEATURES)

# Off TensorFlow, parts of float64 are computed in float32, in KerasHub's layers as in ours.
WIDE = BACKEND == "tensorflow"
FLOAT32 = RELATIVE if WIDE else {**RELATIVE, "float64": 2e-6}


def ids(rng):
    """Ids of a vocabulary of 7, in which 0 is padding and repetitions occur."""
    return (rng.integers(0, VOCABULARY, size=(BATCH, STEPS)),)


def float_ids(rng):
    return (rng.integers(0, VOCABULARY, size=(BATCH, STEPS)).astype("float32") + 0.25,)


def late(rng):
    return {"start_index": 3}


def late_in_a_tensor(rng):
    """Of the integers that go with the float type: KerasHub's sines add them to a range of steps."""
    return {"start_index": np.array(2, "int64" if keras.config.floatx() == "float64" else "int32")}


def one_row(rng):
    return {"positions": np.array([4, 0, 7, 2, 2, 9])}


def a_row_each(rng):
    return {"positions": rng.integers(0, 10, size=(BATCH, STEPS))}


def both_given(rng):
    """`start_index` is not used beside positions."""
    return {"start_index": 4, **one_row(rng)}


def reverse(rng):
    return {"reverse": True}


CALLS = {
    "": None,
    "-start": late,
    "-start-tensor": late_in_a_tensor,
    "-positions": one_row,
    "-positions-of-batch": a_row_each,
    "-positions-and-start": both_given,
}


def positioned(name, make, call, inputs=x, **options):
    if CALLS[call] is not None:
        options["keywords"] = CALLS[call]
    options = {"tolerance": FLOAT32, **options}
    return Pair(f"{name}{call}", make, inputs, peers=HUB, **options)


SINE = [
    *(positioned("sine", lambda layers: layers.SinePositionEncoding(), call) for call in CALLS),
    positioned(
        "sine-short-waves-odd-width",
        lambda layers: layers.SinePositionEncoding(max_wavelength=50),
        "-start",
        normal(BATCH, STEPS, 5),
    ),
    positioned("sine-rank-4", lambda layers: layers.SinePositionEncoding(), "", heads_first),
]

TABLE = [
    *(positioned("position", lambda layers: layers.PositionEmbedding(10), call) for call in CALLS),
    positioned(
        "position-no-row-to-spare",
        lambda layers: layers.PositionEmbedding(STEPS, initializer="he_normal"),
        "",
    ),
    positioned(
        "position-rank-4", lambda layers: layers.PositionEmbedding(10), "-start", heads_first
    ),
    positioned(
        "position-rank-2",
        lambda layers: layers.PositionEmbedding(10),
        "-start",
        normal(STEPS, FEATURES),
    ),
]


# Angles are float32 whatever the dtype; speeds scaled in another order differ by its rounding.
SCALED = {**RELATIVE, "float64": 1e-6}


def rotary(name, call="-start", inputs=x, **config):
    plain = config.get("rope_type", "linear") == "linear"
    return positioned(
        f"rotary{name}",
        lambda layers: layers.RotaryEmbedding(**config),
        call,
        inputs,
        tolerance=FLOAT32 if plain else SCALED,
    )


YARN = {"rope_type": "yarn", "scaling_factor": 4.0, "original_max_position_embeddings": 64}
wide = normal(BATCH, STEPS, 32)

ROTARY = [
    *(rotary("", call) for call in CALLS),
    rotary("-heads", "-positions-of-batch", heads_apart),
    rotary("-heads-first", "-positions-of-batch", heads_first, sequence_axis=2),
    rotary("-axes", "", heads_first, sequence_axis=-1, feature_axis=2),
    rotary("-wavelength", max_wavelength=100, denominator_dim=12),
    rotary("-linear", scaling_factor=4.0, rope_type="linear"),
    rotary("-dynamic", scaling_factor=4.0, rope_type="dynamic"),
    rotary(
        "-dynamic-one-pair", inputs=normal(BATCH, STEPS, 2), scaling_factor=4.0, rope_type="dynamic"
    ),
    rotary("-yarn", inputs=wide, beta_fast=8.0, **YARN),
    rotary("-yarn-not-truncated", inputs=wide, beta_fast=8.0, truncate=False, **YARN),
    rotary("-yarn-default", inputs=wide, rope_type="yarn", scaling_factor=2.0),
    rotary("-yarn-range-beyond-both-ends", inputs=x, beta_fast=300.0, beta_slow=0.001, **YARN),
    rotary("-yarn-empty-range", inputs=x, beta_fast=1.0, beta_slow=1.0, truncate=False, **YARN),
]


def alibi(name, heads, **config):
    return Pair(
        f"alibi{name}",
        lambda layers: layers.AlibiBias(**config),
        normal(BATCH, heads, 5, STEPS),
        peers=HUB,
    )


ALIBI = [
    alibi("", 4),
    alibi("-one-head", 1),
    alibi("-six-heads", 6),
    alibi("-seven-heads", 7, alibi_bias_max=5),
    alibi("-sixteen-heads", 16, alibi_bias_max=16),
]


def reversible(name, keywords=None, inputs=ids, backends=("tensorflow", "jax", "torch"), **config):
    options = {} if keywords is None else {"keywords": keywords}
    return Pair(
        f"reversible{name}",
        lambda layers: layers.ReversibleEmbedding(VOCABULARY, FEATURES, **config),
        inputs,
        tolerance=FLOAT32,
        smooth=inputs is not float_ids
        and "reverse_dtype" not in config
        and (WIDE or "logit_soft_cap" not in config),
        backends=backends,
        **options,
    )


REVERSIBLE = [
    reversible(""),
    reversible("-mask", mask_zero=True),
    reversible("-float-ids", inputs=float_ids),
    reversible("-reverse", reverse, x),
    reversible("-reverse-mask", reverse, x, mask_zero=True),
    reversible("-untied", tie_weights=False),
    reversible("-untied-reverse", reverse, x, tie_weights=False),
    reversible("-reverse-cap", reverse, x, logit_soft_cap=1.5),
    reversible("-reverse-cap-matrix", reverse, normal(BATCH, FEATURES), logit_soft_cap=4),
    reversible("-untied-reverse-cap", reverse, x, tie_weights=False, logit_soft_cap=0.5),
    reversible("-reverse-float32", reverse, x, reverse_dtype="float32"),
    reversible(
        "-regularized",
        reverse,
        x,
        tie_weights=False,
        embeddings_initializer="he_normal",
        embeddings_regularizer="l2",
        embeddings_constraint="unit_norm",
        activity_regularizer="l1",
    ),
]


def summed(name, call="", inputs=ids, **config):
    return positioned(
        f"token-and-position{name}",
        lambda layers: layers.TokenAndPositionEmbedding(VOCABULARY, 10, FEATURES, **config),
        call,
        inputs,
    )


TOKEN_AND_POSITION = [
    *(summed("", call) for call in CALLS),
    summed("-mask", mask_zero=True),
    summed("-untied", tie_weights=False, embeddings_initializer="he_normal"),
    summed("-seeded", embeddings_initializer={"class_name": "RandomNormal", "config": {"seed": 4}}),
]

PAIRS = SINE + TABLE + ROTARY + ALIBI + REVERSIBLE + TOKEN_AND_POSITION
