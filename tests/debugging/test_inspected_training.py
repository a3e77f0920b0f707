"""What a training step measures of itself is what a tape gives, and the step is as if nobody looked."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("the inspector writes TensorFlow summaries", allow_module_level=True)

import pathlib
import subprocess
import sys

import tensorflow as tf

import custom_layers
from custom_layers.debugging import GradientInspector, InspectedTraining, hook, record
from custom_layers.debugging.measures.noise_scale import noise_and_signal
from custom_layers.debugging.training_batches import TrainingBatches
from tests.debugging.logs import events

rng = np.random.default_rng(0)
x = rng.standard_normal((24, 6, 4)).astype("float32")
y = rng.standard_normal((24, 1)).astype("float32")


class Sequential(InspectedTraining, keras.Sequential):
    pass


class Functional(InspectedTraining, keras.Model):
    pass


def small(*bases):
    """Subclassed; one weight that the loss does not reach, and no `training` argument."""

    class Small(*bases):
        def __init__(self):
            super().__init__(name="small")
            self.first = custom_layers.Dense(3, activation="tanh", name="first")
            self.drop = keras.layers.Dropout(0.5, seed=1)
            self.second = custom_layers.Dense(1, name="second")
            self.idle = self.add_weight(shape=(2,), name="idle")

        def call(self, inputs):
            return self.second(self.drop(self.first(inputs)))

    keras.utils.set_random_seed(3)
    model = Small()
    model.compile("adam", "mse")
    return model


def make(kind, dropout=0.3, **options):
    keras.utils.set_random_seed(5)
    model = kind(
        [
            keras.Input((None, 4)),
            custom_layers.GRU(3, dropout=dropout, seed=2, name="gru"),
            keras.layers.BatchNormalization(name="norm"),
            custom_layers.Dense(1, kernel_regularizer="l2", name="dense"),
        ],
        name="model",
    )
    model.compile(keras.optimizers.Adam(0.05), "mse", metrics=["mae"], **options)
    return model


def fit(model, callbacks=(), batch_size=24, epochs=4):
    return model.fit(
        x, y, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0, callbacks=[*callbacks]
    ).history


def written(folder):
    """Value by step by tag."""
    found = events(folder)
    return {
        tag: {event.step: tf.make_ndarray(event.tensor_proto) for event in found.Tensors(tag)}
        for tag in found.Tags()["tensors"]
    }


def assert_same_variables(model, other):
    pairs = zip(model.variables, other.variables, strict=True)
    for mine, theirs in [*pairs, *zip(model.optimizer.variables, other.optimizer.variables)]:  # noqa: B905
        np.testing.assert_array_equal(mine, theirs)


MODES = [
    pytest.param({}, id="graph"),
    pytest.param({"jit_compile": True}, id="xla", marks=pytest.mark.slow),
    pytest.param({"run_eagerly": True}, id="eager"),
]


@pytest.mark.parametrize("options", MODES)
def test_training_is_that_of_the_plain_model(options, tmp_path):
    """Bit for bit, with dropout and batch normalization; and the loss is that of the step itself."""
    plain, inspected = make(keras.Sequential, **options), make(Sequential, **options)
    history = fit(plain)
    assert fit(inspected, [GradientInspector(tmp_path, every=2)]) == history
    assert_same_variables(plain, inspected)
    losses = written(tmp_path)["loss/batch"]
    assert sorted(losses) == [2, 4]  # one step an epoch
    for step, loss in losses.items():  # a mask of dropout that is another one shows here
        np.testing.assert_allclose(loss, history["loss"][step - 1], rtol=1e-5)


def test_measures_are_of_the_last_step_of_an_execution(tmp_path):
    """Six steps an epoch: executions of four steps and of two."""
    plain = make(keras.Sequential, steps_per_execution=4)
    history = fit(plain, batch_size=4, epochs=2)
    together = make(Sequential, steps_per_execution=4)
    inspector = GradientInspector(tmp_path / "together", every=1)
    assert fit(together, [inspector], batch_size=4, epochs=2) == history
    assert_same_variables(plain, together)
    each = make(Sequential, run_eagerly=True)
    fit(each, [GradientInspector(tmp_path / "each", every=1)], batch_size=4, epochs=2)
    found, expected = written(tmp_path / "together"), written(tmp_path / "each")
    assert sorted(found["loss/batch"]) == [4, 6, 10, 12]
    for tag in ("loss/batch", "gru/h/gradient_norm", "dense/kernel/gradient_mean"):
        for step, value in found[tag].items():
            np.testing.assert_allclose(value, expected[tag][step], rtol=1e-3, err_msg=tag)


@pytest.mark.parametrize("options", MODES)
def test_what_is_written_is_what_a_tape_gives(options, tmp_path):
    """By hand, with stochastic gradient descent: w' = w - rate g."""
    model = make(Sequential, dropout=0.0)
    rate = 0.1
    model.compile(keras.optimizers.SGD(rate, global_clipnorm=0.5), "mse", **options)
    again = make(keras.Sequential, dropout=0.0)
    fit(model, [GradientInspector(tmp_path, every=1)], epochs=2)
    found = written(tmp_path)
    last = {}
    for step in (1, 2):
        with record(again) as trace, tf.GradientTape() as tape:
            prediction = again(x, training=True)
            loss = again.compute_loss(x=x, y=y, y_pred=prediction)
        recording = trace.read(tape, loss)
        np.testing.assert_allclose(found["loss/batch"][step], loss, rtol=1e-5)
        total = float(tf.linalg.global_norm(list(recording.weights.values())))
        np.testing.assert_allclose(found["all_weights/gradient_norm"][step], total, rtol=1e-4)
        clipped = found["all_weights/gradient_norm_clipped"][step]
        np.testing.assert_allclose(clipped, min(total, 0.5), rtol=1e-4)
        for weight, (path, gradient) in zip(
            again.trainable_variables, recording.weights.items(), strict=True
        ):
            got = found[f"{path}/gradient_norm"][step]
            np.testing.assert_allclose(got, tf.norm(gradient), rtol=1e-3, atol=1e-6)
            buckets = found[f"{path}/gradient"][step]
            assert buckets[:, 2].sum() == weight.value.shape.num_elements()
            if path in last:
                one, two = (np.ravel(g).astype("float64") for g in (last[path], gradient))
                cosine = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
                angle = found[f"{path}/angle_to_last_look"][step]
                np.testing.assert_allclose(angle, np.degrees(np.arccos(cosine)), atol=0.2)
            else:
                assert step not in found[f"{path}/angle_to_last_look"]
            update = rate * gradient * min(1, 0.5 / total)
            with np.errstate(divide="ignore"):
                ratio = np.float32(tf.norm(update)) / np.float32(tf.norm(weight.value))
            got = found[f"{path}/update_ratio"][step]
            np.testing.assert_allclose(got, ratio, rtol=2e-3, err_msg=path)
            weight.assign_sub(update)
            last[path] = gradient
        for name, quantity in recording.items():
            got = found[f"{name}/gradient_norm"][step]
            np.testing.assert_allclose(got, tf.norm(quantity.gradient), rtol=1e-3, atol=1e-6)
        norms = recording.gradient_norms()["gru/h"]
        series = found["gru/h/gradient_norm_by_step"][step]
        np.testing.assert_allclose(series[:, 2], norms, rtol=1e-3)
        ratio = found["gru/h/vanishing_ratio"][step]
        np.testing.assert_allclose(ratio, norms[0] / norms[-1], rtol=1e-3)


def test_several_inputs_losses_and_sample_weights(tmp_path):
    """Functional, with a model in a model; the second loss counts nothing."""
    first, second = keras.Input((6, 4)), keras.Input((3,))
    inner = keras.Sequential(
        [keras.Input((6, 4)), custom_layers.LSTM(3, name="lstm")], name="inner"
    )
    encoded = inner(first)
    one = custom_layers.Dense(1, name="one")(encoded)
    two = custom_layers.Dense(2, name="two")(keras.layers.Concatenate()([encoded, second]))
    model = Functional([first, second], [one, two], name="model")
    model.compile("sgd", ["mse", "mae"], run_eagerly=True)
    weights = rng.uniform(0.5, 2, 24)
    batch = [x, x[:, 0, :3]], [y, np.repeat(y, 2, axis=1)], [weights, np.zeros(24)]
    with tf.GradientTape() as tape:
        loss = model.compute_loss(
            x=batch[0], y=batch[1], y_pred=model(batch[0]), sample_weight=batch[2]
        )
    gradient = tape.gradient(loss, inner.trainable_variables[0].value)
    model.fit(
        *batch[:2],
        sample_weight=batch[2],
        batch_size=24,
        verbose=0,
        callbacks=[GradientInspector(tmp_path, every=1)],
    )
    found = written(tmp_path)
    np.testing.assert_allclose(found["loss/batch"][1], loss, rtol=1e-5)
    got = found["inner/lstm/lstm_cell/kernel/gradient_norm"][1]
    np.testing.assert_allclose(got, tf.norm(gradient), rtol=1e-4)
    assert found["two/kernel/gradient_norm"][1] == 0
    assert found["one/kernel/gradient_norm"][1] > 0
    assert found["inner/lstm/c/gradient_norm"][1] > 0


def test_gradients_of_float16_are_unscaled(tmp_path):
    for policy in ("mixed_float16", "float32"):
        keras.config.set_dtype_policy(policy)
        model = make(Sequential, dropout=0.0, run_eagerly=True)
        keras.config.set_dtype_policy("float32")
        optimizer = keras.optimizers.SGD(0.01)
        if policy == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=128)
        model.compile(optimizer, "mse", run_eagerly=True)
        fit(model, [GradientInspector(tmp_path / policy, every=1)], epochs=1)
    half, full = (written(tmp_path / policy) for policy in ("mixed_float16", "float32"))
    for tag in ("loss/batch", "all_weights/gradient_norm", "gru/h/gradient_norm"):
        np.testing.assert_allclose(half[tag][1], full[tag][1], rtol=0.02)


def test_a_subclassed_model_is_looked_at_once_it_is_built(tmp_path):
    """And trains as without the mix-in: its dropout is off, for `call` takes no `training`."""
    models = small(InspectedTraining, keras.Model), small(keras.Model)
    data = {"x": x[:, 0], "y": y, "batch_size": 8, "shuffle": False, "verbose": 0}
    inspector = GradientInspector(tmp_path, every=1)
    histories = [
        model.fit(**data, callbacks=callbacks).history
        for model, callbacks in zip(models, ([inspector], []), strict=True)
    ]
    assert histories[0] == histories[1]
    assert_same_variables(*models)
    found = written(tmp_path)
    assert sorted(found["loss/batch"]) == [2, 3]
    assert "first/kernel/gradient_norm" in found
    assert not any(tag.startswith("idle/gradient") for tag in found)


def test_a_fit_goes_on_in_the_same_log_and_the_model_stays_as_it_is(tmp_path):
    model = make(Sequential, run_eagerly=True)
    plain = make(keras.Sequential)
    for _ in range(2):
        fit(model, [GradientInspector(tmp_path / "log", every=2)], epochs=3)
    assert sorted(written(tmp_path / "log")["loss/batch"]) == [2, 4, 6]
    assert [w.path for w in model.weights] == [w.path for w in plain.weights]
    model.save_weights(tmp_path / "model.weights.h5")
    plain.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(model.predict(x, verbose=0), plain.predict(x, verbose=0))
    model.train_on_batch(x, y)


def test_with_a_probe_the_probe_is_looked_at(tmp_path):
    model = make(Sequential, run_eagerly=True)
    fit(model, [GradientInspector(tmp_path, probe=(x[:8], y[:8]), every=1)], epochs=1)
    found = written(tmp_path)
    assert sorted(found["loss/probe"]) == [0, 1]
    assert "loss/batch" not in found


def test_hooks_are_told_in_the_steps_that_are_looked_at(tmp_path):
    model = make(Sequential, run_eagerly=True)
    told = []
    with hook(model.get_layer("gru"), "h", lambda value, gradient: told.append(gradient)):
        fit(model, [GradientInspector(tmp_path, every=2)])
        assert len(told) == 2
        got = written(tmp_path)["gru/h/gradient_norm"][4]
        np.testing.assert_allclose(got, np.linalg.norm(told[1]), rtol=1e-5)
        compiled = make(Sequential, jit_compile=True)
        handle = hook(compiled.get_layer("gru"), "h", print)
        with pytest.raises(ValueError, match=r"a hook cannot be called from what XLA.*False\)"):
            fit(compiled, [GradientInspector(tmp_path / "compiled", every=1)])
        handle.remove()


def test_a_nan_is_shown_and_not_dropped(tmp_path):
    model = make(Sequential, run_eagerly=True)
    bad = x.copy()
    bad[0, 2, 0] = np.nan
    model.fit(bad, y, batch_size=24, verbose=0, callbacks=[GradientInspector(tmp_path, every=1)])
    found = written(tmp_path)
    assert np.isnan(found["loss/batch"][1])
    assert found["gru/gru_cell/kernel/gradient_not_finite"][1] == 1


def test_noise_scale_compares_the_replicas_with_their_sum():
    """Each replica differentiates its part's mean loss, divided by the number of replicas."""
    model = make(Sequential, dropout=0.0)

    def gradient_norm(part, divided_by=1):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(x=x[part], y=y[part], y_pred=model(x[part])) / divided_by
        weights = [w.value for w in model.trainable_variables]
        return float(tf.linalg.global_norm(tape.gradient(loss, weights)))

    halves = slice(0, 12), slice(12, 24)
    source = TrainingBatches(model)
    source._replicas = np.array([[12, gradient_norm(half, divided_by=2)] for half in halves])
    whole = gradient_norm(slice(0, 24))
    half = np.sqrt(np.mean([gradient_norm(half) ** 2 for half in halves]))
    got = source.noise_and_signal(whole)
    np.testing.assert_allclose(got, noise_and_signal(half, whole, 12, 24), rtol=1e-4)
    source._replicas[0, 0] = 11
    assert source.noise_and_signal(whole) is None


class WrongOrder(keras.Sequential, InspectedTraining):
    pass


class OwnStep(keras.Sequential):
    def train_step(self, data):
        return super().train_step(data)


class OverOwnStep(InspectedTraining, OwnStep):
    pass


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        (keras.Sequential, r"without `probe` .*Received: model='model', a Sequential\. Begin the"),
        (
            WrongOrder,
            r"without `probe` .*Received: model='model', a WrongOrder\. Begin the model's",
        ),
        (OverOwnStep, r"besides Keras's would be passed over.*OwnStep\.train_step.*compute_loss"),
    ],
    ids=["no mix-in", "wrong order", "own step"],
)
def test_what_cannot_be_inspected_gets_one_line(kind, line, tmp_path):
    with pytest.raises(ValueError, match=line) as error:
        fit(make(kind), [GradientInspector(tmp_path)])
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_two_replicas_measure_what_one_does_on_the_whole_batch():
    """In a process of its own: logical devices are set before TensorFlow begins."""
    script = pathlib.Path(__file__).with_name("two_replicas.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.split("\n")[-2] == "all equal"
