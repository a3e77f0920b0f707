"""VocabularyLoss in `fit`, against Dense with masked_loss, step by step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from custom_layers.training import VocabularyLoss, masked_accuracy, masked_loss

STEPS, FEATURES, UNITS, VOCABULARY = 5, 4, 6, 13


class Labelled(keras.Model):
    """For pairs (x, y): the call returns states."""

    def __init__(self):
        super().__init__()
        self.hidden = keras.layers.Dense(UNITS, activation="tanh")
        self.head = VocabularyLoss(VOCABULARY, chunk=7)

    def build(self, input_shape):
        self.hidden.build(input_shape)
        self.head.build((*input_shape[:-1], UNITS))

    def call(self, inputs):
        return self.hidden(inputs)

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        return self.head(y_pred, y)


def labelled(x, y):
    model = Labelled()
    model.build((None, None, FEATURES))
    return model, x, y


def endpoint(x, y):
    inputs, labels = keras.Input((None, FEATURES)), keras.Input((None,), dtype="int32")
    states = keras.layers.Dense(UNITS, activation="tanh")(inputs)
    loss = VocabularyLoss(VOCABULARY, chunk=7)(states, labels)
    return keras.Model([inputs, labels], loss), [x, y], None


def plain(x, y):
    inputs = keras.Input((None, FEATURES))
    states = keras.layers.Dense(UNITS, activation="tanh")(inputs)
    return keras.Model(inputs, keras.layers.Dense(VOCABULARY)(states)), x, y


def data():
    random = np.random.default_rng(0)
    x = random.normal(size=(24, STEPS, FEATURES)).astype("float32")
    y = random.integers(1, VOCABULARY, (24, STEPS)).astype("int32")
    y[random.random(y.shape) < 0.3] = 0
    return x, y


class Weights(keras.callbacks.Callback):
    """After each step."""

    def on_train_begin(self, logs=None):
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self.model.get_weights())


def trained(make, start, jit_compile=False):
    model, x, y = make(*data())
    loss = {"loss": masked_loss, "metrics": [masked_accuracy]} if make is plain else {}
    model.compile(keras.optimizers.Adam(0.01), jit_compile=jit_compile, **loss)
    model.set_weights(start)
    weights, shared = Weights(), {"batch_size": 8, "verbose": 0}
    history = model.fit(x, y, epochs=3, shuffle=False, callbacks=[weights], **shared).history
    return weights.steps, history, model.evaluate(x, y, return_dict=True, **shared)


def same(found, expected, tolerance):
    for step, other in zip(found[0], expected[0], strict=True):
        for weight, of_other in zip(step, other, strict=True):
            np.testing.assert_allclose(weight, of_other, atol=tolerance)
    for logs, others in zip(found[1:], expected[1:], strict=True):
        assert set(logs) == set(others) == {"loss", "masked_accuracy"}
        for name in logs:
            np.testing.assert_allclose(logs[name], others[name], rtol=10 * tolerance)


@pytest.mark.parametrize("make", [endpoint, labelled])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_takes_the_steps_of_dense_and_masked_loss(make, jit_compile):
    start = plain(*data())[0].get_weights()
    found = trained(make, start, jit_compile)
    assert len(found[0]) == 9  # Adam's steps
    same(found, trained(plain, start), tolerance=1e-5)  # measured 3e-8 without XLA


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_fit_in_mixed_precision(policy):
    start = plain(*data())[0].get_weights()
    expected = trained(plain, start)
    keras.config.set_dtype_policy(policy)
    found = trained(endpoint, start)
    assert all(weight.dtype == "float32" for weight in found[0][-1])
    np.testing.assert_allclose(found[1]["loss"], expected[1]["loss"], rtol=2e-2)
    for name, value in found[2].items():
        np.testing.assert_allclose(value, expected[2][name], rtol=5e-2)


def test_without_labels_it_is_dense_and_has_its_weights():
    states = np.random.default_rng(1).normal(size=(2, 3, UNITS)).astype("float32")
    dense, head = keras.layers.Dense(VOCABULARY), VocabularyLoss(VOCABULARY)
    expected = dense(states)
    head.build((None, None, UNITS))
    assert [w.name for w in head.weights] == [w.name for w in dense.weights] == ["kernel", "bias"]
    head.set_weights(dense.get_weights())
    np.testing.assert_allclose(head(states), expected, rtol=1e-6)
    dense.set_weights(head.get_weights())
    again = VocabularyLoss.from_config(head.get_config())
    assert again.get_config() == head.get_config()


def test_the_model_for_logits_shares_the_weights_and_is_saved(tmp_path):
    x, y = data()
    inputs, labels = keras.Input((None, FEATURES)), keras.Input((None,), dtype="int32")
    head = VocabularyLoss(VOCABULARY)
    training = keras.Model([inputs, labels], head(inputs, labels))
    model = keras.Model(inputs, head(inputs))
    training.compile("adam")
    training.fit([x, y], verbose=0)
    np.testing.assert_allclose(
        training.evaluate([x, y], verbose=0)[0], masked_loss(y, tf.constant(model(x))), rtol=1e-5
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-6)


@pytest.mark.parametrize("argument", ["vocabulary_size", "chunk"])
def test_sizes_below_one_are_refused(argument):
    with pytest.raises(ValueError, match=f"`{argument}` must be a positive integer"):
        VocabularyLoss(**{"vocabulary_size": 3, argument: 0})


def test_labels_must_be_integers():
    with pytest.raises(ValueError, match="`labels` must be integers"):
        VocabularyLoss(VOCABULARY)(np.zeros((2, 3, UNITS)), np.zeros((2, 3), "float32"))
