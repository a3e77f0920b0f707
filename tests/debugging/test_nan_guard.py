"""The guard names the first tensor that is not finite, keeps the step, and leaves training as it is."""

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("the guard watches TensorFlow's training function", allow_module_level=True)

import tensorflow as tf
from keras import ops

import custom_layers
from custom_layers.debugging import GradientInspector, NaNFound, NaNGuard, replay
from custom_layers.debugging.nan_report import read_batch

rng = np.random.default_rng(0)
x = rng.uniform(0.5, 1.5, (22, 6, 4)).astype("float32")
y = rng.standard_normal((22, 1)).astype("float32")
BATCH = 4


@keras.saving.register_keras_serializable()
class LogOfFirst(keras.layers.Layer):
    """Passes `features` on; adds the log of the inputs, NaN where they are below 0."""

    def call(self, inputs):
        first, features = inputs
        return features + 0.1 * ops.log(first)


def make(optimizer="adam", output="mse", **options):
    """Dropout and batch normalization before the place that can fail, and a loop after it."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input((6, 4), name="inputs")
    h = keras.layers.Dense(4, name="first")(inputs)
    h = keras.layers.BatchNormalization(name="norm")(h)
    h = keras.layers.Dropout(0.3, name="dropout")(h)
    h = LogOfFirst(name="log")([inputs, h])
    h = custom_layers.GRU(5, dropout=0.2, name="gru")(h)
    model = keras.Model(inputs, custom_layers.Dense(1, name="out")(h), name="model")
    model.compile(optimizer, output, metrics=["mae"], **options)
    return model


def recurrent(layer, mask_value=None):
    keras.utils.set_random_seed(5)
    masking = [] if mask_value is None else [keras.layers.Masking(mask_value)]
    model = keras.Sequential(
        [keras.Input((6, 4)), *masking, layer, custom_layers.Dense(1, name="out")], name="model"
    )
    model.compile("sgd", "mse")
    return model


def fit(model, callbacks=(), inputs=x, targets=y, epochs=2, **options):
    options = {"batch_size": BATCH, "shuffle": False, "verbose": 0} | options
    return model.fit(inputs, targets, epochs=epochs, callbacks=list(callbacks), **options).history


def find(model, guard, inputs=x, targets=y, **options):
    with pytest.raises(NaNFound) as caught:
        fit(model, [guard], inputs, targets, **options)
    assert guard.finding == caught.value.finding
    return caught.value


def with_entry(value, *index):
    changed = x.copy()
    changed[index] = value
    return changed


def variables(model):
    return [*model.variables, *model.optimizer.variables]


def assert_same_state(one, other):
    for mine, theirs in zip(variables(one), variables(other), strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=mine.path)


MODES = [
    {},
    {"run_eagerly": True},
    {"steps_per_execution": 4},
    pytest.param({"jit_compile": True}, marks=pytest.mark.slow),
]


# -- a healthy training --------------------------------------------------------------------------


@pytest.mark.parametrize("options", MODES, ids=str)
def test_training_is_the_same_with_and_without_the_guard(options, tmp_path):
    """Losses, metrics, weights, seeds, slots, moving averages; the last batch is a smaller one."""
    plain, guarded = make(**options), make(**options)
    before = guarded.train_function
    assert fit(plain) == fit(guarded, [NaNGuard(tmp_path, inside_every=3)])
    assert_same_state(plain, guarded)
    assert not list(tmp_path.iterdir())
    assert before is None
    assert not isinstance(getattr(guarded.train_function, "__self__", None), NaNGuard)


def subclassed():
    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.inner = keras.layers.Dense(3, name="inner")
            self.out = keras.layers.Dense(1, name="out")

        def call(self, inputs):  # takes no `training`
            return self.out(ops.tanh(self.inner(inputs["a"]) + inputs["b"][:, 0]))

    keras.utils.set_random_seed(5)
    return Own()


@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}], ids=str)
def test_a_model_that_is_built_by_its_first_step(options, tmp_path):
    """Subclassed, with a dictionary of inputs and sample weights; no epoch has an end of its own."""

    def data(bad=False):
        arrays = {"a": x[:, 0].copy(), "b": x[:, :, :3].copy()}
        if bad:
            arrays["b"][1, 0, 2] = np.nan
        weights = np.linspace(0, 1, len(x))
        return tf.data.Dataset.from_tensor_slices((arrays, y, weights)).batch(BATCH).repeat()

    def train(model, callbacks, bad=False):
        model.compile("adam", "mse", **options)
        return model.fit(
            data(bad), steps_per_epoch=4, epochs=2, verbose=0, callbacks=callbacks
        ).history

    plain, guarded = subclassed(), subclassed()
    assert train(plain, []) == train(guarded, [NaNGuard(tmp_path)])
    assert_same_state(plain, guarded)

    model, untrained = subclassed(), subclassed()
    with pytest.raises(NaNFound, match=r"holds it already: NaN in the batch's `x`") as caught:
        train(model, [NaNGuard(tmp_path)], bad=True)
    found = caught.value.finding
    assert (found.name, found.row, found.finite_until) == ("out/output", 1, "inner/output")
    untrained.compile("adam", "mse")
    untrained({"a": x[:4, 0], "b": x[:4, :, :3]})
    for mine, theirs in zip(model.weights, untrained.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    kept = read_batch(caught.value.folder)
    assert sorted(kept[0]) == ["a", "b"]
    assert replay(caught.value.folder, untrained) == caught.value.finding


def test_float16_that_scales_its_loss_too_high_is_no_fault(tmp_path):
    """The first gradients overflow, the optimizer leaves them out and halves its scale."""
    keras.config.set_dtype_policy("mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.01), initial_scale=2.0**22
    )
    model = make(optimizer)
    fit(model, [NaNGuard(tmp_path, inside_every=2)], epochs=3)
    assert 0 < int(optimizer.iterations) < 18
    assert float(optimizer.dynamic_scale) < 2.0**22
    error = find(model, NaNGuard(tmp_path), with_entry(-1, 9, 2, 1))
    assert (error.finding.kind, error.finding.name) == ("activation", "log/output")


# -- where it begins -----------------------------------------------------------------------------


@pytest.mark.parametrize("options", MODES, ids=str)
def test_nan_in_a_layer_in_the_middle(options, tmp_path):
    """Epoch 1 is of 6 steps; the third batch, rows 8 to 11, has one entry below 0."""
    model = make(**options)
    healthy = make(**{k: v for k, v in options.items() if k != "steps_per_execution"})
    fit(healthy, epochs=1, steps_per_epoch=2)  # the two steps before it
    error = find(model, NaNGuard(tmp_path), with_entry(-1, 9, 2, 1))
    found = error.finding
    assert (found.kind, found.name, found.value) == ("activation", "log/output", "NaN")
    assert (found.row, found.time_step, found.bad, found.size) == (1, 2, 1, 4 * 6 * 4)
    assert found.finite_until == "dropout/output"
    assert error.folder == tmp_path / "step_3"
    for words in ("NaNGuard: step 3 (epoch 1, batch 3): NaN in the activation `log/output`",):
        assert words in str(error)
    assert_same_state(model, healthy)  # the last good one, seeds and slots included
    assert not isinstance(getattr(model.train_function, "__self__", None), NaNGuard)


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_nan_at_a_time_step_of_a_loop(kind, go_backwards, tmp_path):
    """Named are the step that comes first in the loop and the first row that is bad there."""
    layer = getattr(custom_layers, kind)(5, go_backwards=go_backwards, name="rnn")
    model = recurrent(layer)
    bad = x.copy()
    for row, step in [(4, 4), (5, 2), (5, 4), (6, 2)]:  # rows 0 to 2 of the second batch
        bad[row, step] = np.nan
    found = find(model, NaNGuard(tmp_path), bad).finding
    assert found.kind == "activation"
    assert found.name.startswith("rnn/")
    assert (found.row, found.time_step) == ((0, 4) if go_backwards else (1, 2))


@pytest.mark.parametrize("go_backwards", [False, True])
def test_the_loop_is_ordered_by_time_before_names(go_backwards, tmp_path):
    """The cell state overflows; gates follow one step later, though they are recorded first."""
    layer = custom_layers.LSTM(2, activation="linear", go_backwards=go_backwards, name="lstm")
    model = recurrent(layer)
    lstm = model.get_layer("lstm")
    kernel, recurrent_kernel, bias = (np.zeros_like(w) for w in lstm.get_weights())
    kernel[0, 4:6] = 1.0  # the candidate is x[:, 0]
    bias[:] = [40, 40, 40, 40, 0, 0, 40, 40]  # all gates open
    recurrent_kernel[:, :] = 1e-3
    recurrent_kernel[:, 4:6] = 0
    lstm.set_weights([kernel, recurrent_kernel, bias])
    big = np.zeros_like(x)
    big[6, 1:3, 0] = 3e38
    found = find(model, NaNGuard(tmp_path), big).finding
    assert (found.name, found.value, found.time_step, found.row) == (
        *("lstm/c", "inf", 1 if go_backwards else 2, 2),
    )
    assert found.finite_until == ""


def test_what_is_masked_is_no_fault(tmp_path):
    """A step that the mask leaves out may be anything; the next one that counts is named."""

    keras.utils.set_random_seed(5)
    inputs = keras.Input((6, 4))
    h = custom_layers.GRU(5, name="gru")(inputs, mask=inputs[..., 0] > 0)
    model = keras.Model(inputs, custom_layers.Dense(1)(h))
    model.compile("sgd", "mse")
    bad = x.copy()
    bad[1, 1] = [-1, np.nan, 1, 1]  # left out
    bad[2, 3] = [1, np.nan, 1, 1]
    found = find(model, NaNGuard(tmp_path), bad).finding
    assert found.name.startswith("gru/")
    assert (found.row, found.time_step) == (2, 3)


def test_inf_gradient_of_a_finite_loss(tmp_path):
    """d sqrt(a) / da is inf at 0: what goes into the root is the first bad gradient."""

    class Root(keras.layers.Layer):
        def call(self, inputs):
            return ops.sqrt(inputs)

    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, name="before"),
            keras.layers.ReLU(name="relu"),
            Root(name="root"),
            keras.layers.Dense(1, name="out"),
        ]
    )
    model.compile("sgd", "mse")
    model.get_layer("before").set_weights([np.full((4, 3), 0.5), np.zeros(3)])
    inputs = x[:, 0].copy()
    inputs[13] = 0  # batch 4, row 1
    found = find(model, NaNGuard(tmp_path), inputs).finding
    assert (found.kind, found.name, found.row) == ("gradient", "relu/output", 1)
    assert found.finite_until == "root/output"


def test_gradients_within_a_loop_are_looked_at_from_its_end(tmp_path):
    """Each step multiplies dL/dh by 1e20: finite at steps 5 and 4, inf from step 3 on."""
    layer = custom_layers.SimpleRNN(1, activation="linear", name="rnn")
    model = recurrent(layer)
    layer.set_weights([np.zeros((4, 1)), np.full((1, 1), 1e20), np.zeros(1)])
    model.get_layer("out").set_weights([np.ones((1, 1)), np.zeros(1)])
    found = find(model, NaNGuard(tmp_path)).finding
    assert (found.kind, found.name, found.time_step) == ("gradient", "rnn/h", 3)


def test_a_loss_of_finite_predictions(tmp_path):
    targets = y.copy()
    targets[6] = np.nan
    error = find(make(), NaNGuard(tmp_path), targets=targets)
    assert (error.finding.kind, error.finding.value) == ("loss", "NaN")
    assert "The batch holds it already: NaN in the batch's `y` at batch row 2" in str(error)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_weights_that_a_learning_rate_overflows(optimizer, tmp_path):
    """All is finite up to the update. The replay has the slots that the optimizer had."""
    model = make(optimizer)
    fit(model, epochs=1)
    model.get_layer("out").bias.assign([1e9])  # a large gradient; Adam's step is the rate itself
    model.optimizer.learning_rate = 3.4e38
    error = find(model, NaNGuard(tmp_path))
    assert (error.finding.kind, error.finding.when) == ("weight", "after the step")
    assert all(np.isfinite(np.asarray(weight)).all() for weight in model.weights)
    assert replay(error.folder, make(optimizer)) == error.finding


def test_a_weight_that_is_bad_before_the_step(tmp_path):
    model = make()
    model.get_layer("norm").gamma.assign([1, np.nan, 1, 1])
    found = find(model, NaNGuard(tmp_path)).finding
    assert (found.kind, found.name, found.when) == ("weight", "norm/gamma", "before the step")


def test_looks_inside_for_what_reaches_neither_loss_nor_weights(tmp_path):
    """The gradient is inf and clipped to 1: a look inside sees it, at the steps it is asked for."""

    class Burst(keras.layers.Layer):
        def call(self, inputs):
            return tf.custom_gradient(lambda t: (tf.identity(t), lambda d: d + np.inf))(inputs)

    def clipped():
        keras.utils.set_random_seed(5)
        before, out = keras.layers.Dense(3, name="before"), keras.layers.Dense(1, name="out")
        model = keras.Sequential([keras.Input((6, 4)), before, Burst(name="burst"), out])
        model.compile(keras.optimizers.SGD(1e-3, clipvalue=1.0), "mse")
        return model

    targets = np.repeat(y[:, None], 6, axis=1)
    healthy, stopped = clipped(), clipped()
    fit(healthy, [NaNGuard(tmp_path)], targets=targets, epochs=1, steps_per_epoch=3)
    error = find(clipped(), NaNGuard(tmp_path, inside_every=4), targets=targets)
    assert (error.finding.kind, error.finding.name) == ("gradient", "before/output")
    assert error.folder.name == "step_4"
    quiet = NaNGuard(tmp_path, raise_error=False, inside_every=4)
    assert len(fit(stopped, [quiet], targets=targets)["loss"]) == 1
    assert_same_state(stopped, healthy)


def test_a_train_step_that_calls_no_model(tmp_path):
    """Nothing can be looked into; what the guard saw itself is told."""

    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.weight = self.add_weight(shape=(), initializer="ones", name="weight")

        def train_step(self, data):
            inputs, _ = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(tf.math.log(inputs * self.weight))
            self.optimizer.apply([tape.gradient(loss, self.weight.value)], [self.weight])
            return {"loss": loss}

    model = Own()
    model.compile("sgd")
    error = find(model, NaNGuard(tmp_path), with_entry(-1, 9, 2, 1))
    assert (error.finding.kind, error.finding.value) == ("loss", "NaN")
    assert "No look inside: model(x, training=True)" in str(error)
    np.testing.assert_array_less(0, model.weight)
    assert replay(error.folder, model) == error.finding
    with pytest.raises(ValueError, match=r"No look inside.*Leave `inside_every` at None"):
        fit(model, [NaNGuard(tmp_path, inside_every=1)])


# -- what is kept, and what follows ----------------------------------------------------------------


def test_replay_finds_the_same_from_disk(tmp_path, capsys):
    error = find(make(), NaNGuard(tmp_path), with_entry(-1, 9, 2, 1), class_weight=None)
    again = make()
    np.testing.assert_array_equal(read_batch(error.folder)[0], with_entry(-1, 9, 2, 1)[8:12])
    np.testing.assert_array_equal(read_batch(error.folder)[1], y[8:12])
    for _ in range(2):  # it leaves the model as it was before the step
        assert replay(error.folder, again) == error.finding
    assert capsys.readouterr().out.startswith("NaN in the activation `log/output` at time step 2")
    healthy = make()
    fit(healthy, epochs=1, steps_per_epoch=2)
    assert_same_state(again, healthy)
    report = json.loads((error.folder / "report.json").read_text())
    assert report["step"] == {"step": 3, "epoch": 1, "batch": 3}
    assert report["findings"][0]["name"] == "log/output"
    assert str(error.finding) in (error.folder / "report.txt").read_text()
    assert f"replay({str(error.folder)!r}, model)" in str(error)


def test_a_batch_that_fits_in_no_file_of_arrays(tmp_path):
    """Ragged inputs: the fault is told, and that the step could not be kept."""

    class Sums(keras.Model):
        def __init__(self):
            super().__init__(name="sums")
            self.out = keras.layers.Dense(1, name="out")

        def call(self, inputs):
            return self.out(tf.reduce_sum(inputs, axis=1, keepdims=True))

    model = Sums()
    model.compile("sgd", "mse")
    data = tf.data.Dataset.from_tensors((tf.ragged.constant([[1.0, 2], [np.nan]]), tf.ones((2, 1))))
    with pytest.raises(NaNFound, match=r"`out/output` at.*Not all .*only dense tensors.*Ragged"):
        model.fit(data, verbose=0, callbacks=[NaNGuard(tmp_path)])


def test_stops_quietly_and_goes_on_counting(tmp_path, capsys):
    model = make()
    guard = NaNGuard(tmp_path, raise_error=False)
    history = fit(model, [guard], with_entry(-1, 9, 2, 1), epochs=5)
    assert len(history["loss"]) == 1  # the epoch was the last
    assert guard.finding.name == "log/output"
    assert "NaNGuard: step 3 (epoch 1, batch 3)" in capsys.readouterr().out
    fit(model, [guard], epochs=1)  # the last good model trains on
    assert guard.finding is None
    fit(model, [guard], with_entry(-1, 1, 2, 1), epochs=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_3", "step_9"]
    find(make(), NaNGuard(tmp_path), with_entry(-1, 9, 2, 1))
    assert (tmp_path / "step_3_2" / "report.txt").is_file()


def test_the_training_function_is_put_back_after_an_error(tmp_path):
    class Breaks(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    model = make()
    with pytest.raises(KeyboardInterrupt):
        fit(model, [NaNGuard(tmp_path), Breaks()])
    assert not isinstance(getattr(model.train_function, "__self__", None), NaNGuard)
    with pytest.raises(ValueError, match="Dimensions must be equal"):
        fit(model, [NaNGuard(tmp_path)], inputs=x[:, :, :3])
    assert not isinstance(getattr(model.train_function, "__self__", None), NaNGuard)
    fit(model, [NaNGuard(tmp_path), GradientInspector(tmp_path / "log", (x[:4], y[:4]))])


def test_bad_input_gets_one_line(tmp_path, monkeypatch):
    taken = tmp_path / "file"
    taken.write_text("")
    with pytest.raises(ValueError, match=r"NaNGuard: `folder` must be a folder.*Choose another"):
        NaNGuard(taken)
    with pytest.raises(ValueError, match=r"`inside_every` must be a positive integer.*=0"):
        NaNGuard(tmp_path, inside_every=0)
    guard = NaNGuard(tmp_path)
    guard.set_model(keras.Sequential([keras.Input((6, 4)), custom_layers.GRU(2)]))
    with pytest.raises(ValueError, match=r"NaNGuard: a model that is not compiled.*model\.compile"):
        guard.on_train_begin()
    several = SimpleNamespace(num_replicas_in_sync=2)
    guard.set_model(SimpleNamespace(name="model", compiled=True, distribute_strategy=several))
    with pytest.raises(ValueError, match=r"one device\. Received: SimpleNamespace with 2 devices"):
        guard.on_train_begin()
    with monkeypatch.context() as other:
        other.setattr(keras.backend, "backend", lambda: "jax")
        with pytest.raises(ValueError, match="must be TensorFlow"):
            NaNGuard(tmp_path)
    with pytest.raises(ValueError, match=r"replay: `folder` must be what NaNGuard wrote"):
        replay(tmp_path, make())
    error = find(make(), guard, with_entry(-1, 9, 2, 1))
    with pytest.raises(ValueError, match=r"replay: `model` must have the architecture"):
        replay(error.folder, recurrent(custom_layers.GRU(5)))
    with pytest.raises(ValueError, match=r"replay: a model that is not compiled"):
        replay(error.folder, keras.Sequential([keras.Input((6, 4)), custom_layers.GRU(2)]))
