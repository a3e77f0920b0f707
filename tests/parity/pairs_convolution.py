"""Convolution and pooling, in the settings in which they could differ."""

from tests.parity.differentiate import BACKEND
from tests.parity.harness import RELATIVE, Pair, normal, nothing, ragged_mask

# Off TensorFlow, Keras's promotion makes float32 of float64 in some operations.
FLOAT32 = RELATIVE if BACKEND == "tensorflow" else {**RELATIVE, "float64": 2e-6}

ALL = ("tensorflow", "jax", "torch")

BATCH, STEPS, CHANNELS = 3, 9, 4
sequence = normal(BATCH, STEPS, CHANNELS)
picture = normal(2, 7, 6, CHANNELS)
film = normal(2, 5, 6, 7, 2)


def masked(rng):
    return {"mask": ragged_mask(BATCH, STEPS)}


def pair(name, kind, inputs, keywords=nothing, smooth=True, backends=ALL, **config):
    return Pair(
        name,
        lambda layers: getattr(layers, kind)(**config),
        inputs,
        keywords,
        tolerance=FLOAT32,
        smooth=smooth,
        backends=backends,
    )


CONVOLUTION = [
    pair("conv-1d", "Conv1D", sequence, filters=5, kernel_size=3, activation="tanh"),
    pair(
        "conv-1d-same-strided",
        "Conv1D",
        sequence,
        filters=5,
        kernel_size=4,
        strides=3,
        padding="SAME",
        use_bias=False,
    ),
    pair(
        "conv-1d-causal-dilated",
        "Conv1D",
        sequence,
        filters=5,
        kernel_size=[3],
        padding="causal",
        dilation_rate=2,
    ),
    pair(
        "conv-1d-channels-first-causal",
        "Conv1D",
        normal(BATCH, CHANNELS, STEPS),
        filters=5,
        kernel_size=2,
        padding="causal",
        data_format="channels_first",
        strides=2,
        backends=("jax", "torch"),  # TensorFlow on a CPU has no such convolution of float64
    ),
    pair(
        "conv-1d-groups",
        "Conv1D",
        sequence,
        filters=6,
        kernel_size=3,
        padding="same",
        groups=2,
    ),
    pair(
        "conv-2d-regularized",
        "Conv2D",
        picture,
        filters=3,
        kernel_size=(3, 2),
        strides=(2, 1),
        activation="sigmoid",
        kernel_regularizer="l2",
        bias_regularizer="l1",
        activity_regularizer="l2",
        kernel_constraint="non_neg",
        bias_constraint="max_norm",
        kernel_initializer="orthogonal",
        bias_initializer="random_normal",
    ),
    pair(
        "conv-2d-same-dilated",
        "Conv2D",
        picture,
        filters=5,
        kernel_size=(2, 3),
        padding="same",
        dilation_rate=(3, 2),
        activation="relu",
        smooth=False,
    ),
    pair(
        "conv-2d-channels-first-groups",
        "Conv2D",
        normal(2, 6, 5, 7),
        filters=9,
        kernel_size=2,
        strides=(1, 2),
        groups=3,
        data_format="channels_first",
    ),
    pair(
        "conv-3d-same-strided", "Conv3D", film, filters=3, kernel_size=2, strides=2, padding="same"
    ),
    pair("conv-3d-uneven", "Conv3D", film, filters=3, kernel_size=(1, 2, 3), strides=(1, 2, 1)),
]

# TensorFlow pools three axes in float32 alone on a CPU: compared in tests/convolution/.
NO_FLOAT64 = ("jax", "torch")

POOLING = [
    pair("max-pool-1d", "MaxPooling1D", sequence),
    pair("max-pool-1d-same", "MaxPool1D", sequence, pool_size=3, strides=2, padding="same"),
    pair("max-pool-2d-overlapping", "MaxPooling2D", picture, pool_size=(3, 2), strides=1),
    pair(
        "max-pool-2d-channels-first",
        "MaxPooling2D",
        picture,
        padding="same",
        data_format="channels_first",
    ),
    pair("max-pool-3d", "MaxPooling3D", film, strides=(1, 2, 3), backends=NO_FLOAT64),
    pair("average-pool-1d-same", "AveragePooling1D", sequence, pool_size=4, padding="same"),
    pair("average-pool-2d", "AveragePooling2D", picture, pool_size=(2, 3), strides=(1, 2)),
    pair(
        "average-pool-2d-channels-first",
        "AveragePooling2D",
        picture,
        pool_size=2,
        strides=1,
        padding="same",
        data_format="channels_first",
    ),
    pair(
        "average-pool-3d-same",
        "AveragePooling3D",
        film,
        pool_size=2,
        padding="same",
        backends=NO_FLOAT64,
    ),
]

GLOBAL_POOLING = [
    pair("global-average-1d", "GlobalAveragePooling1D", sequence),
    pair("global-average-1d-mask", "GlobalAveragePooling1D", sequence, masked),
    pair(
        "global-average-1d-mask-channels-first",
        "GlobalAvgPool1D",
        normal(BATCH, CHANNELS, STEPS),
        masked,
        data_format="channels_first",
        keepdims=True,
    ),
    pair("global-average-2d", "GlobalAveragePooling2D", picture, keepdims=True),
    pair("global-average-3d", "GlobalAveragePooling3D", film, data_format="channels_first"),
    pair("global-max-1d", "GlobalMaxPooling1D", sequence),
    pair("global-max-2d", "GlobalMaxPooling2D", picture, data_format="channels_first"),
    pair("global-max-3d", "GlobalMaxPooling3D", film, keepdims=True),
]

PAIRS = CONVOLUTION + POOLING + GLOBAL_POOLING
