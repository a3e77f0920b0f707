"""The plain layers, in the settings in which they could differ."""

import numpy as np

from tests.parity.differentiate import BACKEND
from tests.parity.harness import RELATIVE, Pair, normal, ragged_mask

# Off TensorFlow, Keras's promotion makes float32 of float64 in some operations (tanh on JAX, stack
# and layer normalization on both): too coarse for central differences, or for 1e-12.
WIDE = BACKEND == "tensorflow"
FLOAT32 = RELATIVE if WIDE else {**RELATIVE, "float64": 2e-6}

BATCH, STEPS, FEATURES = 3, 6, 4
x = normal(BATCH, STEPS, FEATURES)


def ids(rng):
    """Ids of a vocabulary of 7, in which 0 is padding and repetitions occur."""
    return (rng.integers(0, 7, size=(BATCH, STEPS)),)


def float_ids(rng):
    return (rng.integers(0, 7, size=(BATCH, STEPS)).astype("float32") + 0.25,)


def with_skipped_steps(rng):
    """Whole steps of zeros, and single zeros that must not be taken for them."""
    sequence = rng.standard_normal((BATCH, STEPS, FEATURES))
    sequence[~ragged_mask(BATCH, STEPS)] = 0.0
    sequence[0, 0, 1] = 0.0
    return (sequence,)


def trained(rng):
    return {"training": True}


def masked(rng):
    return {"mask": ragged_mask(BATCH, STEPS)}


def regularized(layers):
    return layers.Dense(
        5,
        activation="tanh",
        kernel_regularizer="l2",
        bias_regularizer="l1",
        activity_regularizer="l2",
        kernel_constraint="non_neg",
        bias_constraint="max_norm",
        kernel_initializer="orthogonal",
        bias_initializer="random_normal",
    )


def outer(layers, layer):
    """Names of one's own, since a weight's path holds those of a wrapper and of what it wraps."""
    return layers.TimeDistributed(layer, name="outer")


DENSE = [
    Pair("dense", lambda layers: layers.Dense(5), x),
    Pair("dense-matrix", lambda layers: layers.Dense(5, activation="softmax"), normal(7, FEATURES)),
    Pair(
        "dense-rank-4",
        lambda layers: layers.Dense(5, activation="relu", use_bias=False),
        normal(2, 3, 5, FEATURES),
        smooth=False,
    ),
    Pair("dense-regularized", regularized, x, smooth=WIDE),
]

DROPOUT = [
    Pair("dropout", lambda layers: layers.Dropout(0.4, seed=3), x, trained, smooth=False),
    Pair(
        "dropout-all",
        lambda layers: layers.Dropout(1.0, seed=3),
        x,
        trained,
        smooth=False,
        backends=("tensorflow", "jax"),  # on Torch its zeros have no gradient at all
    ),
    Pair(
        "dropout-shared-over-steps",
        lambda layers: layers.Dropout(0.4, noise_shape=(None, 1, FEATURES), seed=3),
        x,
        trained,
        smooth=False,
    ),
]


def layer_norm(name, inputs=x, backends=("tensorflow", "jax", "torch"), **config):
    """The built-in's variance on TensorFlow takes the mean for a constant, which bends its second
    derivatives; ours are compared with central differences in tests/normalization/ instead.
    """
    return Pair(
        f"layer-norm{name}",
        lambda layers: layers.LayerNormalization(**config),
        inputs,
        tolerance=FLOAT32,
        second_order=False,
        backends=backends,
    )


NORMALIZATION = [
    layer_norm(""),
    layer_norm("-bare-matrix", normal(7, 16), center=False, scale=False, epsilon=1e-6),
    layer_norm(
        "-no-scale-middle-axis",
        axis=1,
        scale=False,
        beta_constraint="non_neg",
        backends=("tensorflow", "jax"),  # Torch's kernel, which the built-in calls, wants the last
    ),
    layer_norm("-two-axes", axis=[1, 2], gamma_regularizer="l2"),
    layer_norm("-mixed-axes", normal(2, 3, 5, FEATURES), axis=(-1, 1)),
    layer_norm("-rms-scaling", rms_scaling=True),
]

EMBEDDING = [
    Pair("embedding", lambda layers: layers.Embedding(7, 5, mask_zero=True), ids),
    Pair("embedding-float-ids", lambda layers: layers.Embedding(7, 5), float_ids, smooth=False),
    Pair(
        "embedding-regularized",
        lambda layers: layers.Embedding(
            7,
            2,
            embeddings_initializer="normal",
            embeddings_regularizer="l2",
            embeddings_constraint="unit_norm",
            activity_regularizer="l1",
            weights=[np.arange(14.0).reshape(7, 2)],
        ),
        ids,
    ),
]

MASKING = [
    Pair("masking", lambda layers: layers.Masking(), with_skipped_steps, smooth=False),
    Pair("masking-value", lambda layers: layers.Masking(mask_value=-1.5), normal(7, FEATURES)),
]

TIME_DISTRIBUTED = [
    Pair(
        "time-distributed",
        lambda layers: outer(layers, layers.Dense(5, name="inner")),
        x,
        masked,
        smooth=WIDE,
    ),
    Pair(
        "time-distributed-dropout",
        lambda layers: outer(layers, layers.Dropout(0.4, seed=3, name="inner")),
        x,
        trained,
        smooth=False,
    ),
    Pair(
        "time-distributed-norm",
        lambda layers: outer(layers, layers.LayerNormalization(name="inner")),
        normal(BATCH, STEPS, 3, FEATURES),
        tolerance=FLOAT32,
        smooth=WIDE,
        second_order=False,
    ),
    Pair(
        "time-distributed-twice",
        lambda layers: outer(
            layers, layers.TimeDistributed(layers.Dense(5, name="inner"), name="middle")
        ),
        normal(BATCH, STEPS, 2, FEATURES),
        smooth=WIDE,
    ),
]

PAIRS = DENSE + DROPOUT + NORMALIZATION + EMBEDDING + MASKING + TIME_DISTRIBUTED
