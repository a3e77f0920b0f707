"""The pinball loss against NumPy, and that quantiles are what it is least at."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from custom_layers.training import PinballLoss

QUANTILES = (0.1, 0.5, 0.9)


def by_hand(y, f, quantiles):
    total = 0.0
    for place in np.ndindex(y.shape):
        for q, forecast in zip(quantiles, f[place], strict=True):
            miss = y[place] - forecast
            total += q * miss if miss >= 0 else (q - 1) * miss
    return total / f.size


@pytest.mark.parametrize("shape", [(5,), (4, 7)], ids=str)
def test_values_and_gradient_match_numpy(shape):
    rng = np.random.default_rng(0)
    y, f = rng.standard_normal(shape), rng.standard_normal((*shape, 3))
    loss = PinballLoss(QUANTILES, dtype="float64")
    forecast = tf.Variable(f)
    with tf.GradientTape() as tape:
        value = loss(tf.constant(y), forecast)
    assert float(value) == pytest.approx(by_hand(y, f, QUANTILES), rel=1e-12)
    slope = np.where(y[..., None] >= f, -np.array(QUANTILES), 1 - np.array(QUANTILES)) / f.size
    np.testing.assert_allclose(tape.gradient(value, forecast), slope, rtol=1e-12)


@pytest.mark.parametrize("q", [0.025, 0.1, 0.5, 0.9])
def test_it_is_least_at_the_quantile(q):
    """Of a skewed sample, so that mean and median differ."""
    y = np.random.default_rng(1).exponential(size=999)
    candidates = np.linspace(0, 5, 2001)
    loss = PinballLoss((q,), reduction=None, dtype="float64")
    each = loss(np.repeat(y[:, None], 2001, axis=1), np.tile(candidates, (999, 1))[..., None])
    at = each.numpy().mean(axis=0)
    assert candidates[np.argmin(at)] == pytest.approx(
        np.quantile(y, q, method="inverted_cdf"), abs=0.003
    )


def test_the_median_alone_is_half_the_absolute_error():
    y, f = np.random.default_rng(2).standard_normal((2, 6, 4)).astype("float32")
    loss = PinballLoss((0.5,))(y, f[..., None])
    assert float(loss) == pytest.approx(np.abs(y - f).mean() / 2, rel=1e-6)


def test_sample_weights_and_fit():
    y, f = np.ones((2, 1), "float32"), np.zeros((2, 1, 3), "float32")
    loss = PinballLoss(QUANTILES)
    assert float(loss(y, f, sample_weight=np.array([[1.0], [0.0]]))) == pytest.approx(0.25)
    keras.utils.set_random_seed(0)
    layers = [keras.Input((1,)), keras.layers.Dense(3), keras.layers.Reshape((1, 3))]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(0.02), loss)
    y = np.random.default_rng(3).uniform(size=(2000, 1)).astype("float32")
    model.fit(np.zeros((2000, 1)), y, batch_size=250, epochs=30, verbose=0)
    np.testing.assert_allclose(np.ravel(model(np.zeros((1, 1)))), QUANTILES, atol=0.05)


def test_configuration_and_refusals():
    loss = PinballLoss([0.2, 0.8], name="interval")
    again = PinballLoss.from_config(json.loads(json.dumps(loss.get_config())))
    assert (again.quantiles, again.name) == ((0.2, 0.8), "interval")
    for wrong in ((), (0.0, 0.5), (0.5, 1.0), (0.9, 0.1), (0.5, 0.5)):
        with pytest.raises(ValueError, match="pinball_loss: `quantiles` must be numbers in"):
            PinballLoss(wrong)
    for shape in ((4, 3), (4, 2, 2), (4, 2, 3, 1)):
        with pytest.raises(
            ValueError, match=r"pinball_loss: `y_pred` must be y_true's shape and 3"
        ):
            PinballLoss(QUANTILES)(np.zeros((4, 2)), np.zeros(shape))
