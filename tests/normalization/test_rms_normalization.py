"""The equations in NumPy, axes that Keras's layer gets wrong, and what is refused."""

import numpy as np
import pytest
from keras import ops

from custom_layers.normalization.layer_normalization import normalization_step
from custom_layers.normalization.rms_normalization import (
    RMSNormalization,
    rms_normalization_step,
)


@pytest.mark.parametrize("axis", [1, 2, [1, 3], [-1, 1], [2, 3]], ids=str)
def test_equals_numpy_along_any_axes(axis):
    """Two axes of one size, 4, where a scale along the wrong one would go unnoticed by shape."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, 3, 4)).astype("float32")
    layer = RMSNormalization(axis=axis, epsilon=0.01)
    layer.build(x.shape)
    scale = rng.standard_normal(layer.scale.shape).astype("float32")
    layer.scale.assign(scale)
    axes = sorted([axis] if isinstance(axis, int) else axis)
    laid = [1] * 4
    for dimension in axes:
        laid[dimension] = x.shape[dimension]
    mean_square = np.mean(np.square(x, dtype="float64"), tuple(axes), keepdims=True)
    wanted = x / np.sqrt(mean_square + 0.01) * scale.reshape(laid)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), wanted, atol=1e-5)


def test_is_layer_normalization_where_the_mean_is_zero_and_keeps_it_elsewhere():
    x = np.random.default_rng(1).standard_normal((5, 8)).astype("float32")
    ones = ops.ones((8,))
    centred = ops.convert_to_tensor(x - x.mean(-1, keepdims=True))
    rms = rms_normalization_step(centred, ones, [-1], 1e-3)
    layer = normalization_step(centred, None, None, [-1], 1e-3)
    np.testing.assert_allclose(
        ops.convert_to_numpy(rms.y), ops.convert_to_numpy(layer.y), atol=1e-5
    )
    shifted = rms_normalization_step(ops.convert_to_tensor(x + 10), ones, [-1], 0.0)
    assert ops.convert_to_numpy(shifted.y).mean() > 0.9


def test_half_precision_is_squared_in_float32():
    x = np.full((2, 4), 1000.0, dtype="float16")  # whose square float16 does not have
    y = RMSNormalization(dtype="float16")(x)
    assert ops.convert_to_numpy(y).dtype == "float16"
    np.testing.assert_allclose(ops.convert_to_numpy(y), 1.0, rtol=1e-3)


def test_wrong_axes_and_integers_are_named():
    with pytest.raises(TypeError, match=r"rms_normalization: `axis` must be an integer.*'last'"):
        RMSNormalization(axis="last")
    with pytest.raises(ValueError, match=r"rms_normalization: Axis 2 is out of bounds.*\(2, 3\)"):
        RMSNormalization(axis=2)(np.zeros((2, 3), dtype="float32"))
    with pytest.raises(ValueError, match=r"rms_normalization: .*names an axis twice"):
        RMSNormalization(axis=[-1, 1])(np.zeros((2, 3), dtype="float32"))
    with pytest.raises(ValueError, match=r"rms_normalization: .*known sizes.*None"):
        RMSNormalization().build((2, None))
    with pytest.raises(TypeError, match=r"rms_normalization: .*int32. Cast them first"):
        RMSNormalization()(np.ones((2, 3), dtype="int32"))
