"""ConvLSTM by hand in NumPy, its first step and its last, and what it refuses."""

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from tests.convolution import by_hand
from tests.parity.differentiate import BACKEND
from tests.parity.harness import precision

EXACT = 1e-11 if BACKEND == "tensorflow" else 1e-5
x = np.ones((2, 4, 5, 6, 3), "float32")


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def by_equations(layer, sequences):
    """Equations (1) to (7), step by step; the last h and c, channels last."""
    kernel, recurrent_kernel, bias = (ops.convert_to_numpy(w) for w in layer.get_weights())
    cell, once = layer.cell, (1,) * layer.rank
    h = c = 0.0
    for t in range(sequences.shape[1]):
        a = by_hand.convolution(
            sequences[:, t], kernel, cell.strides, cell.dilation_rate, cell.padding, 1
        )
        a = a + bias
        if t:
            a = a + by_hand.convolution(h, recurrent_kernel, once, once, "same", 1)
        a_i, a_f, a_c, a_o = np.split(a, 4, axis=-1)
        c = sigmoid(a_f) * c + sigmoid(a_i) * np.tanh(a_c)
        h = sigmoid(a_o) * np.tanh(c)
    return h, c


@pytest.mark.parametrize(
    ("kind", "shape", "config"),
    [
        ("ConvLSTM1D", (2, 3, 6, 2), {"kernel_size": 3, "strides": 2, "padding": "same"}),
        ("ConvLSTM2D", (2, 3, 4, 5, 2), {"kernel_size": (2, 3), "dilation_rate": (2, 1)}),
        ("ConvLSTM3D", (2, 2, 3, 2, 3, 2), {"kernel_size": 2}),
    ],
)
def test_equals_numpy(kind, shape, config):
    rng = np.random.default_rng(8)
    with precision("float64"):
        layer = getattr(custom_layers, kind)(3, return_state=True, **config)
        layer.build(shape)
        layer.set_weights([0.5 * rng.standard_normal(w.shape) for w in layer.weights])
        sequences = rng.standard_normal(shape)
        output, h, c = (ops.convert_to_numpy(y) for y in layer(sequences))
    wanted_h, wanted_c = by_equations(layer, sequences)
    np.testing.assert_allclose(h, wanted_h, atol=EXACT)
    np.testing.assert_allclose(c, wanted_c, atol=EXACT)
    np.testing.assert_array_equal(output, h)


def test_a_sequence_in_two_halves_is_the_sequence():
    layer = custom_layers.ConvLSTM2D(3, 2, return_state=True)
    film = np.random.default_rng(9).standard_normal((2, 6, 4, 4, 2)).astype("float32")
    whole = layer(film)
    _, *states = layer(film[:, :3])
    halves = layer(film[:, 3:], initial_state=states)
    for one, other in zip(halves, whole, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(one), ops.convert_to_numpy(other), atol=1e-6
        )


@pytest.mark.parametrize("go_backwards", [False, True])
def test_masked_steps_might_as_well_not_be_there(go_backwards):
    film = np.random.default_rng(10).standard_normal((2, 5, 4, 4, 2)).astype("float32")
    kept = np.array([True, False, True, True, False])
    layer = custom_layers.ConvLSTM2D(3, 2, return_state=True, go_backwards=go_backwards)
    held = layer(film, mask=np.stack([kept, kept]))
    for one, other in zip(held, layer(film[:, kept]), strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(one), ops.convert_to_numpy(other), atol=1e-6
        )


def test_any_number_of_steps():
    layer = custom_layers.ConvLSTM1D(3, 2, return_sequences=True)
    inputs = keras.Input((None, 6, 2))
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, 5, 3)
    for steps in (1, 4):
        rows = np.random.default_rng(steps).standard_normal((2, steps, 6, 2)).astype("float32")
        np.testing.assert_allclose(
            model.predict(rows, verbose=0), ops.convert_to_numpy(layer(rows)), atol=1e-6
        )


def test_the_settings_can_be_read_on_the_layer():
    layer = custom_layers.ConvLSTM2D(3, 2, strides=(1, 2), dropout=0.5)
    assert (layer.filters, layer.kernel_size, layer.strides) == (3, (2, 2), (1, 2))
    assert (layer.padding, layer.dilation_rate, layer.dropout) == ("valid", (1, 1), 0.5)
    with pytest.raises(AttributeError, match=r"`filters` is a setting of the cell"):
        layer.filters = 4


@pytest.mark.skipif(BACKEND != "tensorflow", reason="the debugging tools are TensorFlow's")
def test_gates_and_states_are_recorded_with_their_total_derivatives():
    """Against a loop written out, in which every intermediate is on the tape."""
    import tensorflow as tf

    from custom_layers.debugging import measurements, pictures, record
    from custom_layers.recurrent.conv_lstm_step import conv_lstm_step

    options = {"padding": "same", "dtype": "float64"}
    layer = custom_layers.ConvLSTM2D(2, 3, return_sequences=True, name="film", **options)
    films = x.astype("float64")
    mask = np.array([[True] * films.shape[1]] * len(films))
    mask[0, -1] = False
    layer.build(films.shape)
    with record(layer) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(films, mask=mask) ** 2)
    recording = trace.read(tape, loss)
    assert recording.not_watchable == []

    cell = layer.cell
    with tf.GradientTape(persistent=True) as tape:
        h = c = tf.zeros((len(films), *cell.state_shape), "float64")
        kept, loss = [], 0.0
        output = tf.zeros_like(h)
        for t in range(films.shape[1]):
            projected = tf.Variable(cell.project_inputs(films[:, t]))
            probe = tf.Variable(tf.zeros_like(c))
            step = conv_lstm_step(
                projected, h, c, cell.recurrent_kernel, "channels_last", c_probe=probe
            )
            keep = mask[:, t][:, None, None, None]
            out = tf.identity(step.h)
            h, c = tf.where(keep, out, h), tf.where(keep, step.c, c)
            output = tf.where(keep, out, output)
            loss += tf.reduce_sum(output**2)
            kept.append((projected, probe, out, step))
    gates = np.stack([tape.gradient(loss, projected) for projected, *_ in kept], axis=1)
    wanted = dict(zip("ifgo", np.split(gates, 4, axis=-1), strict=True))
    wanted["c"] = np.stack([tape.gradient(loss, probe) for _, probe, *_ in kept], axis=1)
    wanted["h"] = np.stack([tape.gradient(loss, out) for *_, out, _ in kept], axis=1)
    for name, gradient in wanted.items():
        quantity = recording[f"film/{name}"]
        values = np.stack([getattr(step, name) for *_, step in kept], axis=1)
        np.testing.assert_allclose(quantity.value[1], values[1], rtol=0, atol=1e-12, err_msg=name)
        np.testing.assert_allclose(quantity.gradient, gradient, rtol=0, atol=1e-12, err_msg=name)

    measured = measurements.measure(recording)
    norms = measured.series["film/h/gradient_norm_by_step"]
    axes = (0, 2, 3, 4)
    np.testing.assert_allclose(norms, np.sqrt((wanted["h"] ** 2).sum(axis=axes)), rtol=1e-6)
    assert np.isfinite(measured.scalars["film/h/vanishing_ratio"])
    assert 0 <= measured.scalars["film/f/saturated_low"] <= 1
    assert len(pictures.gates_over_time(recording, "film").axes) >= 7


@pytest.mark.parametrize(
    ("data_format", "shape"), [("channels_last", (8, 6, 5, 12)), ("channels_first", (8, 12, 6, 5))]
)
def test_the_gates_lie_beside_each_other_where_the_filters_are(data_format, shape):
    cell = custom_layers.ConvLSTM2D(3, 2, data_format=data_format).cell
    gates = np.split(np.zeros(shape), 4, axis=cell.slots_axis)
    assert [gate.size for gate in gates] == [8 * 6 * 5 * 3] * 4
    axis = shape.index(12)
    assert gates[0].shape[axis] == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: custom_layers.ConvLSTM2D(0, 2),
            r"conv_lstm2d: `filters` must be a positive integer",
        ),
        (
            lambda: custom_layers.ConvLSTM1D(2, 0),
            r"conv_lstm1d: The `kernel_size` argument must be",
        ),
        (
            lambda: custom_layers.ConvLSTM1D(2, 2, strides=0),
            r"The `strides` argument must be a tuple",
        ),
        (
            lambda: custom_layers.ConvLSTM2D(2, 2, strides=2, dilation_rate=(1, 2)),
            r"`strides > 1` is not compatible with `dilation_rate > 1`. Received: strides=\(2, 2\)",
        ),
        (
            lambda: custom_layers.ConvLSTM1D(2, 2, padding="causal"),
            r"conv_lstm1d: `padding` must be",
        ),
        (lambda: custom_layers.ConvLSTM2D(2, 2, dropout=1.0), r"`dropout` must be a probability"),
        (lambda: custom_layers.ConvLSTM2D(2, 2, gradient="bptt"), r'gradient="bptt" needs cells'),
        (lambda: custom_layers.ConvLSTM2D(2, 2)(x[0]), r"expected ndim=5, found ndim=4"),
        (lambda: custom_layers.ConvLSTM2D(2, 7)(x), r"conv_lstm2d: each axis of space must hold"),
        (
            lambda: custom_layers.ConvLSTM2D(2, 2)(keras.Input((4, None, 6, 3))),
            r"the channels and the axes of space must have known sizes. Received: shape of one step",
        ),
        (
            lambda: custom_layers.ConvLSTM2D(2, 2)(x, mask=np.ones((2, 3), bool)),
            r"`mask` must be \(batch, steps\) = \(2, 4\)",
        ),
        (
            lambda: custom_layers.ConvLSTM2D(2, 2)(x, initial_state=[x[:, 0], x[:, 0]]),
            r"`initial_state` must be of the output's shape = \(2, 4, 5, 2\). Received",
        ),
        (
            lambda: custom_layers.ConvLSTM2D(2, 2)(x, initial_state=[x[:, 0]]),
            r"`initial_state` must hold 2 tensor\(s\), one for each state. Received: 1",
        ),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
