"""Pooling in NumPy, entry by entry, and what it refuses."""

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from tests.convolution import by_hand
from tests.parity.differentiate import BACKEND, outputs_and_gradients
from tests.parity.harness import assert_close

KINDS = {"MaxPooling": np.max, "AveragePooling": np.mean}
SETTINGS = [
    ((7,), {"pool_size": 2}),
    ((7,), {"pool_size": 3, "strides": 1}),
    ((7,), {"pool_size": 2, "strides": 3}),
    ((6, 7), {"pool_size": (3, 2), "strides": (1, 2)}),
    ((3, 4, 5), {"pool_size": (1, 2, 3), "strides": 2}),
]


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("space", "config"), SETTINGS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_equals_numpy(kind, space, config, padding, data_format):
    if BACKEND == "torch" and kind == "AveragePooling" and padding == "same":
        pytest.skip("the framework counts copies of the nearest entry, for the built-in too")
    name = f"{kind}{len(space)}D"
    layer = getattr(custom_layers, name)(**config, padding=padding, data_format=data_format)
    x = np.random.default_rng(4).standard_normal((2, *space, 3)) - 5.0  # padding is larger
    is_first = data_format == "channels_first"
    inputs = np.moveaxis(x, -1, 1) if is_first else x
    got = ops.convert_to_numpy(layer(inputs))
    size = config["pool_size"]
    size, strides = (
        (n,) * len(space) if isinstance(n, int) else n for n in (size, config.get("strides", size))
    )
    wanted = by_hand.pooling(x, size, strides, padding, KINDS[kind])
    wanted = np.moveaxis(wanted, -1, 1) if is_first else wanted
    assert got.shape == wanted.shape == layer.compute_output_shape(inputs.shape)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kind", KINDS)
def test_three_axes_in_float32_with_gradients(kind, padding):
    """On TensorFlow tests/parity, which is about float64, cannot compare them."""
    x = np.random.default_rng(7).standard_normal((2, 5, 6, 7, 2)).astype("float32")
    own, builtin = (
        outputs_and_gradients(
            getattr(layers, f"{kind}3D")((2, 3, 2), strides=(1, 2, 3), padding=padding), (x,), {}
        )
        for layers in (custom_layers, keras.layers)
    )
    assert_close(own, builtin, 1e-6)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_global_pooling_equals_numpy(kind, rank, data_format, keepdims):
    layer = getattr(custom_layers, f"Global{kind}{rank}D")(data_format, keepdims)
    x = np.random.default_rng(5).standard_normal((2, 3, 4, 5, 6)[: rank + 2])
    first = 1 if data_format == "channels_last" else 2
    wanted = KINDS[kind](x, axis=tuple(range(first, first + rank)), keepdims=keepdims)
    got = ops.convert_to_numpy(layer(x))
    assert got.shape == wanted.shape == layer.compute_output_shape(x.shape)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_what_a_mask_leaves_out_may_be_anything():
    x = np.random.default_rng(6).standard_normal((2, 4, 3)).astype("float32")
    mask = np.array([[True, False, True, True], [False, False, False, False]])
    x[0, 1] = np.nan
    got = ops.convert_to_numpy(custom_layers.GlobalAveragePooling1D()(x, mask=mask))
    np.testing.assert_allclose(got[0], x[0, [0, 2, 3]].mean(axis=0), atol=1e-6)
    assert np.all(np.isnan(got[1]))


def test_a_mask_comes_with_the_sequence_and_goes_no_further():
    ids = np.array([[3, 1, 0, 0], [2, 2, 2, 0]])
    embedded = custom_layers.Embedding(5, 3, mask_zero=True)(ids)
    layer = custom_layers.GlobalAveragePooling1D()
    pooled = layer(embedded)
    rows = ops.convert_to_numpy(embedded)
    wanted = np.stack([rows[0, :2].mean(axis=0), rows[1, :3].mean(axis=0)])
    np.testing.assert_allclose(ops.convert_to_numpy(pooled), wanted, atol=1e-6)
    assert layer.compute_mask(embedded, ids != 0) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: custom_layers.MaxPooling1D(0), r"max_pooling1d: The `pool_size` argument must be"),
        (lambda: custom_layers.MaxPooling2D(2, strides=0), r"The `strides` argument must be"),
        (lambda: custom_layers.AveragePooling2D((2,)), r"average_pooling2d: The `pool_size`"),
        (lambda: custom_layers.AveragePooling1D(2, padding="causal"), r"`padding` must be one of"),
        (lambda: custom_layers.MaxPooling3D(data_format="NDHWC"), r"max_pooling3d: `data_format`"),
        (lambda: custom_layers.GlobalMaxPooling2D("x"), r"global_max_pooling2d: `data_format`"),
        (
            lambda: custom_layers.MaxPooling1D(5)(np.zeros((2, 4, 3))),
            r"each axis of space must hold",
        ),
        (lambda: custom_layers.MaxPooling1D(5).compute_output_shape((2, 4, 3)), r"\(5,\) places"),
        (
            lambda: custom_layers.GlobalAveragePooling1D()(
                np.zeros((2, 4, 3)), mask=np.ones((2, 3))
            ),
            r"global_average_pooling1d: `mask` must be \(batch, steps\) = \(2, 4\). Received",
        ),
        (lambda: custom_layers.AveragePooling2D(2)(np.zeros((2, 4, 3))), r"expected ndim=4"),
        (lambda: custom_layers.GlobalMaxPooling1D()(np.zeros((2, 4))), r"expected ndim=3"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_padding_in_capitals():
    assert custom_layers.MaxPooling1D(2, padding="SAME").get_config()["padding"] == "same"


def test_nothing_is_to_be_built():
    assert custom_layers.MaxPooling2D().built
    assert custom_layers.GlobalMaxPooling2D().built
