"""Moving averages step by step beside Keras's, the equations in NumPy, masks, and what is refused."""

import json
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from custom_layers.normalization.batch_normalization import BatchNormalization, batch_moments
from custom_layers.normalization.batch_renormalization import renormalization
from tests.parity.harness import POSITIVE, precision, ragged_mask

BACKEND = keras.backend.backend()
REPOSITORY = pathlib.Path(__file__).parents[2]
SHAPE = BATCH, STEPS, CHANNELS = 4, 6, 3
SETTINGS = {
    "plain": ({}, False),
    "mask": ({}, True),
    "momentum": ({"momentum": 0.6, "epsilon": 0.1}, True),
    "channels-first": ({"axis": 1, "momentum": 0.8, "scale": False}, False),
    "renorm": ({"renorm": True, "momentum": 0.7, "renorm_momentum": 0.9}, False),
    "renorm-mask": ({"renorm": True, "renorm_clipping": {"rmax": 1.2, "dmax": 0.3}}, True),
}


def batches(seed=0, count=5):
    """Batches whose moments drift, with masks."""
    rng = np.random.default_rng(seed)
    for step in range(count):
        x = (1 + step) * rng.standard_normal(SHAPE) + rng.standard_normal(CHANNELS)
        yield x.astype("float32"), ragged_mask(BATCH, STEPS)


def values(layer):
    return {
        weight.name: ops.convert_to_numpy(ops.cast(weight, "float32")) for weight in layer.weights
    }


def same_start(config):
    """Ours and Keras's, from the same weights, none of which is the initializer's."""
    layers = [module.BatchNormalization(**config) for module in (custom_layers, keras.layers)]
    for layer in layers:
        rng = np.random.default_rng(3)
        layer.build(SHAPE)
        for weight in layer.weights:
            value = rng.standard_normal(weight.shape)
            weight.assign(0.5 + np.abs(value) if weight.name in POSITIVE else value)
    return layers


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16", "float16"])
@pytest.mark.parametrize("setting", SETTINGS)
def test_moving_averages_are_keras_s_after_every_step(setting, policy):
    config, with_mask = SETTINGS[setting]
    tolerance = 1e-5 if policy != "float16" else 5e-3
    with precision(policy):
        own, builtin = same_start(config)
        before = values(own)
        for x, mask in batches():
            keywords = {"mask": ops.convert_to_tensor(mask)} if with_mask else {}
            for layer in (own, builtin):
                layer(x, training=True, **keywords)
            wanted = values(builtin)
            for name, value in values(own).items():
                np.testing.assert_allclose(
                    value, wanted[name], rtol=tolerance, atol=tolerance, err_msg=name
                )
        moved = {name for name, value in values(own).items() if np.any(value != before[name])}
        assert moved == {weight.name for weight in own.non_trainable_variables}
        inference = [ops.convert_to_numpy(ops.cast(y(x), "float32")) for y in (own, builtin)]
        np.testing.assert_allclose(*inference, atol=1e-5 if policy == "float32" else 0.1)


@pytest.mark.parametrize("config", [{}, {"renorm": True}], ids=str)
def test_fit_moves_and_trains_both_alike(config):
    """Masking hands its mask on; the update is part of the training graph."""
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((16, STEPS, CHANNELS)), rng.standard_normal((16, STEPS, 2))
    x[:, 4:] = 0.0
    weights = []
    for layers in (custom_layers, keras.layers):
        keras.utils.set_random_seed(2)
        model = keras.Sequential(
            [
                keras.Input((None, CHANNELS)),
                layers.Masking(),
                layers.BatchNormalization(momentum=0.7, **config),
                layers.Dense(2),
            ]
        )
        model.compile(keras.optimizers.SGD(0.05), "mse")
        model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
        weights.append([*model.get_weights(), model.predict(x, verbose=0)])
    for mine, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-5)
    assert np.abs(weights[0][2]).max() > 0.01  # the moving mean has moved


@pytest.mark.parametrize("masked", [False, True])
def test_equations_by_hand(masked):
    x, mask = next(batches(seed=1))
    x = x.astype("float64")
    kept = x[mask] if masked else x.reshape(-1, CHANNELS)
    count = len(kept) + (keras.config.epsilon() if masked else 0)
    mean = kept.sum(0) / count  # (1)
    variance = np.square(kept - mean).sum(0) / count  # (2)
    layer = BatchNormalization(momentum=0.9, epsilon=0.01)
    layer.build(SHAPE)
    layer.gamma.assign([2.0, -1.0, 0.5])
    layer.beta.assign([1.0, 0.0, -3.0])
    keywords = {"mask": ops.convert_to_tensor(mask)} if masked else {}
    y = layer(x.astype("float32"), training=True, **keywords)
    wanted = [2.0, -1.0, 0.5] * (x - mean) / np.sqrt(variance + 0.01) + [1.0, 0.0, -3.0]
    np.testing.assert_allclose(ops.convert_to_numpy(y), wanted, atol=1e-5)  # (3), (4)
    got = values(layer)
    np.testing.assert_allclose(got["moving_mean"], 0.1 * mean, atol=1e-6)  # (5)
    np.testing.assert_allclose(got["moving_variance"], 0.9 + 0.1 * variance, atol=1e-6)  # (6)


def test_what_a_mask_hides_changes_no_moment_and_is_normalized_itself():
    x, mask = next(batches())
    other = np.where(mask[..., None], x, 1e4).astype("float32")
    for axis in (-1, 1):
        first, second = (
            batch_moments(ops.convert_to_tensor(a), axis, ops.convert_to_tensor(mask))
            for a in (x, other)
        )
        for a, b in zip(first, second, strict=True):
            np.testing.assert_allclose(ops.convert_to_numpy(a), ops.convert_to_numpy(b), rtol=1e-6)
    y = BatchNormalization()(other, training=True, mask=ops.convert_to_tensor(mask))
    assert np.abs(ops.convert_to_numpy(y)[~mask]).min() > 100


def test_renormalization_without_bounds_normalizes_by_the_moving_averages():
    """The reason for r and d: x_hat * r + d = (x - mu) / sigma."""
    rng = np.random.default_rng(0)
    x, mu, sigma = rng.standard_normal((9, 2)), np.array([0.3, -2.0]), np.array([0.5, 3.0])
    mean, deviation = x.mean(0), np.sqrt(x.var(0) + 1e-3)
    tensors = (ops.convert_to_tensor(a) for a in (mean, deviation, mu, sigma))
    r, d = (ops.convert_to_numpy(a) for a in renormalization(*tensors, 1e-3, {}))
    np.testing.assert_allclose((x - mean) / deviation * r + d, (x - mu) / sigma, atol=1e-6)
    floor = renormalization(
        *(ops.convert_to_tensor(a) for a in (mean, deviation, mu, 0 * sigma)), 0.04, {}
    )
    np.testing.assert_allclose(ops.convert_to_numpy(floor.r), deviation / 0.2, rtol=1e-5)


def test_a_frozen_layer_infers_and_keeps_its_averages():
    layer = BatchNormalization()
    x, _ = next(batches())
    layer(x, training=True)
    layer.trainable = False
    before, frozen = values(layer), layer(x, training=True)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(frozen), ops.convert_to_numpy(layer(x, training=False))
    )
    for name, value in values(layer).items():
        np.testing.assert_array_equal(value, before[name])
    layer.trainable = True
    layer(x, training=True)
    assert np.any(values(layer)["moving_mean"] != before["moving_mean"])


def test_nothing_kept_gives_finite_numbers_and_one_channel_works():
    x = np.ones((4, 5, 1), dtype="float32")
    layer = BatchNormalization()
    y = layer(x, training=True, mask=ops.zeros((4, 5), dtype="bool"))
    assert np.all(np.isfinite(ops.convert_to_numpy(y)))
    layer(x, training=True, mask=ops.ones((4, 5), dtype="bool"))
    assert values(layer)["moving_mean"].shape == (1,)


def test_integers_are_normalized_as_numbers():
    x = np.arange(12).reshape(4, 3)
    y = BatchNormalization()(x, training=True)
    wanted = keras.layers.BatchNormalization()(x, training=True)
    assert y.dtype == wanted.dtype
    np.testing.assert_allclose(ops.convert_to_numpy(y), ops.convert_to_numpy(wanted), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "mask"), [((4, 6, 3), (4, 5)), ((4, 6, 3), (6,)), ((4, 6, 3), (4, 6, 3))]
)
def test_a_mask_that_does_not_fit_is_named(shape, mask):
    layer = BatchNormalization()
    with pytest.raises(ValueError, match=r"batch_normalization: `mask` must have the axes of"):
        layer(np.zeros(shape, dtype="float32"), mask=ops.ones(mask), training=True)


def test_wrong_arguments_are_named():
    with pytest.raises(
        TypeError, match=r"batch_normalization: `axis` must be an integer.*\[1, 2\]"
    ):
        BatchNormalization(axis=[1, 2])
    with pytest.raises(ValueError, match=r"batch_normalization: Axis 3 is out of bounds"):
        BatchNormalization(axis=3).build((None, 2, 3))
    with pytest.raises(ValueError, match=r"batch_normalization: .*known sizes.*None"):
        BatchNormalization().build((2, None))
    with pytest.raises(ValueError, match=r"invalid keys in `renorm_clipping`.*'rmex'.*rmax, rmin"):
        BatchNormalization(renorm=True, renorm_clipping={"rmex": 1.0})
    with pytest.raises(ValueError, match=r"rmax should be at least rmin"):
        BatchNormalization(renorm=True, renorm_clipping={"rmax": 1.0, "rmin": 2.0})
    with pytest.raises(ValueError, match=r"dmax should be non-negative"):
        BatchNormalization(renorm=True, renorm_clipping={"dmax": -1.0})
    with pytest.raises(ValueError, match=r"`renorm_clipping` bounds what `renorm` corrects"):
        BatchNormalization(renorm_clipping={"dmax": 1.0})
    assert BatchNormalization(axis=np.int64(1)).get_config()["axis"] == 1


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow has it")
def test_synchronized_is_refused_where_there_are_no_replicas():
    with pytest.raises(ValueError, match=r"batch_normalization: `synchronized` needs the Tensor"):
        BatchNormalization(synchronized=True)


TWO_REPLICAS = """
import keras, numpy as np, tensorflow as tf
import custom_layers
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
x = np.arange(16.0, dtype="float32").reshape(8, 2) ** 2
for layers in (custom_layers, keras.layers):
    with strategy.scope():
        model = keras.Sequential(
            [keras.Input((2,)), layers.BatchNormalization(momentum=0.5, synchronized=True)]
        )
        model.compile("sgd", "mse")
    model.fit(x, x, batch_size=8, epochs=1, shuffle=False, verbose=0)
    print([float(value) for weight in model.get_weights() for value in np.ravel(weight)])
print([float(value) for value in (*x.mean(0), *x.var(0))])
"""


@pytest.mark.slow
@pytest.mark.skipif(BACKEND != "tensorflow", reason="TensorFlow's strategies")
def test_synchronized_replicas_share_their_moments():
    done = subprocess.run(
        [sys.executable, "-c", TWO_REPLICAS],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    own, builtin, moments = (np.array(json.loads(line)) for line in done.stdout.splitlines()[-3:])
    np.testing.assert_allclose(own, builtin, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(own[4:6], 0.5 * moments[:2], rtol=1e-4)
    np.testing.assert_allclose(own[6:8], 0.5 + 0.5 * moments[2:], rtol=1e-4)
