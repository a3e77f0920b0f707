"""The recorder's gradients are those of a loop unrolled by hand, and those of central differences."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("the recorder listens with TensorFlow's tape", allow_module_level=True)

import tensorflow as tf

import custom_layers
from custom_layers.debugging import record
from tests.debugging.unrolled import Unrolled
from tests.parity.harness import ragged_mask

BATCH, STEPS, FEATURES, UNITS = 3, 6, 4, 5
QUANTITIES = {
    "SimpleRNN": ["h"],
    "LSTM": ["i", "f", "g", "o", "c", "h"],
    "GRU": ["z", "r", "n", "h"],
    "GRU before": ["z", "r", "n", "h"],
}
every_kind = pytest.mark.parametrize("kind", QUANTITIES)


@pytest.fixture(autouse=True)
def float64():
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")


def make(kind, **options):
    name, _, before = kind.partition(" ")
    if name == "GRU":
        options["reset_after"] = not before
    return getattr(custom_layers, name)(UNITS, **options)


def random_weights(layer, seed=3):
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_variables:
        weight.assign(0.6 * rng.standard_normal(weight.shape))


def normal(*shape, seed):
    return np.random.default_rng(seed).standard_normal(shape)


def recorded(layer, call, cotangent):
    with record(layer) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(call() * cotangent)
    return trace.read(tape, loss)


def unrolled_loss(run, x, mask, reverse, return_sequences, cotangent):
    """The same loss, of the layer unrolled by hand. A reversed layer turns its outputs around."""
    outputs, last = run(x, mask, reverse)
    if not return_sequences:
        return tf.reduce_sum(last * cotangent)
    order = sorted(outputs, reverse=reverse)
    return tf.reduce_sum(tf.stack([outputs[t] for t in order], axis=1) * cotangent)


ACTIVATED = dict.fromkeys("ifozr", tf.sigmoid) | dict.fromkeys("gn", tf.tanh)


@every_kind
@pytest.mark.parametrize("mode", ["eager", "graph", "jit"])
@pytest.mark.parametrize("go_backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("return_sequences", [False, True], ids=["last", "sequences"])
@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
def test_every_step_s_gradient_is_that_of_the_loop_unrolled_by_hand(
    kind, mode, go_backwards, return_sequences, masked
):
    layer = make(kind, return_sequences=return_sequences, go_backwards=go_backwards)
    x = tf.constant(normal(BATCH, STEPS, FEATURES, seed=1))
    layer(x)
    random_weights(layer)
    mask = tf.constant(ragged_mask(BATCH, STEPS)) if masked else None
    shape = (BATCH, STEPS, UNITS) if return_sequences else (BATCH, UNITS)
    cotangent = normal(*shape, seed=2)

    def take():
        recording = recorded(layer, lambda: layer(x, mask=mask), cotangent)
        return {name: (q.value, q.gradient) for name, q in recording.items()}, recording.weights

    if mode != "eager":
        take = tf.function(take, jit_compile=mode == "jit")
    got, weights = take()

    run = Unrolled(kind, [w.numpy() for w in layer.trainable_variables])
    with tf.GradientTape() as tape:
        tape.watch([run.W, run.U, run.b])
        loss = unrolled_loss(run, x, mask, go_backwards, return_sequences, cotangent)
    wanted, wanted_weights = tape.gradient(
        loss, (run.kept, [run.W, run.U, run.b]), unconnected_gradients="zero"
    )
    assert list(got) == [f"{layer.name}/{name}" for name in QUANTITIES[kind]]
    scale = max(np.abs(run.stacked(n, wanted[n])).max() for n in QUANTITIES[kind])
    for name in QUANTITIES[kind]:
        value, gradient = got[f"{layer.name}/{name}"]
        difference = np.abs(gradient - run.stacked(name, wanted[name])).max()
        assert difference <= 1e-10 * scale, name  # seen: 4e-16
        activated = ACTIVATED.get(name, tf.identity)(run.stacked(name))
        np.testing.assert_allclose(value, activated, rtol=0, atol=1e-12)
    for got_weight, wanted_weight in zip(weights.values(), wanted_weights, strict=True):
        np.testing.assert_allclose(got_weight, wanted_weight, rtol=0, atol=1e-10 * scale)


@every_kind
@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
def test_every_gradient_agrees_with_central_differences(kind, masked):
    layer = make(kind, return_sequences=True)
    x = tf.constant(normal(BATCH, STEPS, FEATURES, seed=1))
    layer(x)
    random_weights(layer)
    mask = tf.constant(ragged_mask(BATCH, STEPS)) if masked else None
    cotangent = normal(BATCH, STEPS, UNITS, seed=2)
    recording = recorded(layer, lambda: layer(x, mask=mask), cotangent)
    weights = [w.numpy() for w in layer.trainable_variables]
    for name in QUANTITIES[kind]:
        direction = normal(BATCH, STEPS, UNITS, seed=4)
        ends = [
            float(
                unrolled_loss(
                    Unrolled(kind, weights, (name, sign * 1e-5 * direction)),
                    *(x, mask, False, True, cotangent),
                )
            )
            for sign in (1, -1)
        ]
        difference = (ends[0] - ends[1]) / 2e-5
        derivative = float(np.sum(recording[f"{layer.name}/{name}"].gradient * direction))
        assert abs(derivative - difference) <= 1e-6 * max(1, abs(difference)), name


@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
def test_both_directions_of_bidirectional(masked):
    layer = custom_layers.Bidirectional(custom_layers.LSTM(UNITS, return_sequences=True))
    x = tf.constant(normal(BATCH, STEPS, FEATURES, seed=1))
    layer(x)
    random_weights(layer)
    mask = tf.constant(ragged_mask(BATCH, STEPS)) if masked else None
    cotangent = normal(BATCH, STEPS, 2 * UNITS, seed=2)
    recording = recorded(layer, lambda: layer(x, mask=mask), cotangent)
    weights = [w.numpy() for w in layer.trainable_variables]
    for index, (direction, reverse) in enumerate({"forward": False, "backward": True}.items()):
        run = Unrolled("LSTM", weights[3 * index : 3 * index + 3])
        half = cotangent[..., index * UNITS : (index + 1) * UNITS]
        with tf.GradientTape() as tape:
            tape.watch(run.W)
            outputs, _ = run(x, mask, reverse)
            stacked = tf.stack([outputs[t] for t in range(STEPS)], axis=1)
            if mask is not None:
                stacked = tf.where(mask[..., None], stacked, 0.0)  # as the wrapper asks for
            loss = tf.reduce_sum(stacked * half)
        wanted = tape.gradient(loss, run.kept, unconnected_gradients="zero")
        for name in QUANTITIES["LSTM"]:
            got = recording[f"{direction}_lstm/{name}"].gradient
            np.testing.assert_allclose(got, run.stacked(name, wanted[name]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("names", [("low", "high"), ("same", "same")], ids=str)
@pytest.mark.parametrize("unroll", [False, True], ids=["", "unrolled"])
def test_all_cells_of_a_stack(names, unroll):
    layer = custom_layers.RNN(
        [
            custom_layers.LSTMCell(UNITS, name=names[0]),
            custom_layers.GRUCell(UNITS, name=names[1]),
        ],
        unroll=unroll,
    )
    x = tf.constant(normal(BATCH, STEPS, FEATURES, seed=1))
    layer(x)
    random_weights(layer)
    cotangent = normal(BATCH, UNITS, seed=2)
    recording = recorded(layer, lambda: layer(x), cotangent)
    weights = [w.numpy() for w in layer.trainable_variables]
    low, high = Unrolled("LSTM", weights[:3]), Unrolled("GRU", weights[3:])
    with tf.GradientTape() as tape:
        tape.watch([low.W, high.W])
        below, _ = low(x)
        _, last = high(tf.stack([below[t] for t in range(STEPS)], axis=1))
        loss = tf.reduce_sum(last * cotangent)
    wanted = tape.gradient(loss, {"low": low.kept, "high": high.kept})
    for cell, run in {"low": low, "high": high}.items():
        shown = cell if names[0] != names[1] else {"low": "same", "high": "same:2"}[cell]
        for name in run.kept:
            got = recording[f"{layer.name}/{shown}/{name}"].gradient
            np.testing.assert_allclose(
                got, run.stacked(name, wanted[cell][name]), rtol=0, atol=1e-10
            )


@every_kind
def test_listening_changes_no_number_and_the_dropout_masks_are_the_same(kind):
    layer = make(kind, dropout=0.4, recurrent_dropout=0.3, seed=3, return_sequences=True)
    x = tf.constant(normal(BATCH, STEPS, FEATURES, seed=1))
    layer(x)
    random_weights(layer)
    seeds = [v.numpy() for v in layer.non_trainable_variables]
    plain = layer(x, training=True)
    for variable, value in zip(layer.non_trainable_variables, seeds, strict=True):
        variable.assign(value)
    with record(layer), tf.GradientTape():
        watched = layer(x, training=True)
    np.testing.assert_array_equal(plain, watched)


ATTENTIONS = {
    "MultiHeadAttention": lambda: custom_layers.MultiHeadAttention(2, 4),
    "MultiHeadAttention with dropout": lambda: custom_layers.MultiHeadAttention(2, 4, dropout=0.2),
    "GroupQueryAttention": lambda: custom_layers.GroupQueryAttention(4, 4, 2, use_gate=True),
    "GroupQueryAttention with dropout": lambda: custom_layers.GroupQueryAttention(
        4, 2, 1, dropout=0.2
    ),
    "Attention": lambda: custom_layers.Attention(score_mode="concat"),
    "AdditiveAttention": lambda: custom_layers.AdditiveAttention(),
    "BahdanauAttention": lambda: custom_layers.BahdanauAttention(4),
    "LuongAttention": lambda: custom_layers.LuongAttention(),
}


@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
@pytest.mark.parametrize("name", ATTENTIONS)
def test_attention_scores_and_weights(name, masked):
    """dL/dweights by the rule of the average; dL/dscores by that of the softmax."""
    layer = ATTENTIONS[name]()
    query, value = (tf.constant(normal(BATCH, n, FEATURES, seed=n)) for n in (3, STEPS))
    mask = tf.constant(ragged_mask(BATCH, STEPS)) if masked else None
    listed = name in ("Attention", "AdditiveAttention")
    in_heads = name.startswith(("Multi", "Group"))

    def call():
        if listed:
            return layer([query, value], mask=[None, mask])
        if in_heads:
            return layer(query, value, value_mask=mask)
        return layer(query, value, mask=mask)

    shape = call().shape
    random_weights(layer)
    cotangent = normal(*shape, seed=5)
    recording = recorded(layer, call, cotangent)
    scores, weights = (
        recording[f"{layer.name}/attention_{what}"] for what in ("scores", "weights")
    )
    a, d_a = np.asarray(weights.value), np.asarray(weights.gradient)
    if mask is not None:
        kept = np.asarray(mask)[:, None, None] if a.ndim == 4 else np.asarray(mask)[:, None]
        assert np.abs(a[~np.broadcast_to(kept, a.shape)]).max() == 0
    wanted = a * (d_a - (a * d_a).sum(-1, keepdims=True))  # the Jacobian of the softmax
    np.testing.assert_allclose(scores.gradient, wanted, rtol=0, atol=1e-12)
    assert np.abs(wanted).max() > 1e-3
    if not in_heads:
        by_value = np.einsum("btv,bsv->bts", cotangent, value)
        inside = np.broadcast_to(kept, a.shape) if mask is not None else np.ones_like(a, bool)
        np.testing.assert_allclose(d_a[inside], by_value[inside], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["MultiHeadAttention", "GroupQueryAttention"])
def test_a_kernel_s_attention_is_not_watched_and_its_numbers_stay(kind):
    sizes = {"MultiHeadAttention": (2, 4), "GroupQueryAttention": (4, 4, 2)}[kind]
    layer = getattr(custom_layers, kind)(*sizes, fused=True)
    query, value = (tf.constant(normal(BATCH, n, FEATURES, seed=n)) for n in (3, STEPS))
    plain = layer(query, value)
    with record(layer) as trace, tf.GradientTape() as tape:
        watched = layer(query, value)
        loss = tf.reduce_sum(watched)
    np.testing.assert_array_equal(plain, watched)
    recording = trace.read(tape, loss)
    assert not [name for name in recording if "attention_s" in name or "attention_w" in name]
    assert all(gradient is not None for gradient in recording.weights.values())


def small_model():
    model = keras.Sequential(
        [
            keras.Input((STEPS, FEATURES)),
            custom_layers.GRU(UNITS, name="gru"),
            custom_layers.Dense(1, name="dense"),
        ]
    )
    return model, tf.constant(normal(BATCH, STEPS, FEATURES, seed=1))


def test_inside_fit():
    model, x = small_model()
    seen = []

    class Watched(keras.Model):
        def train_step(self, data):
            with record(self) as trace, tf.GradientTape() as tape:
                loss = tf.reduce_mean(self(data[0], training=True) ** 2)
            recording = trace.read(tape, loss)
            tf.py_function(lambda g: seen.append(g.numpy()), [recording["gru/h"].gradient], [])
            self.optimizer.apply(list(recording.weights.values()), self.trainable_variables)
            return {"loss": loss}

    watched = Watched(model.inputs, model.outputs)
    watched.compile("sgd")
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_mean(model(x, training=True) ** 2)
    wanted = trace.read(tape, loss)["gru/h"].gradient
    watched.fit(x, np.zeros((BATCH, 1)), batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(seen[0], wanted, rtol=0, atol=1e-10)
    assert len(seen) == 2
    assert not np.allclose(seen[0], seen[1])


def test_names_of_nested_and_of_shared_layers():
    shared = custom_layers.SimpleRNN(UNITS, return_sequences=True, name="shared")
    inner = keras.Sequential([keras.Input((STEPS, FEATURES)), shared], name="inner")
    inputs = keras.Input((STEPS, FEATURES))
    joined = keras.layers.Add()([inner(inputs), inner(inputs)])
    model = keras.Model(inputs, custom_layers.Dense(1)(joined))
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(normal(BATCH, STEPS, FEATURES, seed=1)))
    recording = trace.read(tape, loss)
    assert [name for name in recording if name.endswith("/h")] == [
        "inner/shared/h",
        "inner/shared:2/h",
    ]
    assert all(norms.shape == (STEPS,) for norms in recording.gradient_norms().values())


def test_weights_of_one_name_are_kept_apart():
    class Twice(keras.Model):
        def __init__(self):
            super().__init__(name="twice")
            self.pair = [custom_layers.GRU(UNITS, name="same") for _ in range(2)]

        def call(self, inputs):
            return self.pair[0](inputs) + self.pair[1](inputs)

    model = Twice()
    model(normal(BATCH, STEPS, FEATURES, seed=1))
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(normal(BATCH, STEPS, FEATURES, seed=1)))
    recording = trace.read(tape, loss)
    assert len(recording.weights) == 6
    assert [name for name in recording if name.endswith("/h")] == ["same/h", "same:2/h"]


def test_other_models_are_not_heard():
    model, x = small_model()
    other, _ = small_model()
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x)) + tf.reduce_sum(other(x))
    names = ["gru/z", "gru/r", "gru/n", "gru/h", "gru/output", "dense/output"]
    assert list(trace.read(tape, loss)) == names


def test_what_the_loss_does_not_depend_on_is_said():
    model, x = small_model()
    side = custom_layers.SimpleRNN(UNITS, name="side")
    both = keras.Model(model.inputs, [model.outputs[0], side(model.inputs[0])])
    with record(both) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(both(x)[0])
    recording = trace.read(tape, loss)
    assert "side/h" in recording.not_reached
    assert not np.any(recording["side/h"].gradient)
    assert "the loss does not depend on: side/h" in repr(recording)


def test_an_error_inside_the_block_ends_the_listening():
    model, x = small_model()
    with pytest.raises(KeyError), record(model):
        raise KeyError("mine")
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x))
    assert len(trace.read(tape, loss)) == 6


def test_a_recorder_in_a_recorder_is_refused():
    model, _ = small_model()
    with record(model), pytest.raises(RuntimeError, match=r"listening already.*outer block"):
        record(model).__enter__()


def test_a_recorder_is_not_used_twice():
    model, _ = small_model()
    trace = record(model)
    with trace:
        pass
    with pytest.raises(RuntimeError, match=r"one block\. Make a new one: record\(model\)"):
        trace.__enter__()


def test_a_tape_answers_once():
    model, x = small_model()
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x))
    trace.read(tape, loss)
    with pytest.raises(RuntimeError, match=r"answered before.*recording\.weights"):
        trace.read(tape, loss)


def test_nothing_recorded_and_no_model():
    with pytest.raises(TypeError, match=r"`model` must be a keras\.Model.*Received: str"):
        record("gru")
    model, x = small_model()
    loss = tf.reduce_sum(model(x))
    with record(model) as trace, tf.GradientTape() as tape:
        pass
    with pytest.raises(RuntimeError, match=r"nothing was recorded.*Call the model inside"):
        trace.read(tape, loss)


def test_a_model_of_keras_s_layers_shows_its_weights_gradients():
    gru = keras.layers.GRU(UNITS, name="gru")
    model = keras.Sequential([keras.Input((STEPS, FEATURES)), gru])
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(normal(BATCH, STEPS, FEATURES, seed=1)))
    recording = trace.read(tape, loss)
    assert list(recording) == ["gru/output"]
    assert len(recording.weights) == 3


def test_a_name_that_was_not_recorded():
    model, x = small_model()
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x))
    with pytest.raises(KeyError, match=r"no quantity 'gru/c'.*gru/z, gru/r"):
        trace.read(tape, loss)["gru/c"]


def test_a_recurrent_layer_that_cannot_be_watched_is_reported():
    foreign_loop = keras.layers.RNN(custom_layers.GRUCell(UNITS), name="foreign_loop")
    foreign_cell = custom_layers.RNN(keras.layers.GRUCell(UNITS), name="foreign_cell")
    sequence, x = keras.Input((STEPS, FEATURES)), normal(BATCH, STEPS, FEATURES, seed=1)
    closed = keras.layers.Bidirectional(keras.layers.LSTM(UNITS, name="closed"), name="both")
    open_one = custom_layers.LSTM(UNITS, name="open")
    outputs = [layer(sequence) for layer in (foreign_loop, foreign_cell, closed, open_one)]
    model = keras.Model(sequence, outputs)
    with record(model) as trace, tf.GradientTape() as tape:
        loss = sum(tf.reduce_sum(y) for y in model(x))
    recording = trace.read(tape, loss)
    assert recording.not_watchable == [
        *("foreign_loop", "foreign_cell", "both/forward_closed", "both/backward_closed"),
    ]
    assert "not watchable" in repr(recording)
    assert "foreign_loop, foreign_cell, both/forward_closed" in repr(recording)
