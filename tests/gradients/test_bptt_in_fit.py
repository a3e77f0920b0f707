"""Training with the gradient that is written by hand: `fit`, files, unknown lengths."""

import keras
import numpy as np
import pytest

import custom_layers
from tests.gradients.settings import BPTT
from tests.parity.differentiate import BACKEND

BATCH, STEPS, FEATURES = 4, 6, 3
on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="functions of TensorFlow")


def data():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3 * BATCH, STEPS, FEATURES)).astype("float32")
    x[0, -2:] = 0.0
    x[1, :2] = 0.0
    return x, rng.standard_normal((3 * BATCH, 2)).astype("float32")


def compiled(layers, **options):
    model = keras.Sequential([keras.Input((None, FEATURES)), keras.layers.Masking(), *layers])
    model.compile("adam", "mse", **options)
    return model


def fresh():
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(3)
    return custom_layers


def model_of_all(choice, **options):
    """Every recurrent layer of ours in one model, with dropout."""
    L, drops = fresh(), {"dropout": 0.3, "recurrent_dropout": 0.3}
    layers = [
        L.Bidirectional(L.LSTM(4, seed=1, return_sequences=True, **drops, **choice)),
        L.RNN([L.GRUCell(4), L.GRUCell(3, reset_after=False)], return_sequences=True, **choice),
        L.SimpleRNN(4, seed=2, **drops, **choice),
        L.Dense(2),
    ]
    return compiled(layers, **options)


def model_of_two(choice, **options):
    L = fresh()
    layers = [L.Bidirectional(L.GRU(4, return_sequences=True, **choice)), L.LSTM(2, **choice)]
    return compiled(layers, **options)


def losses_of(model, epochs=3):
    return model.fit(*data(), BATCH, epochs, shuffle=False, verbose=0).history["loss"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"jit_compile": True}, marks=pytest.mark.slow),
        pytest.param({"run_eagerly": True}, marks=pytest.mark.slow),
    ],
    ids=lambda options: "-".join(options) or "plain",
)
def test_losses_and_weights_are_those_of_autodiff(options):
    if BACKEND == "jax":
        pytest.skip("a minute of compilation; the files' test trains there")
    models = [model_of_all(choice, **options) for choice in (BPTT, {})]
    curves = [losses_of(model) for model in models]
    np.testing.assert_allclose(*curves, rtol=1e-5)  # seen: 2e-7
    assert len(set(curves[0])) == len(curves[0])
    for got, wanted in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4)  # Adam divides by small numbers


@on_tensorflow
@pytest.mark.slow
def test_truncation_trains_and_differs():
    whole, cut = (losses_of(model_of_two({**BPTT, **more})) for more in ({}, {"truncate_every": 2}))
    assert np.isclose(whole[0], cut[0], rtol=0.05)
    assert not np.allclose(whole, cut, rtol=1e-6)
    assert cut[-1] < cut[0]


def test_a_file_keeps_the_choice_and_training_goes_on(tmp_path):
    model = model_of_two({**BPTT, "truncate_every": 3})
    losses_of(model, 1)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    directions = again.layers[1].forward_layer, again.layers[1].backward_layer
    for layer in (*directions, again.layers[2]):
        assert (layer.gradient, layer.truncate_every) == ("bptt", 3)
    np.testing.assert_allclose(losses_of(again), losses_of(model), rtol=1e-6)


@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU"])
def test_the_default_leaves_no_trace_in_the_configuration(name):
    """So that Keras's layer takes ours."""
    layer = getattr(custom_layers, name)(3)
    assert not {"gradient", "truncate_every"} & set(layer.get_config())
    config = {k: v for k, v in layer.get_config().items() if name != "SimpleRNN" or k != "seed"}
    getattr(keras.layers, name).from_config(config)
    chosen = getattr(custom_layers, name)(3, **BPTT).get_config()
    assert chosen["gradient"] == "bptt"
    assert "truncate_every" not in chosen


@on_tensorflow
@pytest.mark.parametrize("jit", [False, True], ids=["graph", "jit"])
def test_any_batch_and_any_number_of_steps(jit):
    import tensorflow as tf

    layers = [custom_layers.LSTM(4, return_sequences=True, **c) for c in (BPTT, {})]
    for layer in layers:
        layer.build((None, None, FEATURES))
    layers[1].set_weights(layers[0].get_weights())

    def gradients(layer):
        @tf.function(jit_compile=jit, input_signature=[tf.TensorSpec((None, None, FEATURES))])
        def run(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(layer(x) ** 2)
            return tape.gradient(loss, [x, *(w.value for w in layer.trainable_variables)])

        return run

    runs = [gradients(layer) for layer in layers]
    for batch, steps in ((2, 1), (3, 7)):
        x = keras.random.normal((batch, steps, FEATURES), seed=steps)
        for got, wanted in zip(*(run(x) for run in runs), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


@on_tensorflow
def test_a_tape_around_a_compiled_function():
    """TensorFlow builds the backward function by itself, in a graph of its own."""
    import tensorflow as tf

    x = tf.constant(data()[0])
    layer = custom_layers.GRU(4, **BPTT)
    layer(x)
    found = []
    for run in (layer, tf.function(layer), tf.function(layer, jit_compile=True)):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(run(x) ** 2)
        found.append(tape.gradient(loss, [w.value for w in layer.trainable_variables]))
    for other in found[1:]:
        for got, wanted in zip(other, found[0], strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


@on_tensorflow
@pytest.mark.slow
def test_an_exported_model_answers_the_same(tmp_path):
    import tensorflow as tf

    model = model_of_two(BPTT)
    x = data()[0]
    model.export(str(tmp_path / "saved"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    np.testing.assert_allclose(loaded.serve(tf.constant(x)), model(x), rtol=1e-5, atol=1e-6)
