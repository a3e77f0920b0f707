"""What Dropout keeps, shares and refuses."""

import numpy as np
import pytest
from keras import ops

from custom_layers.regularization.dropout import Dropout


def test_keeps_a_share_and_scales_it():
    y = ops.convert_to_numpy(Dropout(0.25, seed=1)(np.ones((200, 200)), training=True))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.01


def test_does_nothing_outside_training():
    x = np.random.default_rng(0).standard_normal((3, 4)).astype("float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(Dropout(0.5)(x)), x)


def test_a_second_call_drops_others():
    layer, x = Dropout(0.5, seed=1), np.ones((8, 8), dtype="float32")
    first, second = (ops.convert_to_numpy(layer(x, training=True)) for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("rate", [-0.1, 1.1, "0.5", None, float("nan")])
def test_rate_must_be_a_probability(rate):
    with pytest.raises(ValueError, match=r"dropout: .*`rate`.*between 0 and 1. Received: rate="):
        Dropout(rate)


@pytest.mark.parametrize("noise_shape", ["abc", 3, (1, 1.5), (1, 0), (1, -2)])
def test_noise_shape_must_be_sizes(noise_shape):
    with pytest.raises(ValueError, match=r"dropout: .*`noise_shape`.*Received: noise_shape"):
        Dropout(0.5, noise_shape=noise_shape)


@pytest.mark.parametrize("noise_shape", [(2,), (2, 3, 1), (2, 5)])
def test_noise_shape_must_fit(noise_shape):
    with pytest.raises(
        ValueError, match=r"dropout: `noise_shape` must fit inputs of shape \(2, 3\)"
    ):
        Dropout(0.5, noise_shape=noise_shape)(np.ones((2, 3), dtype="float32"), training=True)


def test_integers_cannot_be_scaled():
    layer = Dropout(0.5)
    layer(np.ones((2, 3), dtype="int32"))
    with pytest.raises(TypeError, match=r"dropout: `inputs` must be floating point.*int32"):
        layer(np.ones((2, 3), dtype="int32"), training=True)
