"""The equation in NumPy, place by place, and as one operation; and what a convolution refuses."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from custom_layers.convolution.convolution import add_to_filters, convolution_step
from custom_layers.convolution.convolution_by_taps import convolution_by_taps
from tests.convolution import by_hand
from tests.parity.differentiate import BACKEND, outputs_and_gradients
from tests.parity.harness import assert_close, precision

WIDE = BACKEND == "tensorflow"  # elsewhere parts of float64 are computed in float32
EXACT = 1e-12 if WIDE else 1e-5

CHANNELS, FILTERS = 4, 6
MOVES = [{}, {"strides": 2}, {"strides": 3}, {"dilation_rate": 2}]
SEQUENCES = [
    ("Conv1D", (7,), {"kernel_size": size, "padding": padding, **move})
    for padding, size, move in itertools.product(("valid", "same", "causal"), (2, 3), MOVES)
]
SPACES = [
    ("Conv2D", (6, 7), {"kernel_size": (2, 3), "strides": (2, 1)}),
    ("Conv2D", (6, 7), {"kernel_size": (3, 2), "strides": (3, 2), "padding": "same"}),
    ("Conv2D", (6, 7), {"kernel_size": (2, 3), "dilation_rate": (3, 1), "padding": "same"}),
    ("Conv3D", (3, 4, 5), {"kernel_size": (2, 1, 3)}),
    ("Conv3D", (3, 4, 5), {"kernel_size": 2, "strides": (1, 2, 3), "padding": "same"}),
]
IN_GROUPS = [
    ("Conv1D", (7,), {"kernel_size": 3, "groups": 2, "padding": "causal"}),
    ("Conv2D", (5, 4), {"kernel_size": 2, "groups": 4, "filters": 8, "strides": 2}),
    ("Conv3D", (3, 2, 3), {"kernel_size": 2, "groups": 2, "padding": "same"}),
]
SETTINGS = [*SEQUENCES, *SPACES, *IN_GROUPS]
# With the channels first TensorFlow computes on a CPU what Keras hands to XLA: groups, and three axes.
FIRST = [
    (kind, space, {**config, "data_format": "channels_first"})
    for kind, space, config in [*SPACES, *IN_GROUPS]
    if BACKEND != "tensorflow" or kind == "Conv3D" or "groups" in config
]


def named(setting):
    kind, _, config = setting
    return "-".join([kind, *(f"{k}={v}" for k, v in config.items())]).replace(" ", "")


def built(setting, **more):
    """The layer with random weights, and inputs."""
    kind, space, config = setting
    rng = np.random.default_rng(3)
    layer = getattr(custom_layers, kind)(**{"filters": FILTERS, **config, **more})
    is_last = layer.data_format == "channels_last"
    x = rng.standard_normal((2, *space, CHANNELS) if is_last else (2, CHANNELS, *space))
    layer.build(x.shape)
    layer.set_weights([rng.standard_normal(weight.shape) for weight in layer.weights])
    return layer, x


def with_taps(setting):
    """The layer, another with its weights whose equation is written out, and inputs."""
    layer, x = built(setting)

    class ByTaps(type(layer)):
        def call(self, inputs):
            z = convolution_by_taps(inputs, self.kernel, self.windows, self.data_format)
            return add_to_filters(z, self.bias, self.data_format)

    taps = ByTaps.from_config(layer.get_config())
    taps.build(x.shape)
    taps.set_weights(layer.get_weights())
    return layer, taps, x


@pytest.mark.parametrize("setting", [*SETTINGS, *FIRST], ids=named)
def test_one_operation_equals_a_product_for_each_place_with_gradients(setting):
    with precision("float64" if WIDE else "float32"):
        layer, taps, x = with_taps(setting)
        x = x.astype(layer.compute_dtype)
        own, written_out = (outputs_and_gradients(which, (x,), {}) for which in (layer, taps))
        assert np.abs(own["gradient/kernel"]).min() > 0  # every place of the kernel takes part
        assert_close(own, written_out, EXACT)


@pytest.mark.parametrize("setting", [*SETTINGS, *FIRST], ids=named)
def test_equals_numpy(setting):
    with precision("float64"):
        layer, x = built(setting)
        got = ops.convert_to_numpy(layer(x))
    kernel, bias = (ops.convert_to_numpy(weight) for weight in layer.weights)
    is_first = layer.data_format == "channels_first"
    wanted = by_hand.convolution(
        np.moveaxis(x, 1, -1) if is_first else x,
        kernel,
        layer.strides,
        layer.dilation_rate,
        layer.padding,
        layer.groups,
    )
    wanted = np.moveaxis(wanted + bias, -1, 1) if is_first else wanted + bias
    assert got.shape == wanted.shape == layer.compute_output_shape(x.shape)
    np.testing.assert_allclose(got, wanted, atol=10 * EXACT)


def test_a_step_names_what_it_computes():
    layer, x = built(("Conv1D", (7,), {"kernel_size": 2}))
    step = convolution_step(
        ops.convert_to_tensor(x, dtype="float32"),
        layer.kernel,
        layer.bias,
        ops.square,
        layer.windows,
        "channels_last",
    )
    z = ops.convert_to_numpy(step.z)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(x)), z, atol=1e-6)
    np.testing.assert_allclose(ops.convert_to_numpy(step.y), z**2, atol=1e-5)


@pytest.mark.parametrize("move", MOVES, ids=str)
def test_a_causal_window_sees_nothing_later(move):
    layer, x = built(("Conv1D", (9,), {"kernel_size": 3, "padding": "causal", **move}))
    before = ops.convert_to_numpy(layer(x))
    for p in range(before.shape[1]):
        later = x.copy()
        later[:, layer.strides[0] * p + 1 :] += 1.0
        np.testing.assert_allclose(
            ops.convert_to_numpy(layer(later))[:, : p + 1], before[:, : p + 1]
        )
        now = x.copy()
        now[:, layer.strides[0] * p] += 1.0
        assert np.abs(ops.convert_to_numpy(layer(now))[:, p] - before[:, p]).min() > 1e-3


@pytest.mark.parametrize("kind", ["Conv1D", "Conv2D"])
def test_the_bias_is_the_filters_even_where_another_axis_is_as_long(kind):
    """The built-in on TensorFlow adds it along the last axis here."""
    space = (FILTERS, FILTERS)[: int(kind[4])]
    first, x = built(
        (kind, space, {"kernel_size": 1, "groups": 2, "data_format": "channels_first"})
    )
    last, _ = built((kind, space, {"kernel_size": 1, "groups": 2}))
    last.set_weights(first.get_weights())
    wanted = np.moveaxis(ops.convert_to_numpy(last(np.moveaxis(x, 1, -1))), -1, 1)
    np.testing.assert_allclose(ops.convert_to_numpy(first(x)), wanted, atol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_lengths_that_are_not_known_before_the_call(padding):
    layer = custom_layers.Conv1D(FILTERS, 3, padding=padding, strides=2)
    inputs = keras.Input((None, CHANNELS))
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, FILTERS)
    for steps in (5, 8):
        x = np.random.default_rng(steps).standard_normal((2, steps, CHANNELS)).astype("float32")
        np.testing.assert_allclose(
            model.predict(x, verbose=0), ops.convert_to_numpy(layer(x)), atol=1e-5
        )


def test_keras_s_other_names_are_there():
    for name, builtin in vars(keras.layers).items():
        own = getattr(custom_layers, getattr(builtin, "__name__", ""), None)
        if own is not None and own.__module__.startswith("custom_layers.convolution"):
            assert getattr(custom_layers, name) is own


def test_numpys_integers_count():
    layer = custom_layers.Conv2D(np.int64(3), np.int32(2), strides=(np.int64(1), 2))
    config = layer.get_config()
    assert (config["filters"], config["kernel_size"], config["strides"]) == (3, (2, 2), (1, 2))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"filters": 0}, r"conv2d: Invalid value for argument `filters`.*Received filters=0"),
        ({"filters": 2.5}, r"`filters`.*Received filters=2.5"),
        ({"kernel_size": (2, 0)}, r"conv2d: The `kernel_size` argument .*including values \{0\}"),
        ({"kernel_size": (2, 2, 2)}, r"`kernel_size` argument must be a tuple of 2 integers"),
        ({"strides": 1.5}, r"The `strides` argument must be a tuple of 2 integers. Received"),
        ({"dilation_rate": (1,)}, r"`dilation_rate` argument must be a tuple of 2 integers"),
        ({"strides": 2, "dilation_rate": (1, 2)}, r"`strides > 1` not supported in conjunction"),
        ({"padding": "causal"}, r"conv2d: `padding` must be one of \('valid', 'same'\)"),
        ({"padding": (1, 1)}, r"`padding` must be one of .*Received: padding=\(1, 1\)"),
        ({"data_format": "last"}, r"`data_format` must be one of .*Received: data_format='last'"),
        ({"groups": 0}, r"The number of groups must be a positive integer. Received: groups=0"),
        ({"groups": 4}, r"filters must be evenly divisible by the number of groups. Received"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(config, message):
    with pytest.raises(ValueError, match=message):
        custom_layers.Conv2D(**{"filters": 6, "kernel_size": 2, **config})


@pytest.mark.parametrize(
    ("shape", "config", "message"),
    [
        ((2, 7), {}, r"conv1d: `inputs` must be \(batch, \*space, channels\) with 1 of space"),
        ((2, 7, 4, 4), {}, r"3 axes in all. Received: inputs.shape=\(2, 7, 4, 4\)"),
        ((2, 2, 4), {}, r"conv1d: each axis of space must hold a window, .* over \(3,\) places"),
        ((2, 4, 4), {"dilation_rate": 2}, r"which reaches over \(5,\) places. Received: inputs"),
        ((2, 7, None), {}, r"axis -1 of `inputs`, the channels, must have a known size"),
        ((2, None, 7), {"data_format": "channels_first"}, r"axis 1 of `inputs`, the channels"),
        ((2, 7, 5), {"groups": 2}, r"`groups` must divide the number of channels \(5\)"),
    ],
    ids=str,
)
def test_bad_shapes_are_named(shape, config, message):
    with pytest.raises(ValueError, match=message):
        custom_layers.Conv1D(6, 3, **config).build(shape)


def test_other_channels_than_it_was_built_for_are_named():
    layer, _ = built(("Conv1D", (7,), {"kernel_size": 2}))
    with pytest.raises(ValueError, match=r"expected axis -1 .* to have value 4"):
        layer(np.zeros((2, 7, 5), dtype="float32"))
    with pytest.raises(ValueError, match=r"expected ndim=3, found ndim=4"):
        layer(np.zeros((2, 7, 7, 4), dtype="float32"))


@pytest.mark.parametrize(
    "act",
    [
        lambda: custom_layers.Conv1D(2, 2, lora_rank=1),
        lambda: custom_layers.Conv2D(2, 2, lora_alpha=1.0),
        lambda: built(("Conv3D", (3, 3, 3), {"kernel_size": 2}))[0].enable_lora(1),
    ],
)
def test_lora_points_to_keras(act):
    with pytest.raises(NotImplementedError, match=r"conv.d: .*keras\.layers\.Conv.D"):
        act()
