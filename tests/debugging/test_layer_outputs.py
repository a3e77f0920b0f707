"""The output of any layer and its gradient, and hooks: equal to a tape's, and gone in time."""

import gc
import weakref

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("recording needs TensorFlow", allow_module_level=True)

import tensorflow as tf

import custom_layers
from custom_layers.debugging import GradientInspector, hook, record
from custom_layers.debugging.hooks import _hooks

rng = np.random.default_rng(3)
x = rng.standard_normal((6, 5, 4))
y = rng.standard_normal((6, 1))


@pytest.fixture(autouse=True)
def float64():
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy("float32")


def functional(layers):
    """Masked steps, a shared layer, a nested model, and a layer that returns three tensors."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((5, 4))
    masked = keras.layers.Masking(name="masking")(inputs)
    sequence, h, c = layers.LSTM(3, return_sequences=True, return_state=True, name="lstm")(masked)
    shared = layers.Dense(3, activation="relu", name="shared")
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="deep")], name="inner")
    pooled = keras.layers.GlobalAveragePooling1D(name="pool")(sequence)
    joined = keras.layers.Concatenate(name="join")([shared(h), shared(c), pooled])
    split = inner(keras.layers.Dense(3, name="before")(joined))
    return keras.Model(inputs, layers.Dense(1, name="last")(split))


def loss_of(model, inputs=x):
    return tf.reduce_sum(tf.square(model(inputs) - y))


@pytest.mark.parametrize("layers", [custom_layers, keras.layers], ids=["custom", "builtin"])
@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_each_output_s_gradient_is_a_tape_s_from_that_layer_on(layers, mode):
    model = functional(layers)
    inputs = x.copy()
    inputs[:3, 3:] = 0  # masked steps

    def all_gradients():
        with record(model) as trace, tf.GradientTape() as tape:
            loss = loss_of(model, tf.constant(inputs))
        return {name: (q.value, q.gradient) for name, q in trace.read(tape, loss).items()}

    run = {"eager": lambda f: f, "graph": tf.function}.get(
        mode, lambda f: tf.function(f, jit_compile=True)
    )
    got = run(all_gradients)()
    assert "inner/output" not in got  # the tensor of inner/deep
    for name in ("before", "pool", "inner/deep", "last", "shared", "shared:2", "lstm"):
        assert f"{name}/output" in got
    assert {"lstm/output_2", "lstm/output_3"} < set(got)

    # The rest of the model, run by hand from the value on.
    for name, rest in {
        "join": lambda v: model.get_layer("last")(
            model.get_layer("inner")(model.get_layer("before")(v))
        ),
        "before": lambda v: model.get_layer("last")(model.get_layer("inner")(v)),
        "inner/deep": model.get_layer("last"),
        "last": lambda v: v,
    }.items():
        value, gradient = got[f"{name}/output"]
        with tf.GradientTape() as tape:
            tape.watch(value)
            loss = tf.reduce_sum(tf.square(rest(value) - y))
        np.testing.assert_allclose(gradient, tape.gradient(loss, value), rtol=1e-12, atol=1e-12)


def test_masks_travel_on_and_numbers_stay():
    model = functional(keras.layers)
    inputs = x.copy()
    inputs[:3, 3:] = 0
    plain = model(inputs)
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(inputs))
    np.testing.assert_array_equal(trace.read(tape, loss)["last/output"].value, plain)


def test_nothing_is_left_behind():
    model = functional(custom_layers)
    with record(model) as trace, tf.GradientTape() as tape:
        loss = loss_of(model)
    trace.read(tape, loss)
    with pytest.raises(KeyError), record(model):
        raise KeyError("mine")
    assert not any("call" in vars(layer) for layer in model._flatten_layers())
    model.to_json()


def test_a_call_of_one_s_own_is_put_back():
    model = functional(custom_layers)
    layer = model.get_layer("last")
    own = layer.call
    vars(layer)["call"] = own
    with record(model):
        assert layer.call is not own
    assert layer.call is own


def test_what_runs_inside_a_loop_is_no_output():
    inside = keras.layers.TimeDistributed(keras.layers.Dense(2, name="dense"), name="each")
    model = keras.Sequential([keras.Input((5, 4)), inside, keras.layers.GRU(2, name="gru")])
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x))
    assert list(trace.read(tape, loss)) == ["each/output", "gru/output"]


def test_indices_are_passed_by():
    tokens = rng.integers(0, 9, (6, 5))
    model = keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            keras.layers.Lambda(lambda t: t),
            keras.layers.Embedding(9, 4, name="embedding"),
        ]
    )
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model(tokens)))
    assert list(trace.read(tape, loss)) == ["embedding/output"]


def test_a_hook_gets_the_value_and_the_gradient_until_it_is_removed():
    model, seen = functional(custom_layers), []
    handle = hook(model.get_layer("lstm"), "c", lambda *got: seen.append(got))

    def read():
        with record(model) as trace, tf.GradientTape() as tape:
            loss = loss_of(model)
        return trace.read(tape, loss)["lstm/c"]

    wanted = read()
    np.testing.assert_array_equal(seen[0][0], wanted.value)
    np.testing.assert_array_equal(seen[0][1], wanted.gradient)
    handle.remove()
    handle.remove()
    read()
    assert len(seen) == 1
    with hook(model.get_layer("last"), "output", lambda *got: seen.append(got)):
        read()
    read()
    assert len(seen) == 2
    assert seen[1][0].shape == (6, 1)


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_hook_inside_fit_may_come_and_go_while_it_trains(jit_compile, tmp_path):
    model, seen = functional(custom_layers), []
    model.compile("sgd", "mse", jit_compile=jit_compile)
    handles = []

    def add_or_remove(epoch, _):
        if epoch == 1:
            handles.append(
                hook(model.get_layer("lstm"), "h", lambda v, g: seen.append((v.copy(), g.copy())))
            )
        if epoch == 3:
            handles.pop().remove()

    model.fit(
        *(x, y),
        batch_size=6,
        epochs=5,
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_begin=add_or_remove),
            GradientInspector(tmp_path, (x, y), every=1),
        ],
    )
    assert len(seen) == 2
    assert seen[0][0].shape == seen[0][1].shape == (6, 5, 3)
    assert not np.array_equal(seen[0][1], seen[1][1])


def test_hooks_do_not_keep_a_model_alive():
    model = functional(custom_layers)
    hook(model.get_layer("lstm"), "c", lambda value, gradient: None)
    layer = weakref.ref(model.get_layer("lstm"))
    before = len(_hooks)
    del model
    keras.backend.clear_session()
    gc.collect()
    assert layer() is None
    assert len(_hooks) < before


def test_bad_hooks():
    layer = custom_layers.GRU(2)
    with pytest.raises(TypeError, match=r"`layer` must be a layer\. Received: str.*get_layer"):
        hook("gru", "h", print)
    with pytest.raises(TypeError, match=r"`function` must take.*Received: int"):
        hook(layer, "h", 3)
    with pytest.raises(ValueError, match=r"`quantity` must be the name.*Received: quantity=None"):
        hook(layer, None, print)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "own softmax"])
def test_a_cross_entropy_finds_the_logits_behind_a_probability(kind, mode):
    """Keras computes it from them; from the probabilities of far-off logits it would get 16 and 0."""
    keras.config.set_dtype_policy("float32")  # a loss casts float64, and the logits are lost
    inputs = keras.Input((2,))
    if kind == "own softmax":
        outputs = keras.layers.Lambda(tf.nn.softmax)(keras.layers.Dense(3, name="d")(inputs))
    else:
        outputs = keras.layers.Dense(3, activation=kind, name="d")(inputs)
    model = keras.Model(inputs, outputs)
    model.get_layer("d").kernel.assign([[800.0, 0, 0], [0, 0, 0]])
    x, y = tf.constant([[1.0, 1.0]]), tf.constant([[0.0, 1.0, 0.0]])
    loss_fn = (
        keras.losses.BinaryCrossentropy()
        if kind == "sigmoid"
        else keras.losses.CategoricalCrossentropy()
    )

    def both():
        with tf.GradientTape() as tape:
            plain = loss_fn(y, model(x))
        wanted = tape.gradient(plain, model.get_layer("d").kernel.value)
        with record(model) as trace, tf.GradientTape() as tape:
            loss = loss_fn(y, model(x))
        return plain, loss, wanted, trace.read(tape, loss).weights["d/kernel"]

    if kind == "own softmax" and mode == "eager":
        return  # Keras finds these logits in a graph alone
    plain, loss, wanted, got = (both if mode == "eager" else tf.function(both))()
    assert float(plain) > 100
    np.testing.assert_array_equal(plain, loss)
    np.testing.assert_array_equal(wanted, got)
