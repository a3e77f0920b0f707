"""masked_loss and masked_accuracy against NumPy, with padding, and their gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from custom_layers.training import masked_accuracy, masked_loss

VOCABULARY = 11


def batch(dtype="float64", seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(1, VOCABULARY, size=(5, 7))
    for row, length in enumerate([7, 4, 1, 6, 0]):  # the last sentence is padding alone
        labels[row, length:] = 0
    logits = random.normal(0, 3, size=(5, 7, VOCABULARY))
    logits[:, ::2] += 9 * np.eye(VOCABULARY)[labels[:, ::2]]  # every second guess is right
    return labels, logits.astype(dtype)


def by_hand(labels, logits):
    losses, hits = [], []
    for sentence, rows in zip(labels, logits, strict=True):
        for token, row in zip(sentence, rows, strict=True):
            if token:
                losses.append(np.log(np.sum(np.exp(row))) - row[token])
                hits.append(np.argmax(row) == token)
    return np.mean(losses), np.mean(hits)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("label_dtype", ["int32", "int64", "float32"])
def test_values_match_numpy(dtype, tolerance, label_dtype):
    labels, logits = batch(dtype)
    loss, accuracy = by_hand(labels, logits.astype("float64"))
    labels = tf.constant(labels.astype(label_dtype))
    logits = tf.constant(logits)
    assert masked_loss(labels, logits).dtype == dtype
    np.testing.assert_allclose(masked_loss(labels, logits), loss, rtol=tolerance)
    np.testing.assert_allclose(masked_accuracy(labels, logits), accuracy, rtol=tolerance)
    assert 0 < accuracy < 1  # otherwise the line above could not tell right from wrong


def test_gradient_is_zero_at_padding_and_softmax_minus_label_elsewhere():
    labels, logits = batch()
    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = masked_loss(labels, variable)
    gradient = tape.gradient(loss, variable).numpy()
    mask = labels != 0
    assert np.all(gradient[~mask] == 0)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = (probabilities - np.eye(VOCABULARY)[labels]) / mask.sum()
    np.testing.assert_allclose(gradient[mask], expected[mask], rtol=1e-10, atol=1e-14)


def test_more_padding_changes_nothing():
    labels, logits = batch()
    wide = np.concatenate([logits, np.full((5, 3, VOCABULARY), 99.0)], axis=1)
    padded = np.concatenate([labels, np.zeros((5, 3), labels.dtype)], axis=1)
    for function in (masked_loss, masked_accuracy):
        np.testing.assert_allclose(
            function(padded, tf.constant(wide)), function(labels, tf.constant(logits)), rtol=1e-13
        )


def test_padding_alone_is_zero_not_nan():
    labels, logits = np.zeros((2, 3), "int64"), np.ones((2, 3, VOCABULARY), "float32")
    assert float(masked_loss(labels, tf.constant(logits))) == 0
    assert float(masked_accuracy(labels, tf.constant(logits))) == 0


@pytest.mark.parametrize("function", [masked_loss, masked_accuracy])
def test_wrong_ranks_are_refused(function):
    with pytest.raises(ValueError, match="one axis more than `y_true`"):
        function(np.zeros((2, 3)), tf.zeros((2, 3)))


def test_compiled_model_reports_the_same_loss():
    labels, logits = batch("float32")
    model = keras.Sequential([keras.Input((7, VOCABULARY)), keras.layers.Activation("linear")])
    model.compile(loss=masked_loss, metrics=[masked_accuracy])
    loss, accuracy = model.evaluate(logits, labels, verbose=0)
    expected = by_hand(labels, logits.astype("float64"))
    np.testing.assert_allclose([loss, accuracy], expected, rtol=1e-5)


def test_of_equal_logits_the_first_counts():
    labels = np.array([[1, 2, 4, 3]])
    logits = np.array([[[0, 5, 5, 1, 5]] * 3 + [[-1, -1, -1, -1, -1]]], "float32")
    assert float(masked_accuracy(labels, tf.constant(logits))) == 0.25  # argmax: 1, 1, 1, 0
