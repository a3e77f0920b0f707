"""Planted faults are found and named, and a healthy model raises no alarm."""

import re
from functools import partial

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("gradients are explained with TensorFlow", allow_module_level=True)

import tensorflow as tf

import custom_layers
from custom_layers.debugging import GradientInspector, explain_gradients
from custom_layers.debugging.explain_gradients import explain_look
from custom_layers.debugging.findings import Measured, learning_rate
from custom_layers.debugging.probe_pass import ProbePass
from tests.debugging.logs import events
from tests.debugging.patients import PATIENTS, patient

SEEDS = 20


stretched = keras.initializers.Orthogonal(gain=1.5, seed=4)  # a spectral radius of 1.5
shrinking = keras.initializers.RandomNormal(stddev=0.05, seed=4)  # of 0.2 to 0.3
tanh_rnn = custom_layers.SimpleRNN
saturated_gates = partial(
    custom_layers.LSTM, bias_initializer=keras.initializers.Constant(10), unit_forget_bias=False
)
minus_ten = {"bias_initializer": keras.initializers.Constant(-10)}

FAULTS = {  # the condition, the layer that is named ("recurrent" by its path), the words
    "vanishing": (
        {"steps": 100, "recurrent": partial(tanh_rnn, recurrent_initializer=shrinking)},
        "recurrent",
        r"vanish \d+ steps back",
    ),
    "exploding": (
        {
            "steps": 30,
            "recurrent": partial(tanh_rnn, activation="linear", recurrent_initializer=stretched),
        },
        *("recurrent", r"explode: [\d.e+]+ times as large 29 steps back"),
    ),
    "exploding, held by tanh": (
        {"steps": 30, "recurrent": partial(tanh_rnn, recurrent_initializer=stretched)},
        *("recurrent", r"can explode: .* 1\.5 times as large at each step"),
    ),
    "dead": ({"hidden": minus_ten}, "hidden", r"100% of its ReLU units are dead"),
    "saturated": (
        {"recurrent": saturated_gates},
        "recurrent",
        r"saturated: .*gate `f` \(100% above",
    ),
    "frozen": ({"frozen": True}, "hidden", "frozen"),
    "unused": ({"spare": True}, "spare", "unused: the loss does not depend on it"),
    "NaN": ({"log": True}, "log", "first NaN or inf .* in `log/output`, at time step 7"),
    "learning rate": ({"rate": 100}, None, "learning rate a tenth or a hundredth"),
}


# The wave's states grow to 1e5 as well, its sigmoid rounds to 0 or 1, and no gradient is left to grow.
INSTEAD = {("wave", "exploding"): r"can explode: .* 1\.5 times as large at each step"}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", PATIENTS)
def test_a_planted_fault_is_found(name, fault):
    condition, layer, words = FAULTS[fault]
    words = INSTEAD.get((name, fault), words)
    model, x, y = patient(name, seed=1, **condition)
    explanation = explain_gradients(model, x[:64], y[:64])
    place = PATIENTS[name].place if layer == "recurrent" else layer
    named = [str(f) for f in explanation.findings if layer is None or f.layer == place]
    assert any(re.search(words, text) for text in named), explanation
    assert explanation.lines()[0] == "; ".join(
        map(str, explanation.of(explanation.findings[0].layer))
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", PATIENTS)
def test_a_healthy_model_raises_no_alarm(name):
    """Fresh, and after it was trained; 20 seeds of weights."""
    model, x, y = patient(name, seed=0)
    look = ProbePass(model, (x[:64], y[:64]))
    optimizer = [np.array(variable) for variable in model.optimizer.variables]
    for seed in range(SEEDS):
        other, _, _ = patient(name, seed=100 + seed)
        for mine, theirs in zip(model.variables, other.variables, strict=False):
            mine.assign(theirs)
        for variable, value in zip(model.optimizer.variables, optimizer, strict=False):
            variable.assign(value)
        fresh = explain_look(look)
        assert fresh.healthy, f"seed {seed}: {fresh}"
        before = model.evaluate(x, y, verbose=0)
        model.fit(x, y, batch_size=64, epochs=4, verbose=0)
        trained = explain_look(look)
        assert trained.healthy, f"seed {seed}, trained: {trained}"
        assert model.evaluate(x, y, verbose=0) < before


def test_the_inspector_says_what_is_wrong_when_it_begins(tmp_path, caplog):
    """In the log once, and as a text whenever the verdict changes."""
    model, x, y = patient("picture", seed=1, hidden=minus_ten)
    rescue = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, _: epoch == 2 and model.hidden.bias.assign(np.zeros(40))
    )
    inspector = GradientInspector(tmp_path, (x[:64], y[:64]), every=1)
    model.fit(x[:64], y[:64], batch_size=64, epochs=5, verbose=0, callbacks=[rescue, inspector])
    said = [record.getMessage() for record in caplog.records]
    assert sum("hidden: 100% of its ReLU units are dead" in line for line in said) == 1
    assert said[0].startswith("step 0: ")
    log = events(tmp_path)
    texts = {
        event.step: tf.make_ndarray(event.tensor_proto).item().decode()
        for event in log.Tensors("verdict")
    }
    assert "dead" in texts[0]
    assert texts[3] == "Nothing is wrong."
    assert list(texts) == [0, 3]


def test_an_explanation_is_made_of_the_inspector_s_measures(tmp_path):
    """One definition of each: the same batch gives the same numbers under the same tags."""
    model, x, y = patient("wave", seed=2)
    probe = x[:64], y[:64]
    explanation = explain_gradients(model, *probe)
    model.fit(x[:64], y[:64], verbose=0, callbacks=[GradientInspector(tmp_path, probe, every=1000)])
    log = events(tmp_path)
    measures = {"gradient_norm", "dead_units", "saturated_low", "vanishing_ratio", "not_finite"}
    tags = [tag for tag in explanation.scalars if tag.rpartition("/")[2] in measures]
    assert len(tags) > 20
    for tag in tags:
        written = tf.make_ndarray(log.Tensors(tag)[0].tensor_proto)
        np.testing.assert_allclose(explanation.scalars[tag], written, rtol=1e-5, err_msg=tag)


@pytest.mark.parametrize(
    ("ratio", "words"), [(0.42, "by 42% of its size"), (10498884.0, "by 1.05e+07 times its size")]
)
def test_a_step_is_compared_with_the_weight(ratio, words):
    model, _, _ = patient("wave", seed=3)
    measured = Measured(model, {f"{model.weights[0].path}/update_ratio": ratio}, {})
    (finding,) = learning_rate(measured)
    assert words in str(finding)


def test_everything_is_put_back():
    model, x, y = patient("wave", seed=3)
    model.fit(x, y, epochs=1, verbose=0)
    variables = [*model.variables, *model.optimizer.variables]
    before = [np.array(variable) for variable in variables]
    first = explain_gradients(model, x[:64], y[:64])
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable, value, err_msg=variable.path)
    assert repr(first) == repr(explain_gradients(model, x[:64], y[:64]))
    assert first.healthy
    assert len(first.lines()) == len(first.norms) == 5


def test_bad_input_gets_one_line():
    model, x, y = patient("wave", seed=3)
    with pytest.raises(ValueError, match=r"`probe` must hold an example.*a batch of 0"):
        explain_gradients(model, x[:0], y[:0])
    ragged = tf.ragged.constant([[[1.0], [2.0]], [[3.0]]], ragged_rank=1)
    with pytest.raises(ValueError, match=r"must hold dense tensors.*RaggedTensor.*to_tensor"):
        explain_gradients(model, ragged, y[:2])
    bare = keras.Sequential([keras.Input((3,)), custom_layers.Dense(1)])
    with pytest.raises(
        ValueError, match=r"explain_gradients: a model that is not compiled.*compile"
    ):
        explain_gradients(bare, x, y)


def test_a_model_that_is_not_built_and_integer_inputs():
    """Both work: the first pass builds it, and nobody differentiates by an index."""
    model = keras.Sequential(
        [custom_layers.Embedding(9, 4), custom_layers.GRU(3), custom_layers.Dense(1)]
    )
    model.compile("adam", "mse")
    explanation = explain_gradients(model, np.array([[1, 2, 3], [4, 5, 6]]), np.zeros((2, 1)))
    assert list(explanation.norms) == ["embedding", "gru", "dense"]


def test_weights_of_a_nested_model_belong_to_its_layers():
    """Their paths do not say in which model they lie."""
    inner_in = keras.Input((4,))
    spare = custom_layers.Dense(2, name="spare")(inner_in)
    deep = custom_layers.Dense(3, name="deep")(inner_in)
    inner = keras.Model(inner_in, [custom_layers.Dense(3, name="last")(deep), spare], name="inner")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, custom_layers.Dense(1, name="last")(inner(inputs)[0]))
    model.compile("adam", "mse")
    x = np.random.default_rng(0).standard_normal((8, 4))
    explanation = explain_gradients(model, x, x[:, :1])
    assert list(explanation.norms) == ["inner/deep", "inner/last", "last"]
    assert [str(f).partition(" (")[0] for f in explanation.findings] == [
        "inner/spare: unused: the loss does not depend on it"
    ]


def test_accumulated_gradients_are_tried_for_whole_steps():
    model, x, y = patient("wave", seed=3)
    rate, loss = 0.1, "binary_crossentropy"
    model.compile(keras.optimizers.Adam(rate, gradient_accumulation_steps=3), loss)
    accumulated = explain_gradients(model, x[:64], y[:64]).scalars
    model.compile(keras.optimizers.Adam(rate), loss)
    plain = explain_gradients(model, x[:64], y[:64]).scalars
    for tag in ("loss/growth_in_trial", "hidden/kernel/update_ratio"):
        assert accumulated[tag] == pytest.approx(plain[tag], rel=0.05), tag
