"""The equations by groups in NumPy, sizes that a graph does not know, and what is refused."""

import keras
import numpy as np
import pytest
from keras import ops

from custom_layers.normalization.group_normalization import (
    GroupNormalization,
    group_normalization_step,
)
from custom_layers.normalization.layer_normalization import normalization_step


def images(*shape):
    return (3 + 2 * np.random.default_rng(0).standard_normal(shape)).astype("float32")


@pytest.mark.parametrize("axis", [-1, 2])
def test_equals_numpy_group_by_group(axis):
    x = images(2, 3, 6, 4) if axis == 2 else images(2, 3, 4, 6)
    gamma, beta = np.random.default_rng(1).standard_normal((2, 6)).astype("float32")
    last = np.moveaxis(x, axis, -1).astype("float64")
    wanted = np.empty_like(last)
    for example in range(2):
        for start in range(0, 6, 2):  # 3 groups of 2 neighbours
            group = last[example, ..., start : start + 2]
            x_hat = (group - group.mean()) / np.sqrt(group.var() + 0.01)
            kept = slice(start, start + 2)
            wanted[example, ..., kept] = gamma[kept] * x_hat + beta[kept]
    tensors = (ops.convert_to_tensor(a) for a in (x, gamma, beta))
    step = group_normalization_step(*tensors, groups=3, axis=axis, epsilon=0.01)
    y = np.moveaxis(ops.convert_to_numpy(step.y), axis, -1)
    np.testing.assert_allclose(y, wanted, atol=1e-5)


def test_one_group_is_layer_normalization_of_each_example():
    x = ops.convert_to_tensor(images(3, 4, 5, 6))
    one = group_normalization_step(x, None, None, 1, -1, 1e-3)
    layer = normalization_step(x, None, None, [1, 2, 3], 1e-3)
    np.testing.assert_allclose(
        ops.convert_to_numpy(one.y), ops.convert_to_numpy(layer.y), atol=1e-5
    )


def test_minus_one_is_a_group_per_channel_and_says_so_once_built():
    layer = GroupNormalization(groups=-1, scale=False, center=False)
    x = images(2, 50, 5)
    y = ops.convert_to_numpy(layer(x))
    np.testing.assert_allclose(y.mean(1), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(1), 1, atol=1e-3)
    assert layer.get_config()["groups"] == 5


def test_sizes_that_only_the_data_know():
    inputs = keras.Input((None, None, 6))
    model = keras.Model(inputs, GroupNormalization(groups=2)(inputs))
    assert model.output_shape == (None, None, None, 6)
    own = model.predict(images(5, 3, 4, 6), batch_size=2, verbose=0)
    builtin = keras.layers.GroupNormalization(groups=2)(images(5, 3, 4, 6))
    np.testing.assert_allclose(own, ops.convert_to_numpy(builtin), atol=1e-5)


def test_wrong_arguments_and_shapes_are_named():
    for groups in (0, -2, 1.5, "32", True):
        with pytest.raises(ValueError, match=r"group_normalization: the argument `groups` must"):
            GroupNormalization(groups=groups)
    assert GroupNormalization(groups=np.int64(2)).get_config()["groups"] == 2
    with pytest.raises(TypeError, match=r"group_normalization: `axis` must be an integer.*\[1\]"):
        GroupNormalization(axis=[1])
    with pytest.raises(ValueError, match=r"group_normalization: Axis 3 is out of bounds"):
        GroupNormalization(axis=3).build((None, 2, 4))
    for axis in (0, -3):
        with pytest.raises(ValueError, match=r"`axis` must not be the first one, the batch"):
            GroupNormalization(groups=2, axis=axis).build((4, 2, 4))
    with pytest.raises(ValueError, match=r"cannot be more than the number of channels \(4\)"):
        GroupNormalization().build((None, 2, 4))
    with pytest.raises(ValueError, match=r"`groups` must divide the number of channels \(4\)"):
        GroupNormalization(groups=3).build((None, 2, 4))
    with pytest.raises(ValueError, match=r"group_normalization: .*defined dimension.*None"):
        GroupNormalization(groups=2).build((None, 2, None))
    with pytest.raises(TypeError, match=r"group_normalization: .*int32. Cast them first"):
        GroupNormalization(groups=1)(np.ones((2, 3), dtype="int32"))
