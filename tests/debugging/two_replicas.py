"""Two replicas on two logical devices against one: run by test_inspected_training.py."""

import pathlib
import sys
import tempfile

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(pathlib.Path(__file__).parents[2]))
CPU = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(CPU, [tf.config.LogicalDeviceConfiguration()] * 2)

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402

import custom_layers  # noqa: E402
from custom_layers.debugging import GradientInspector, InspectedTraining  # noqa: E402

rng = np.random.default_rng(0)
x = rng.standard_normal((24, 6, 4)).astype("float32")
x[::3, 4:] = 0  # sequences of 6 steps and of 4
y = rng.standard_normal((24, 1)).astype("float32")
weights = rng.uniform(0.5, 2, 24).astype("float32")
PROBE = (x[:8], y[:8])
TWO = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])  # a second one in a process is at odds
ONE = tf.distribute.OneDeviceStrategy("CPU:0")


class Sequential(InspectedTraining, keras.Sequential):
    pass


def train(strategy, kind, inspect=True, probe=None, dropout=0.0, **options):
    """History, variables, and what was written: value by step by tag."""
    keras.utils.set_random_seed(5)
    with strategy.scope():
        clipped = {"clipnorm": 0.1} if dropout else {}
        normalised = [keras.layers.BatchNormalization(name="norm")] if dropout else []
        model = kind(
            [
                keras.Input((None, 4)),
                keras.layers.Masking(name="masking"),
                custom_layers.LSTM(3, dropout=dropout, seed=2, name="lstm"),
                *normalised,
                custom_layers.Dense(1, kernel_regularizer="l2", name="dense"),
            ],
            name="model",
        )
        model.compile(keras.optimizers.Adam(0.05, **clipped), "mse", metrics=["mae"], **options)
    folder = tempfile.mkdtemp()
    history = model.fit(
        *(x, y),
        sample_weight=weights,
        batch_size=8,
        epochs=2,
        shuffle=False,
        verbose=0,
        callbacks=[GradientInspector(folder, probe, every=2)] if inspect else [],
    ).history
    found = EventAccumulator(folder, size_guidance={"tensors": 0})
    found.Reload()
    tags = found.Tags()["tensors"]
    written = {
        tag: {e.step: tf.make_ndarray(e.tensor_proto) for e in found.Tensors(tag)} for tag in tags
    }
    return history, [v.numpy() for v in model.variables], written


def assert_equal(one, other):
    assert one[0] == other[0], (one[0], other[0])
    for mine, theirs in zip(one[1], other[1], strict=True):
        np.testing.assert_array_equal(mine, theirs)


def assert_same_measures(one, two):
    assert set(two) - set(one) <= {"all_weights/noise_scale"}, set(two) ^ set(one)
    for tag, by_step in one.items():
        assert set(by_step) == set(two[tag]), tag
        if tag == "all_weights/noise_scale":
            continue  # of another pair of batches
        for step, value in by_step.items():
            got = two[tag][step]
            if value.dtype == object:  # a text, a layout, a picture
                continue
            counts = tag.endswith("/gradient") and value.ndim  # an entry may change its bucket
            tolerance = {"atol": 1} if counts else {"rtol": 1e-3, "atol": 1e-5}
            np.testing.assert_allclose(got, value, err_msg=f"{tag} at {step}", **tolerance)


def refused(**options):
    try:
        train(TWO, Sequential, **options)
    except ValueError as error:
        return str(error)
    return "not refused"


plain = train(TWO, keras.Sequential, inspect=False)
inspected = train(TWO, Sequential)
assert_equal(plain, inspected)
assert_same_measures(train(ONE, Sequential)[2], inspected[2])
assert set(inspected[2]["loss/batch"]) == {2, 4, 6}
assert set(inspected[2]["all_weights/noise_scale"]) == {2}

probed = train(TWO, keras.Sequential, probe=PROBE)
assert_equal(plain, probed)
assert_same_measures(train(ONE, keras.Sequential, probe=PROBE)[2], probed[2])

noisy = train(TWO, keras.Sequential, inspect=False, dropout=0.3)
inspected = train(TWO, Sequential, dropout=0.3)
assert_equal(noisy, inspected)
assert "all_weights/gradient_norm_clipped" not in inspected[2]
assert_equal(noisy, train(TWO, keras.Sequential, dropout=0.3, probe=PROBE))

line = refused(jit_compile=True)
assert "must be of one replica. Received: MirroredStrategy, jit_compile=True. Or look" in line, line
print("all equal")
