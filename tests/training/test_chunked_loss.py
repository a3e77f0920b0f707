"""chunked_cross_entropy against the logits in one piece: values, gradients, planted faults."""

import importlib
import inspect

import numpy as np
import pytest
import tensorflow as tf

from custom_layers.training import (
    chunked_cross_entropy,
    chunked_loss_and_accuracy,
    masked_accuracy,
    masked_loss,
)

BATCH, STEPS, UNITS, VOCABULARY = 4, 6, 5, 13
ROWS = BATCH * STEPS
UPSTREAM = -1.7  # dL/dloss: a fault in its place would hide behind 1


def batch(dtype="float64", padding=0.3, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(1, VOCABULARY, (BATCH, STEPS))
    labels[random.random(labels.shape) < padding] = 0
    shapes = (BATCH, STEPS, UNITS), (UNITS, VOCABULARY), (VOCABULARY,)
    return [tf.constant(random.normal(size=s), dtype) for s in shapes], tf.constant(labels)


def plain(states, kernel, bias, labels):
    return masked_loss(labels, states @ kernel + bias)


def loss_and_gradients(loss_of, arguments, labels):
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        loss = loss_of(*arguments, labels)
        value = tf.cast(UPSTREAM, loss.dtype) * loss
    return [loss, *tape.gradient(value, arguments)]


def apart(found, expected):
    """The largest difference of each, as a share of the largest entry over all."""
    scale = max(np.abs(np.asarray(e, "float64")).max() for e in expected)
    pairs = zip(found, expected, strict=True)
    return max(np.abs(np.asarray(f, "float64") - np.asarray(e)).max() for f, e in pairs) / scale


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("chunk", [1, 5, 6, ROWS, 1000])
@pytest.mark.parametrize("padding", [0.0, 0.3, 1.0])
def test_value_and_gradients_are_those_of_the_whole_logits(dtype, tolerance, chunk, padding):
    arguments, labels = batch(dtype, padding)
    expected = loss_and_gradients(plain, arguments, labels)
    found = loss_and_gradients(lambda *a: chunked_cross_entropy(*a, chunk), arguments, labels)
    assert [f.dtype for f in found] == [dtype] * 4
    if padding == 1.0:
        assert all(np.all(f.numpy() == 0) for f in found)
    else:
        assert apart(found, expected) < tolerance  # measured 1e-16 and 1e-7


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("sizes", ["known", "unknown"])
def test_in_a_graph(jit_compile, sizes):
    arguments, labels = batch()
    signature = [
        tf.TensorSpec([None] * len(t.shape) if sizes == "unknown" else t.shape, t.dtype)
        for t in (*arguments, labels)
    ]

    @tf.function(input_signature=signature, jit_compile=jit_compile)
    def step(states, kernel, bias, labels):
        return loss_and_gradients(
            lambda *a: chunked_cross_entropy(*a, chunk=7), [states, kernel, bias], labels
        )

    assert apart(step(*arguments, labels), loss_and_gradients(plain, arguments, labels)) < 1e-10


def test_rows_are_a_batch_without_steps():
    (states, kernel, bias), labels = batch()
    rows, flat = tf.reshape(states, [-1, UNITS]), tf.reshape(labels, [-1])
    expected = plain(states, kernel, bias, labels)
    np.testing.assert_allclose(
        chunked_cross_entropy(rows, kernel, bias, flat, chunk=5), expected, rtol=1e-12
    )


@pytest.mark.parametrize("label_dtype", ["int32", "int64", "float32"])
def test_labels_of_any_number_type(label_dtype):
    arguments, labels = batch()
    expected = plain(*arguments, labels)
    found = chunked_cross_entropy(*arguments, tf.cast(labels, label_dtype), chunk=5)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("place", range(3), ids=["states", "kernel", "bias"])
def test_gradients_are_central_differences(place):
    arguments, labels = batch()
    direction = tf.constant(np.random.default_rng(5).normal(size=arguments[place].shape))

    def moved(by):
        shifted = [a + by * direction if i == place else a for i, a in enumerate(arguments)]
        return UPSTREAM * chunked_cross_entropy(*shifted, labels, chunk=5)

    found = loss_and_gradients(lambda *a: chunked_cross_entropy(*a, 5), arguments, labels)
    slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
    along = tf.reduce_sum(found[1 + place] * direction)
    np.testing.assert_allclose(along, slope, rtol=1e-7)  # measured below 1e-9


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_summed_in_single(dtype):
    arguments, labels = batch(dtype)
    wide = [tf.cast(a, "float64") for a in arguments]
    found = loss_and_gradients(lambda *a: chunked_cross_entropy(*a, 5), arguments, labels)
    assert [f.dtype for f in found] == ["float32", dtype, dtype, dtype]
    found = [tf.cast(f, "float64") for f in found]
    expected = loss_and_gradients(plain, wide, labels)
    assert apart(found, expected) < (1e-3 if dtype == "float16" else 1e-2)


def test_large_logits_overflow_nowhere():
    (states, kernel, bias), labels = batch("float32")
    arguments = [states * 300, kernel, bias]
    found = loss_and_gradients(lambda *a: chunked_cross_entropy(*a, 5), arguments, labels)
    assert apart(found, loss_and_gradients(plain, arguments, labels)) < 1e-5


def test_padding_has_no_gradient_and_its_states_stay_out():
    (states, kernel, bias), labels = batch()
    poisoned = tf.where((labels == 0)[..., None], tf.constant(np.nan, "float64"), states)
    clean, found = (
        loss_and_gradients(lambda *a: chunked_cross_entropy(*a, 5), [s, kernel, bias], labels)
        for s in (states, poisoned)
    )
    assert apart(found, clean) == 0
    assert np.all(found[1].numpy()[labels == 0] == 0)


def test_accuracy_is_masked_accuracy_even_at_ties():
    (states, kernel, bias), labels = batch()
    for scale in (1.0, 0.0):  # 0: all logits are equal, and the first is the largest
        arguments = states * scale, kernel, bias * scale
        logits = arguments[0] @ kernel + arguments[2]
        right = tf.argmax(logits, axis=-1)
        mixed = tf.where(tf.reshape(tf.range(ROWS), labels.shape) % 2 == 0, labels, right)
        found = chunked_loss_and_accuracy(*arguments, mixed, chunk=5)
        np.testing.assert_allclose(found.accuracy, masked_accuracy(mixed, logits), rtol=1e-12)
        np.testing.assert_allclose(found.loss, masked_loss(mixed, logits), rtol=1e-12)


def second_derivative(loss_of, arguments, labels):
    with tf.GradientTape() as outer:
        outer.watch(arguments[0])
        first = loss_and_gradients(loss_of, arguments, labels)[1]
        size = tf.reduce_sum(first**2)
    return first, lambda: outer.gradient(size, arguments[0])


def test_second_derivatives_are_refused_and_first_ones_within_a_tape_are_not():
    arguments, labels = batch()
    first, second = second_derivative(chunked_cross_entropy, arguments, labels)
    assert apart([first], [loss_and_gradients(plain, arguments, labels)[1]]) < 1e-10
    with pytest.raises(LookupError, match="cannot be differentiated twice"):
        second()

    @tf.function
    def in_a_graph():
        return second_derivative(chunked_cross_entropy, arguments, labels)[1]()

    with pytest.raises(Exception, match="cannot be differentiated twice"):
        in_a_graph()


FAULTS = {
    "the mask is dropped": ("m * losses", "losses"),
    "the gradient of padding is kept": ("d_x_n = m[:, None] * ", "d_x_n = "),
    "the bias sees padding": (
        "p_minus_e, m, transpose_a",
        "p_minus_e, tf.ones_like(m), transpose_a",
    ),
    "padding's states are kept": (
        "tf.where(m[:, None], tf.gather(x, at), tf.zeros([], x.dtype))",
        "tf.gather(x, at)",
    ),
    "the count is missing": ("return (sums.loss / c,", "return (sums.loss,"),
    "the count is missing in the gradient": ("(d_loss / c)", "d_loss"),
    "the upstream gradient is missing": ("(d_loss / c)", "(1 / c)"),
    "the label is shifted": (
        "y_n, m = tf.gather(y, at)",
        "y_n, m = tf.gather(y, tf.roll(at, 1, 0))",
    ),
    "the label has no gradient": ("tf.ones_like(m))  # (6)", "tf.zeros_like(m))  # (6)"),
    "the last chunk is left out": ("start < count,", "start + chunk <= count,"),
    "a chunk overwrites": ("sums.d_kernel + ", ""),
    "rows change places": ("sums.d_x, at[:, None]", "sums.d_x, at[::-1, None]"),
    "the wrong maximum": ("tf.math.log(_pick(p, j_n))", "tf.math.log(_pick(p, y_n))"),
    "padding counts": ("tf.math.count_nonzero(real,", "tf.math.count_nonzero(y >= 0,"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_noticed(fault):
    right, wrong = FAULTS[fault]
    source = inspect.getsource(importlib.import_module("custom_layers.training.chunked_loss"))
    assert source.count(right) == 1
    broken = {"__name__": "broken"}
    exec(source.replace(right, wrong), broken)
    arguments, labels = batch()
    labels = tf.maximum(labels, tf.cast(tf.eye(BATCH, STEPS), labels.dtype))
    expected = loss_and_gradients(plain, arguments, labels)
    found = loss_and_gradients(lambda *a: broken["chunked_cross_entropy"](*a, 5), arguments, labels)
    assert not apart(found, expected) < 1e-3


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"chunk": 0}, "`chunk` must be a positive integer"),
        ({"chunk": 2.5}, "`chunk` must be a positive integer"),
        ({"labels": np.zeros((BATCH,), "int32")}, "`labels` must be"),
        ({"labels": np.zeros((BATCH, STEPS, 1), "int32")}, "`labels` must be"),
        ({"labels": np.zeros((BATCH, STEPS + 1), "int32")}, "`labels` must be"),
        ({"bias": np.zeros(VOCABULARY - 1)}, "`bias` must be"),
        ({"kernel": np.zeros((UNITS + 1, VOCABULARY))}, "`states` must be"),
        ({"kernel": np.zeros(UNITS)}, "`kernel` must be"),
        ({"states": np.zeros(UNITS)}, "`states` must be"),
        ({"bias": np.zeros(VOCABULARY, "float32")}, "floats of one dtype"),
    ],
)
def test_bad_input_gets_one_line(change, match):
    (states, kernel, bias), labels = batch()
    given = {"states": states, "kernel": kernel, "bias": bias, "labels": labels}
    with pytest.raises(ValueError, match=match) as error:
        chunked_cross_entropy(**{**given, **change})
    assert "\n" not in str(error.value)
