"""The moments that the step names, and what is refused."""

import keras
import numpy as np
import pytest
from keras import ops

from custom_layers.normalization.layer_normalization import LayerNormalization, normalization_step
from tests.parity.harness import precision

wide = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="Keras's promotion makes float32 of float64 on this backend",
)


@pytest.fixture(autouse=True)
def float64(fresh_keras_state):
    with precision("float64"):
        yield


@wide
def test_step_has_the_moments_it_names():
    x = 3 + 2 * np.random.default_rng(1).standard_normal((2, 3, 50))
    step = normalization_step(ops.convert_to_tensor(x), None, None, [-1], 1e-9)
    mean, variance, x_hat = (ops.convert_to_numpy(a) for a in (step.mean, step.variance, step.y))
    np.testing.assert_allclose(mean[..., 0], x.mean(-1), atol=1e-12)
    np.testing.assert_allclose(variance[..., 0], x.var(-1), atol=1e-12)
    np.testing.assert_allclose(x_hat.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(x_hat.std(-1), 1, atol=1e-8)


def test_wrong_axes_are_named():
    with pytest.raises(TypeError, match=r"layer_normalization: Expected an int.*axis='last'"):
        LayerNormalization(axis="last")
    with pytest.raises(ValueError, match=r"layer_normalization: Axis 2 is out of bounds.*\(2, 3\)"):
        LayerNormalization(axis=2)(np.zeros((2, 3), dtype="float32"))
    with pytest.raises(ValueError, match=r"layer_normalization: .*names an axis twice"):
        LayerNormalization(axis=[-1, 1])(np.zeros((2, 3), dtype="float32"))
    with pytest.raises(ValueError, match=r"layer_normalization: .*known sizes.*None"):
        LayerNormalization().build((2, None))


def test_integers_are_refused():
    with pytest.raises(TypeError, match=r"layer_normalization: .*int32. Cast them first"):
        LayerNormalization()(np.ones((2, 3), dtype="int32"))
