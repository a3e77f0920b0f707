"""The inspector writes what a tape gives, at the right steps, and leaves the training as it is."""

import re

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("the inspector writes TensorFlow summaries", allow_module_level=True)

import tensorflow as tf

import custom_layers
from custom_layers.debugging import GradientInspector, record
from custom_layers.debugging.measures.gradient_statistics import gradient_statistics
from custom_layers.debugging.measures.vanishing_ratio import vanishing_ratio
from custom_layers.debugging.schedules import Every
from tests.debugging.logs import events

rng = np.random.default_rng(0)
x = rng.standard_normal((24, 6, 4)).astype("float32")
y = rng.standard_normal((24, 1)).astype("float32")
PROBE = (x[:8], y[:8])
NUMBER = re.compile(r"\d{3,}")  # in the names of functions, counted over the whole process


def make(layers=custom_layers, **options):
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((6, 4)),
            layers.GRU(5, dropout=0.2, seed=2, name="gru"),
            keras.layers.BatchNormalization(name="norm"),
            layers.Dense(1, name="dense"),
        ],
        name="model",
    )
    model.compile("adam", "mse", metrics=["mae"], **options)
    return model


def fit(model, callbacks=(), epochs=3):
    return model.fit(
        x, y, batch_size=4, epochs=epochs, shuffle=False, verbose=0, callbacks=list(callbacks)
    ).history


def scalars(folder, tag):
    """Value by step."""
    return {e.step: float(tf.make_ndarray(e.tensor_proto)) for e in events(folder).Tensors(tag)}


@pytest.mark.parametrize("options", [{}, {"jit_compile": True}, {"run_eagerly": True}], ids=str)
def test_training_is_the_same_with_and_without_inspection(options, tmp_path):
    """Losses, metrics, weights, seeds and moving averages, with dropout and batch normalization."""
    plain, watched = make(**options), make(**options)
    inspector = GradientInspector(tmp_path, PROBE, every=2)
    assert fit(plain) == fit(watched, [inspector])
    for mine, theirs in zip(plain.variables, watched.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("layers", [custom_layers, keras.layers], ids=["custom", "builtin"])
def test_what_is_written_is_what_a_tape_gives(layers, tmp_path):
    model = make(layers)
    fit(model, [GradientInspector(tmp_path, PROBE, every=1000, training=False)], epochs=1)
    again = make(layers)
    with tf.GradientTape() as tape:
        loss = again.compute_loss(x=PROBE[0], y=PROBE[1], y_pred=again(PROBE[0], training=False))
    gradients = tape.gradient(loss, [w.value for w in again.trainable_variables])
    np.testing.assert_allclose(scalars(tmp_path, "loss/probe")[0], loss, rtol=1e-5)
    for weight, gradient in zip(again.trainable_variables, gradients, strict=True):
        tag = weight.path.removeprefix("model/")
        written = scalars(tmp_path, f"{tag}/gradient_norm")[0]
        np.testing.assert_allclose(written, tf.norm(gradient), rtol=1e-4)
        assert f"{tag}/gradient" in events(tmp_path).Tags()["tensors"]
    total = scalars(tmp_path, "all_weights/gradient_norm")[0]
    np.testing.assert_allclose(total, tf.linalg.global_norm(gradients), rtol=1e-4)


def test_states_and_gates_are_written_as_the_recorder_gives_them(tmp_path):
    model = make()
    fit(model, [GradientInspector(tmp_path, PROBE, every=1000, training=False)], epochs=1)
    again = make()
    with record(again) as trace, tf.GradientTape() as tape:
        loss = again.compute_loss(x=PROBE[0], y=PROBE[1], y_pred=again(PROBE[0], training=False))
    for name, quantity in trace.read(tape, loss).items():
        written = scalars(tmp_path, f"{name}/gradient_norm")[0]
        np.testing.assert_allclose(written, tf.norm(quantity.gradient), rtol=1e-4)
        if name == "gru/h":
            norms = quantity.gradient_norms()
            ratio = scalars(tmp_path, "gru/h/vanishing_ratio")[0]
            np.testing.assert_allclose(ratio, norms[0] / norms[-1], rtol=1e-4)


def test_both_houses_write_the_same_tags_for_the_weights(tmp_path):
    tags = {}
    for name, layers in {"custom": custom_layers, "builtin": keras.layers}.items():
        fit(make(layers), [GradientInspector(tmp_path / name, PROBE, every=1000)], epochs=1)
        tags[name] = set(events(tmp_path / name).Tags()["tensors"])
    assert tags["builtin"] < tags["custom"]


@pytest.mark.parametrize(
    ("options", "steps"),
    [({}, [0, 4, 8, 12, 16]), ({"steps_per_execution": 3}, [0, 6, 9, 12, 18])],
    ids=["each step", "three at once"],
)
def test_looks_at_the_multiples_and_goes_on_where_it_stopped(options, steps, tmp_path):
    """Six steps an epoch: no step is left out or repeated when `fit` is called again."""
    model = make(**options)
    for _ in range(3):
        fit(model, [GradientInspector(tmp_path, PROBE, every=4)], epochs=1)
    assert sorted(scalars(tmp_path, "loss/probe")) == steps


def test_gradients_of_float16_are_unscaled(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    fit(make(), [GradientInspector(tmp_path / "half", PROBE, training=False)], epochs=1)
    keras.config.set_dtype_policy("float32")
    fit(make(), [GradientInspector(tmp_path / "full", PROBE, training=False)], epochs=1)
    for tag in ("loss/probe", "all_weights/gradient_norm", "gru/h/gradient_norm"):
        half, full = (scalars(tmp_path / name, tag)[0] for name in ("half", "full"))
        np.testing.assert_allclose(half, full, rtol=0.02)


def test_several_inputs_losses_and_sample_weights(tmp_path):
    first, second = keras.Input((6, 4)), keras.Input((3,))
    encoded = custom_layers.LSTM(4, name="lstm")(first)
    one = custom_layers.Dense(1, name="one")(encoded)
    two = custom_layers.Dense(2, name="two")(keras.layers.Concatenate()([encoded, second]))
    model = keras.Model([first, second], [one, two])
    model.compile("sgd", ["mse", "mae"])
    inputs, outputs = [x, x[:, 0, :3]], [y, np.repeat(y, 2, axis=1)]
    weights = [np.ones(24), np.zeros(24)]
    probe = inputs, outputs, weights
    model.fit(
        *probe[:2], sample_weight=weights, verbose=0, callbacks=[GradientInspector(tmp_path, probe)]
    )
    assert scalars(tmp_path, "two/kernel/gradient_norm")[0] == 0
    assert scalars(tmp_path, "one/kernel/gradient_norm")[0] > 0
    assert scalars(tmp_path, "lstm/c/gradient_norm")[0] > 0


def test_frozen_weights_have_no_chart_and_states_still_do(tmp_path):
    model = make()
    model.trainable = False
    model.compile("sgd", "mse")
    inspector = GradientInspector(tmp_path, PROBE)
    inspector.set_model(model)
    inspector.on_train_begin()
    assert scalars(tmp_path, "all_weights/gradient_norm")[0] == 0
    assert scalars(tmp_path, "gru/h/gradient_norm")[0] > 0
    assert "dense/kernel/gradient_norm" not in events(tmp_path).Tags()["tensors"]


def test_a_nan_is_shown_and_not_dropped(tmp_path):
    model = make()
    bad = PROBE[0].copy()
    bad[0, 2, 0] = np.nan
    fit(model, [GradientInspector(tmp_path, (bad, PROBE[1]), histograms=False)], epochs=1)
    assert np.isnan(scalars(tmp_path, "loss/probe")[0])
    assert scalars(tmp_path, "gru/gru_cell/kernel/gradient_not_finite")[0] == 1


def test_statistics_of_a_gradient():
    got = gradient_statistics(tf.constant([[3.0, 0.0], [-4.0, np.inf]]))
    assert float(got["zeros"]) == 0.25
    assert float(got["not_finite"]) == 0.25
    got = gradient_statistics(tf.constant([[3.0, 0.0], [-4.0, 0.0]]))
    assert [float(got[k]) for k in ("norm", "mean", "largest")] == [5, -0.25, 4]


def test_vanishing_ratio_reads_the_steps_that_each_sequence_took():
    gradient = np.zeros((2, 4, 1))
    gradient[0, :, 0] = [3, 9, 9, 8]  # steps 0 to 3
    gradient[1, :, 0] = [0, 4, 6, 0]  # steps 1 and 2
    mask = np.array([[1, 1, 1, 1], [0, 1, 1, 0]], bool)
    assert float(vanishing_ratio(gradient, mask)) == 0.5  # |(3, 4)| / |(8, 6)|
    assert float(vanishing_ratio(gradient, mask, backwards=True)) == 2
    assert float(vanishing_ratio(gradient[:1])) == 3 / 8


@pytest.mark.parametrize("every", [0, -1, 2.5, "ten", True, None])
def test_every_is_a_number_of_steps(every):
    with pytest.raises(
        ValueError, match=r"`every` must be an integer of 1 or more.*Received: every="
    ):
        Every(every)


def test_bad_input_gets_one_line(tmp_path):
    taken = tmp_path / "file"
    taken.write_text("")
    with pytest.raises(ValueError, match=r"`log_dir` must be a folder.*Choose another"):
        GradientInspector(taken, PROBE)
    with pytest.raises(ValueError, match=r"`probe` must be \(x, y\).*Received: ndarray.*probe=\(x"):
        GradientInspector(tmp_path, x)
    inspector = GradientInspector(tmp_path, PROBE)
    inspector.set_model(keras.Sequential([keras.Input((6, 4)), custom_layers.GRU(2)]))
    with pytest.raises(
        ValueError,
        match=r"a model that is not compiled has no loss.*Received: model='sequential.*model\.compile",
    ):
        inspector.on_train_begin()


def test_the_training_graph_is_the_same_node_for_node(tmp_path):
    """With and without inspection: every node, its inputs and attributes, inside of loops too."""

    def nodes_with(callbacks):
        graphs = []

        class Spied(keras.Sequential):
            def train_step(self, data):
                graphs.append(tf.compat.v1.get_default_graph())
                return super().train_step(data)

        keras.utils.clear_session()  # which also begins to count names anew
        keras.utils.set_random_seed(5)
        gru = custom_layers.GRU(5, dropout=0.2, seed=2, name="gru")
        layers = [keras.Input((None, 4)), gru, custom_layers.Dense(1, name="dense")]
        model = Spied(layers, name="spied")
        model.compile("adam", "mse", jit_compile=False)
        fit(model, callbacks, epochs=1)
        definition = graphs[-1].as_graph_def()  # the first one makes the optimizer's variables
        functions = [node for f in definition.library.function for node in f.node_def]
        return sorted(NUMBER.sub("#", str(node)) for node in [*definition.node, *functions])

    plain = nodes_with([])
    assert nodes_with([GradientInspector(tmp_path, PROBE, every=1)]) == plain
    assert len(plain) > 500
    assert any("While" in node for node in plain)


def test_a_model_that_asks_for_no_training_argument_is_looked_at_as_it_trains(tmp_path):
    """Keras's trainer does not tell it, and its dropout is off."""

    class Silent(keras.Model):
        def __init__(self):
            super().__init__()
            self.drop = keras.layers.Dropout(0.9, seed=1)
            self.dense = custom_layers.Dense(1, name="dense")

        def call(self, inputs):
            return self.dense(self.drop(inputs[:, 0]))

    model = Silent()
    model.compile("sgd", "mse")
    model.build((None, 6, 4))
    without_dropout = model.dense(PROBE[0][:, 0])
    model.fit(*PROBE, verbose=0, callbacks=[GradientInspector(tmp_path, PROBE)])
    wanted = np.mean((without_dropout - PROBE[1]) ** 2)
    np.testing.assert_allclose(scalars(tmp_path, "loss/probe")[0], wanted, rtol=1e-5)


def test_no_step_is_measured_across_the_end_of_a_training(tmp_path):
    """Keras begins a batch that never comes where data end; after that the model trains unwatched."""
    model = make()
    inspector = GradientInspector(tmp_path, PROBE, every=1)
    two_batches = tf.data.Dataset.from_tensor_slices((x[:8], y[:8])).batch(4)
    of_unknown_length = two_batches.filter(lambda *batch: True)
    model.fit(of_unknown_length, shuffle=False, verbose=0, callbacks=[inspector])
    fit(model, epochs=1)
    fit(model, [inspector], epochs=1)
    ratios = scalars(tmp_path, "dense/kernel/update_ratio")
    # The optimizer counts the batch that never came as step 3.
    assert sorted(scalars(tmp_path, "loss/probe")) == [0, 1, 2, *range(9, 16)]
    assert sorted(ratios) == [1, 2, *range(10, 16)]


@pytest.mark.parametrize("layers", [custom_layers, keras.layers], ids=["custom", "builtin"])
def test_a_stateful_layer_keeps_its_states_and_its_batch_size(layers, tmp_path):
    """A look leaves the states as they were, and does not ask for half a batch."""

    def trained(callbacks):
        keras.utils.set_random_seed(5)
        gru = layers.GRU(3, stateful=True, name="gru")
        model = keras.Sequential([keras.Input((6, 4), batch_size=8), gru, layers.Dense(1)])
        model.compile("sgd", "mse")
        history = model.fit(
            x, y, batch_size=8, shuffle=False, epochs=2, verbose=0, callbacks=callbacks
        ).history
        return history, [np.array(state) for state in keras.tree.flatten(gru.states)]

    plain, watched = trained([]), trained([GradientInspector(tmp_path, PROBE, every=1)])
    assert plain[0] == watched[0]
    for mine, theirs in zip(plain[1], watched[1], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert np.any(plain[1][0])
    assert "all_weights/noise_scale" not in events(tmp_path).Tags()["tensors"]


def test_a_model_that_is_compiled_anew_is_measured_anew_and_its_log_goes_on(tmp_path):
    """Fine-tuning: a layer is unfrozen, the loss is another one, the new optimizer counts from 0."""
    model = make()
    model.get_layer("gru").trainable = False
    model.compile("sgd", "mse")
    inspector = GradientInspector(tmp_path, PROBE, every=2, training=False)
    fit(model, [inspector], epochs=1)
    model.get_layer("gru").trainable = True
    model.compile("sgd", "mae")
    fit(model, [inspector], epochs=1)
    wanted = model.compute_loss(x=None, y=PROBE[1], y_pred=model(PROBE[0], training=False))
    losses = scalars(tmp_path, "loss/probe")
    assert sorted(losses) == [0, 2, 4, 6, 8, 10, 12]
    np.testing.assert_allclose(losses[12], wanted, rtol=1e-5)
    assert sorted(scalars(tmp_path, "gru/gru_cell/kernel/gradient_norm")) == [8, 10, 12]


def test_the_log_of_an_earlier_run_is_set_aside_and_not_lost(tmp_path, caplog):
    for _ in range(2):
        fit(make(), [GradientInspector(tmp_path, PROBE, every=2)], epochs=1)
    assert len(list(tmp_path.glob("earlier.*"))) == 1
    assert sorted(scalars(tmp_path, "loss/probe")) == [0, 2, 4, 6]
    assert "held the log of an earlier run" in caplog.text
