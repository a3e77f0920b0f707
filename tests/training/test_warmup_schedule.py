"""WarmupSchedule against NumPy, at its ends, and inside compiled, fitted and saved models."""

import keras
import numpy as np
import pytest
from keras import ops

from custom_layers.training import WarmupSchedule

SETTINGS = pytest.mark.parametrize(("d_model", "warmup"), [(128, 4000), (512, 1), (1, 7)])


def by_hand(step, d_model, warmup):
    """Equation 3 of the paper, float64; step >= 1."""
    step = np.asarray(step, "float64")
    return d_model**-0.5 * np.minimum(step**-0.5, step * warmup**-1.5)


@SETTINGS
def test_rates_equal_the_equation(d_model, warmup):
    steps = np.unique(np.geomspace(1, 10_000_000, 60).astype(int))
    schedule = WarmupSchedule(d_model, warmup)
    rates = [float(schedule(step)) for step in steps]
    np.testing.assert_allclose(rates, by_hand(steps, d_model, warmup), rtol=1e-6)


@SETTINGS
def test_the_peak_is_at_warmup_steps(d_model, warmup):
    schedule = WarmupSchedule(d_model, warmup)
    rates = [float(schedule(step)) for step in range(warmup + 50)]
    assert int(np.argmax(rates)) == warmup
    np.testing.assert_allclose(rates[warmup], (d_model * warmup) ** -0.5, rtol=1e-6)
    assert np.all(np.diff(rates[: warmup + 1]) > 0)
    assert np.all(np.diff(rates[warmup:]) < 0)


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32", "uint8"])
def test_step_zero_has_rate_zero_and_everything_is_float32(dtype):
    schedule = WarmupSchedule(128)
    for step in (0, 1, 200):
        rate = schedule(ops.cast(step, dtype))
        assert keras.backend.standardize_dtype(rate.dtype) == "float32"
        expected = by_hand(step, 128, 4000) if step else 0.0
        np.testing.assert_allclose(float(rate), expected, rtol=1e-6)
    assert float(schedule(0)) == 0.0


def test_float32_also_where_the_rest_of_the_model_is_not():
    keras.config.set_dtype_policy("mixed_float16")
    rate = WarmupSchedule(512)(3_000_000)  # more than float16 can count
    np.testing.assert_allclose(float(rate), by_hand(3_000_000, 512, 4000), rtol=1e-6)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.function")
@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_graph_and_xla_give_the_same(jit_compile):
    import tensorflow as tf

    schedule = WarmupSchedule(64, 10)
    run = tf.function(schedule, jit_compile=jit_compile)
    for step in (0, 1, 9, 10, 11, 1000):
        np.testing.assert_allclose(run(tf.constant(step)), schedule(step), rtol=1e-6)
    assert float(run(tf.constant(0))) == 0.0


def test_config_survives():
    schedule = WarmupSchedule(np.int64(96), warmup_steps=30)
    assert schedule.get_config() == {"d_model": 96, "warmup_steps": 30}
    assert WarmupSchedule(8).get_config()["warmup_steps"] == 4000
    again = WarmupSchedule.from_config(schedule.get_config())
    packed = keras.optimizers.schedules.serialize(schedule)
    unpacked = keras.optimizers.schedules.deserialize(packed)
    for other in (again, unpacked):
        assert isinstance(other, WarmupSchedule)
        assert float(other(17)) == float(schedule(17))


def compiled_model(schedule):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(schedule), "mse")
    return model


def test_fit_uses_the_rate_of_each_update_and_the_first_is_zero():
    """Plain gradient descent in NumPy with the rates of the equation."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(24, 3)), random.normal(size=(24, 1))
    model = compiled_model(WarmupSchedule(4, warmup_steps=3))
    kernel, bias = (weight.astype("float64") for weight in model.get_weights())
    first = kernel.copy()
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0)  # updates 0 to 5
    for update in range(6):
        rate = by_hand(update, 4, 3) if update else 0.0
        batch = slice(4 * update, 4 * update + 4)
        error = 2 * (x[batch] @ kernel + bias - y[batch]) / 4
        kernel, bias = kernel - rate * x[batch].T @ error, bias - rate * error.sum(0)
        if update == 0:
            np.testing.assert_array_equal(kernel, first)
    for trained, expected in zip(model.get_weights(), (kernel, bias), strict=True):
        np.testing.assert_allclose(trained, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(float(model.optimizer.learning_rate), by_hand(6, 4, 3), rtol=1e-6)


def test_a_saved_model_brings_its_schedule_and_its_step_back(tmp_path):
    random = np.random.default_rng(1)
    x, y = random.normal(size=(20, 3)), random.normal(size=(20, 1))
    model = compiled_model(WarmupSchedule(4, warmup_steps=9))
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == 5
    for each in (model, loaded):
        np.testing.assert_allclose(float(each.optimizer.learning_rate), by_hand(5, 4, 9), rtol=1e-6)
        each.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    for own, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-6)


@pytest.mark.parametrize("wrong", [0, -1, 2.5, None, True, "8"])
@pytest.mark.parametrize("name", ["d_model", "warmup_steps"])
def test_what_is_no_positive_integer_is_refused(name, wrong):
    message = (
        f"^warmup_schedule: `{name}` must be a positive integer. Received: {name}={wrong!r}. C"
    )
    with pytest.raises(ValueError, match=message):
        WarmupSchedule(**{"d_model": 8, name: wrong})
