"""What Dense refuses, and the equation once more in NumPy."""

import numpy as np
import pytest
from keras import ops

from custom_layers.linear.dense import Dense, dense_step


def test_equals_numpy():
    rng = np.random.default_rng(0)
    x, kernel, bias = (rng.standard_normal(shape) for shape in ((2, 3, 4), (4, 5), (5,)))
    tensors = (ops.convert_to_tensor(a, dtype="float64") for a in (x, kernel, bias))
    step = dense_step(*tensors, ops.square)
    z = np.einsum("btf,fu->btu", x, kernel) + bias
    np.testing.assert_allclose(ops.convert_to_numpy(step.z), z, atol=1e-5)  # float32 on Torch
    np.testing.assert_allclose(ops.convert_to_numpy(step.y), z**2, atol=1e-5)


@pytest.mark.parametrize("units", [0, -1, 2.5, None, "64", True])
def test_units_must_be_a_positive_integer(units):
    with pytest.raises(ValueError, match=r"dense: `units` must be a positive integer. Received"):
        Dense(units)


def test_numpys_integers_count():
    assert Dense(np.int64(3)).get_config()["units"] == 3


def test_wrong_rank_and_features_are_named():
    layer = Dense(3)
    with pytest.raises(ValueError, match=r"expected min_ndim=2, found ndim=1"):
        layer(np.zeros(4, dtype="float32"))
    layer(np.zeros((2, 4), dtype="float32"))
    with pytest.raises(ValueError, match=r"expected axis -1 .* to have value 4"):
        layer(np.zeros((2, 5), dtype="float32"))


@pytest.mark.parametrize(
    "act",
    [
        lambda: Dense(2, lora_rank=1),
        lambda: Dense(2, lora_alpha=1.0),
        lambda: built().enable_lora(1),
        lambda: built().quantize("int8"),
        lambda: built(dtype="int8_from_float32"),
    ],
)
def test_lora_and_quantization_point_to_keras(act):
    with pytest.raises(NotImplementedError, match=r"dense: .*keras\.layers\.Dense"):
        act()


def built(**config):
    layer = Dense(2, **config)
    layer.build((None, 3))
    return layer
