"""Scaling: the equations in NumPy, Keras's Normalization, the way back, files, and what is refused."""

import json

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from custom_layers import MinMaxScaling, StandardScaling
from custom_layers.normalization.moments import merged, moments_of
from tests.parity.harness import precision

BACKEND = keras.backend.backend()
LAYERS = (StandardScaling, MinMaxScaling)
each = pytest.mark.parametrize("kind", LAYERS, ids=lambda kind: kind.__name__)


def data(*shape, seed=0):
    """Features of means and deviations of their own, so that no statistic can be left out."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape) * np.arange(1.0, shape[-1] + 1) + 10 * np.arange(shape[-1]) - 3
    return x.astype("float32")


def adapted(kind, x, **settings):
    layer = kind(**settings)
    layer.adapt(x)
    return layer


def numbers(tensor):
    return ops.convert_to_numpy(tensor)


def rows_over(axis, rank):
    kept = {a % rank for a in ([] if axis is None else np.atleast_1d(axis))}
    return tuple(a for a in range(rank) if a not in kept)


@pytest.mark.parametrize("axis", [-1, None, 1, [1, 3], [-1, 1], (2, -1)], ids=str)
@each
def test_equals_numpy_along_any_axes(kind, axis):
    """Two axes of one size, 4, where numbers along the wrong one would go unnoticed by shape."""
    train, later = data(7, 4, 3, 4).astype("float64"), data(2, 4, 3, 4, seed=1)
    over, keep = rows_over(axis, 4), {"keepdims": True}
    mean, deviation = train.mean(over, **keep), train.std(over, **keep)  # (1), (2)
    least, largest = train.min(over, **keep), train.max(over, **keep)  # (3)
    if kind is StandardScaling:
        layer, wanted = kind(axis=axis), (later - mean) / deviation  # (4)
    else:
        layer = kind((-2.0, 3.0), axis=axis)
        wanted = -2 + 5 * (later - least) / (largest - least)  # (5)
    layer.adapt(train)
    y = layer(later)
    np.testing.assert_allclose(numbers(y), wanted, rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(numbers(layer.inverse(y)), later, rtol=1e-5, atol=1e-5)  # (7)
    assert int(numbers(layer.rows)) == train.size // mean.size


@pytest.mark.parametrize("axis", [-1, None, 1, (1, -1)], ids=str)
@pytest.mark.parametrize("invert", [False, True])
def test_agrees_with_keras_s_normalization(axis, invert):
    """Means of the size of the deviations: that of 27 is known to 2e-6 only, in float32."""
    train, later = (data(n, 3, 4, seed=n) - 10 * np.arange(4, dtype="float32") for n in (50, 5))
    own, builtin = StandardScaling(axis=axis), keras.layers.Normalization(axis=axis)
    if invert:
        own, builtin = StandardScaling(axis, True), keras.layers.Normalization(axis, invert=True)
    for layer in (own, builtin):
        layer.adapt(train)
    expected = numbers(builtin(later))
    np.testing.assert_allclose(numbers(own(later)), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="float64 needs no promotion there")
def test_float64_stays_float64():
    with precision("float64"):
        x = data(9, 3).astype("float64") + 1e7
        layer = adapted(StandardScaling, x)
        np.testing.assert_allclose(numbers(layer(x)), (x - x.mean(0)) / x.std(0), atol=1e-12)
        assert layer.mean.dtype == "float64"


@each
def test_numbers_are_those_of_the_training_part_alone(kind):
    train, test = data(30, 2), 100 + data(30, 2, seed=1)
    layer = adapted(kind, train)
    before = layer.get_weights()
    assert np.all(numbers(layer(test)).mean(0) > 5)
    for value, earlier in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, earlier)
    layer.adapt(test)  # in place of the first, not besides
    assert np.all(np.abs(numbers(layer(test)).mean(0)) < 1)
    assert int(numbers(layer.rows)) == 30


@each
def test_a_constant_feature_becomes_one_number_and_comes_back(kind):
    """0.1 and 1/3 in float32 have means that are not exactly themselves."""
    x = np.stack([np.full(1000, 0.1), np.full(1000, 1 / 3), np.arange(1000)], -1).astype("float32")
    layer = adapted(kind, x)
    y = numbers(layer(x))
    np.testing.assert_allclose(y[:, :2], 0, atol=1e-7)
    np.testing.assert_allclose(numbers(layer.inverse(y)), x, rtol=1e-6, atol=1e-4)
    moved = numbers(layer(x + 1))
    np.testing.assert_allclose(moved[:, :2], 1, atol=1e-6)  # Keras: ten million


@each
def test_the_inverse_undoes_either_direction(kind):
    x = data(20, 3)
    for invert in (False, True):
        layer = adapted(kind, x, invert=invert)
        back = layer.inverted()
        y = layer(x)
        np.testing.assert_allclose(numbers(back(y)), x, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(numbers(layer.inverse(y)), x, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(numbers(back.inverted()(x)), numbers(y), rtol=1e-5, atol=1e-5)
        assert (type(back), back.invert) == (kind, not invert)


def test_one_feature_is_put_back_in_any_shape():
    x = data(40, 3)
    layer = adapted(StandardScaling, x)
    back = layer.inverted(feature=1, name="degrees")
    y = data(5, 7, seed=2)  # (batch, horizon), no axis of features
    np.testing.assert_allclose(numbers(back(y)), x[:, 1].mean() + x[:, 1].std() * y, rtol=1e-5)
    assert back.name == "degrees"
    last = layer.inverted(feature=-1)
    np.testing.assert_allclose(numbers(last(y)), x[:, 2].mean() + x[:, 2].std() * y, rtol=1e-5)
    ranged = adapted(MinMaxScaling, x, feature_range=(-1, 1)).inverted(feature=0)
    ends = [x[:, 0].min(), x[:, 0].max()]
    np.testing.assert_allclose(numbers(ranged(np.array([-1.0, 1.0]))), ends, rtol=1e-6)


@each
def test_batches_tensors_and_lists_give_the_numbers_of_the_whole(kind):
    x = data(103, 2, 3)
    whole = adapted(kind, x).get_weights()
    others = [x.tolist(), ops.convert_to_tensor(x), (x[i : i + 25] for i in range(0, 103, 25))]
    others += [iter([(x[:60], "a label"), (x[60:], "another")])]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        others.append(tf.data.Dataset.from_tensor_slices((x, x)).batch(10))
    for other in others:
        for value, wanted in zip(adapted(kind, other).get_weights(), whole, strict=True):
            np.testing.assert_allclose(value, wanted, rtol=1e-6, atol=1e-6)


def test_merged_moments_are_those_of_all_rows():
    """Equation (4), with batches whose means lie far apart."""
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((7, 2)) + 1e6, 3 * rng.standard_normal((40, 2))
    together = merged(merged(None, moments_of(first)), moments_of(second))
    for mine, wanted in zip(together, moments_of(np.concatenate([first, second])), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-12)


@each
def test_padding_is_hidden_from_adapt_and_scaled_like_the_rest(kind):
    x = data(4, 6, 2)
    mask = np.ones((4, 6), dtype=bool)
    mask[0, 2:] = mask[2, 5:] = mask[3, :1] = False
    padded = np.where(mask[..., None], x, np.nan).astype("float32")
    layer = kind()
    layer.adapt(padded, mask=mask)
    wanted = adapted(kind, x[mask])
    for value, own in zip(layer.get_weights(), wanted.get_weights(), strict=True):
        np.testing.assert_allclose(value, own, rtol=1e-6)
    np.testing.assert_allclose(numbers(layer(x)), numbers(wanted(x)), rtol=1e-5)


@each
def test_a_mask_passes_through(kind):
    x = data(3, 6, 2)
    x[0, 4:] = x[2, :2] = 0.0
    scaling = adapted(kind, x)
    recurrent = custom_layers.GRU(4)
    model = keras.Sequential([keras.Input((6, 2)), custom_layers.Masking(), scaling, recurrent])
    mask = np.any(x != 0, axis=-1)
    expected = recurrent(scaling(x), mask=ops.convert_to_tensor(mask))
    np.testing.assert_allclose(numbers(model(x)), numbers(expected), atol=1e-6)
    assert np.abs(numbers(recurrent(scaling(x))) - numbers(expected)).max() > 1e-3


def forecaster(kind, train=None):
    """Degrees in, degrees out: half of what is between, so that there is something to learn."""
    half = keras.initializers.Constant(0.5)
    scaling = kind(axis=None, name="in")
    if train is not None:
        scaling.adapt(train)
        back = scaling.inverted(name="out")
    else:
        back = kind(axis=None, invert=True, name="out")
    layers = [keras.Input((5, 1)), scaling, custom_layers.Dense(1, kernel_initializer=half), back]
    model = keras.Sequential(layers)
    model.compile("adam", "mse")
    return model


@each
def test_files_and_weights_carry_the_numbers(kind, tmp_path):
    train = 50 + 20 * np.random.default_rng(0).standard_normal((40, 5, 1)).astype("float32")
    model = forecaster(kind, train)
    expected = numbers(model(train))
    assert 10 < expected.mean() < 60
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    at_once = loaded.predict(train, batch_size=40, verbose=0)  # compiled: rounded otherwise
    np.testing.assert_allclose(at_once, expected, rtol=1e-6)
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = forecaster(kind)
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(numbers(fresh(train)), expected)
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    np.testing.assert_array_equal(numbers(other(train)), expected)


@each
def test_training_moves_the_others_and_not_the_numbers(kind):
    train = 50 + 20 * np.random.default_rng(0).standard_normal((40, 5, 1)).astype("float32")
    model = forecaster(kind, train)
    scaling, back = model.get_layer("in"), model.get_layer("out")
    before = scaling.get_weights() + back.get_weights()
    kernel = model.trainable_variables[0].numpy()
    model.fit(train, train, epochs=1, verbose=0)
    for value, earlier in zip(scaling.get_weights() + back.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, earlier)
    assert np.any(model.trainable_variables[0].numpy() != kernel)
    assert not scaling.trainable_weights


@each
def test_a_later_adapt_reaches_what_is_compiled(kind):
    train = data(40, 5, 1)
    model = forecaster(kind, train)
    model.predict(train, verbose=0)
    model.get_layer("out").adapt(1000 + train)
    assert model.predict(train, verbose=0).mean() > 900


@each
def test_nothing_is_scaled_before_adapt(kind):
    x = data(8, 5, 1)
    model = forecaster(kind)  # to build is allowed
    owner = kind.owner
    with pytest.raises(ValueError, match=rf"{owner}: `adapt` comes before.*Call layer.adapt"):
        kind()(x)
    with pytest.raises(ValueError, match=rf"{owner}: `adapt` comes before"):
        kind().inverted()
    if BACKEND != "jax":  # which purges a model's weights before it compiles
        with pytest.raises(ValueError, match=rf"{owner}: `adapt` comes before"):
            model.fit(x, x, verbose=0)
        with pytest.raises(ValueError, match=rf"{owner}: `adapt` comes before"):
            model.predict(x, verbose=0)
    else:
        assert np.all(np.isnan(model.predict(x, verbose=0)))


@each
def test_configuration_comes_back(kind):
    settings = {"axis": [1, -1], "invert": True, "name": "s", "dtype": "float32"}
    if kind is MinMaxScaling:
        settings["feature_range"] = (-1, 4)
    config = kind(**settings).get_config()
    again = kind.from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config
    assert (again.axis, again.invert) == ([1, -1], True)
    assert kind(axis=np.int64(-1)).get_config()["axis"] == [-1]
    assert kind(axis=None).get_config()["axis"] is None


def test_half_precision_is_widened_before_the_subtraction():
    """60,000 and 60,010 are 60,000 and 60,000 in float16."""
    x = np.array([[60_000.0], [60_010.0]], dtype="float32")
    layer = adapted(StandardScaling, x, dtype="mixed_float16")
    y = layer(x)
    assert numbers(y).dtype == "float16"
    np.testing.assert_allclose(numbers(y), [[-1], [1]])
    assert layer.mean.dtype == "float32"
    back = numbers(layer.inverted(dtype="float32")(y))
    np.testing.assert_allclose(back, x)


def test_integers_are_scaled_as_numbers():
    x = np.array([[1], [2], [6]])
    np.testing.assert_allclose(numbers(adapted(MinMaxScaling, x)(x)), [[0], [0.2], [1]], rtol=1e-6)


def test_the_ends_of_a_range_are_met_and_what_lies_beyond_is_not_cut():
    x = np.array([[-3.0], [1.0], [5.0]], dtype="float32")
    layer = adapted(MinMaxScaling, x, feature_range=(-1, 1))
    np.testing.assert_array_equal(numbers(layer(x)), [[-1], [0], [1]])
    np.testing.assert_allclose(numbers(layer(np.array([[9.0]], "float32"))), [[2]])


def test_what_does_not_fit_is_named():
    layer = adapted(StandardScaling, data(9, 3))
    with pytest.raises(ValueError, match=r"standard_scaling: `inputs` must have.*\(3,\).*\(2, 4\)"):
        layer(data(2, 4))
    with pytest.raises(ValueError, match=r"standard_scaling: `data` must have.*\(3,\).*\(5, 2\)"):
        layer.adapt(data(5, 2))
    with pytest.raises(ValueError, match=r"standard_scaling: .*\(9,\).*Use axis=None"):
        StandardScaling().adapt(np.arange(9.0))
    with pytest.raises(ValueError, match=r"standard_scaling: `data` must be finite.*2 of 4"):
        StandardScaling().adapt([[1.0, np.nan], [np.inf, 2.0]])
    for nothing in (np.ones((0, 3)), iter([])):
        with pytest.raises(ValueError, match=r"standard_scaling: `data` must hold at least one"):
            StandardScaling().adapt(nothing)
    with pytest.raises(ValueError, match=r"standard_scaling: `mask` must have the first axes"):
        StandardScaling().adapt(data(4, 6, 2), mask=np.ones((4, 5), bool))
    with pytest.raises(ValueError, match=r"standard_scaling: `mask` must have the first axes"):
        StandardScaling(axis=1).adapt(data(4, 6, 2), mask=np.ones((4, 6), bool))
    with pytest.raises(ValueError, match=r"standard_scaling: Axis .*2.* out of bounds"):
        StandardScaling(axis=2).adapt(data(4, 6))
    with pytest.raises(ValueError, match=r"standard_scaling: .*known sizes"):
        StandardScaling(axis=1).build((None, None, 3))
    with pytest.raises(TypeError, match=r"standard_scaling: `axis` must be.*'last'"):
        StandardScaling(axis="last")
    with pytest.raises(ValueError, match=r"`feature` must be one of the 3.*feature=3"):
        layer.inverted(feature=3)
    for wrong in ((1, 1), (2, 1), (0, np.inf), (0, 1, 2)):
        with pytest.raises(ValueError, match=r"min_max_scaling: `feature_range` must be two"):
            MinMaxScaling(wrong)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="XLA in TensorFlow")
def test_compiled_with_xla_it_is_the_same():
    import tensorflow as tf

    x = data(6, 3)
    layer = adapted(StandardScaling, x)
    compiled = tf.function(layer, jit_compile=True)
    np.testing.assert_allclose(numbers(compiled(x)), numbers(layer(x)), rtol=1e-6, atol=1e-6)
