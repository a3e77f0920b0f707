"""Normalization by root mean square, by batch and by group, in the settings that could differ."""

import numpy as np

from tests.parity.differentiate import BACKEND
from tests.parity.harness import RELATIVE, Pair, normal, ragged_mask

# Off TensorFlow, Keras's promotion makes float32 of float64 in some operations.
FLOAT32 = RELATIVE if BACKEND == "tensorflow" else {**RELATIVE, "float64": 2e-6}

BATCH, STEPS, FEATURES = 3, 6, 4
x = normal(BATCH, STEPS, FEATURES)
images = normal(BATCH, 5, 3, 6)


def off_centre(rng):
    """Channels of means and deviations of their own, so that no moment can be left out."""
    scale, shift = np.array([0.5, 1.0, 2.0, 3.0]), np.array([-2.0, 0.0, 1.0, 4.0])
    return (rng.standard_normal((BATCH, STEPS, FEATURES)) * scale + shift,)


def trained(rng):
    return {"training": True}


def masked(rng):
    return {"mask": ragged_mask(BATCH, STEPS), "training": True}


def masked_in_inference(rng):
    return {"mask": ragged_mask(BATCH, STEPS), "training": False}


def broadcast_mask(rng):
    """Of rank 3 for inputs of rank 4, the same at all positions of the last axis but the channels."""
    return {"mask": ragged_mask(BATCH, 5)[..., None].astype("float32"), "training": True}


def rms(name, inputs=off_centre, **config):
    return Pair(
        f"rms-norm{name}",
        lambda layers: layers.RMSNormalization(**config),
        inputs,
        tolerance=FLOAT32,
    )


RMS = [
    rms(""),
    rms("-large-epsilon-matrix", normal(7, 16), epsilon=0.5),
    rms("-two-axes", axis=[1, 2]),
    rms("-unsorted-axes", images, axis=(-1, -2)),
]


def batch_norm(name, keywords, inputs=off_centre, second_order=False, smooth=True, **config):
    """The built-in's variance on TensorFlow takes the mean for a constant, unless there is a mask,
    which bends its second derivatives; ours are compared with central differences instead.
    """
    return Pair(
        f"batch-norm{name}",
        lambda layers: layers.BatchNormalization(**config),
        inputs,
        keywords,
        tolerance=FLOAT32,
        smooth=smooth,
        second_order=second_order,
    )


CLIPPING = {"rmax": 1.1, "rmin": 0.7, "dmax": 0.3}

BATCH_NORM = [
    batch_norm("", trained),
    batch_norm("-inference", lambda rng: {"training": False}, second_order=True),
    batch_norm("-default-is-inference", lambda rng: {}, second_order=True),
    batch_norm("-bare-matrix", trained, normal(7, 5), center=False, scale=False, epsilon=1e-6),
    batch_norm("-channels-first", trained, images, axis=1, scale=False, momentum=0.3),
    batch_norm("-channels-first-inference", lambda rng: {}, images, axis=1, second_order=True),
    batch_norm("-middle-axis", trained, images, axis=-2, center=False, beta_constraint="non_neg"),
    batch_norm("-mask", masked, second_order=True, gamma_regularizer="l2", beta_regularizer="l1"),
    batch_norm("-mask-inference", masked_in_inference, second_order=True),
    batch_norm("-mask-broadcast", broadcast_mask, images, second_order=True),
    batch_norm("-mask-middle-axis", masked, axis=1, second_order=True),
    batch_norm("-frozen", trained, trainable=False, second_order=True),
    batch_norm("-renorm", trained, smooth=False, renorm=True, renorm_momentum=0.4),
    batch_norm(
        "-renorm-clipped",
        trained,
        images,
        smooth=False,
        renorm=True,
        axis=1,
        renorm_clipping=CLIPPING,
    ),
    batch_norm(
        "-renorm-mask",
        masked,
        smooth=False,
        second_order=True,
        renorm=True,
        scale=False,
        renorm_clipping={"dmax": 0.5},
        moving_mean_initializer="random_normal",
        moving_variance_initializer="random_uniform",
    ),
    batch_norm("-renorm-inference", lambda rng: {}, renorm=True, second_order=True),
]
if BACKEND == "tensorflow":  # the built-in refuses it elsewhere, as ours does
    BATCH_NORM.append(batch_norm("-synchronized", trained, synchronized=True))


def group_norm(name, inputs=images, **config):
    return Pair(
        f"group-norm{name}",
        lambda layers: layers.GroupNormalization(**config),
        inputs,
        tolerance=FLOAT32,
        second_order=False,  # as with batch normalization
    )


GROUP_NORM = [
    group_norm("", groups=3),
    group_norm("-one-group", groups=1, gamma_regularizer="l2", beta_constraint="non_neg"),
    group_norm("-instance", groups=-1, epsilon=1e-6),
    group_norm("-matrix", normal(7, 6), groups=2, center=False),
    group_norm("-channels-first", normal(BATCH, 6, 4, 5), groups=2, axis=1, scale=False),
    group_norm("-middle-axis", normal(BATCH, 4, 6, 3), groups=2, axis=-2),
    group_norm("-sequence", off_centre, groups=2),
]

PAIRS = RMS + BATCH_NORM + GROUP_NORM
