"""One contract, several loops: the plain Python loop is the reference of the others."""

import keras
import numpy as np
import pytest
from keras import ops

from custom_layers.recurrent.time_loop import time_loop, unrolled_time_loop

BACKEND = keras.backend.backend()
CLOSE = {"rtol": 1e-5, "atol": 1e-6} if BACKEND == "jax" else {"rtol": 1e-12, "atol": 1e-12}


def step(carry, x):
    """Two carries, two sequences, and outputs of other shapes and dtypes than the carry's."""
    a, b = carry
    first, second = x["first"], x["second"]
    a = ops.tanh(a * 0.9 + first)
    b = b + ops.sum(a, axis=-1)
    outputs = {"wide": ops.concatenate([a, second], axis=-1), "sign": b > 0}
    return (a, b), outputs


def data(steps=7):
    rng = np.random.default_rng(0)
    init = (rng.standard_normal((3, 4)), rng.standard_normal(3))
    sequences = {
        "first": rng.standard_normal((steps, 3, 4)),
        "second": rng.standard_normal((steps, 3, 2)),
    }
    return init, sequences


def in_graph(function):
    """Run traced where the backend has a graph, so that the symbolic loop is what is tested."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    return function


def as_arrays(structure):
    return keras.tree.map_structure(ops.convert_to_numpy, structure)


def tensors(structure):
    return keras.tree.map_structure(ops.convert_to_tensor, structure)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("steps", [1, 7])
def test_loop_equals_the_plain_loop(reverse, steps):
    init, sequences = tensors(data(steps))
    wanted = as_arrays(unrolled_time_loop(step, init, sequences, reverse=reverse))
    run = in_graph(lambda i, s: time_loop(step, i, s, reverse=reverse))
    keras.tree.map_structure(
        lambda got, want: np.testing.assert_allclose(got, want, **CLOSE),
        as_arrays(run(init, sequences)),
        wanted,
    )


def test_reversed_outputs_stand_at_their_own_time():
    x = ops.convert_to_tensor(np.arange(5.0)[:, None])
    last, seen = time_loop(lambda c, x: (c + x, c + x), ops.zeros((1,), x.dtype), x, reverse=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(seen)[:, 0], [10, 10, 9, 7, 4])
    np.testing.assert_array_equal(ops.convert_to_numpy(last), [10])


def test_no_output_is_none():
    init, sequences = tensors(data())
    carry, outputs = time_loop(lambda c, x: (step(c, x)[0], None), init, sequences)
    wanted, _ = time_loop(step, init, sequences)
    assert outputs is None
    np.testing.assert_array_equal(*(ops.convert_to_numpy(c[0]) for c in (carry, wanted)))


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow has dynamic shapes")
@pytest.mark.parametrize("reverse", [False, True])
def test_graph_loop_takes_any_number_of_steps(reverse):
    import tensorflow as tf

    spec = {
        "first": tf.TensorSpec((None, None, 4), "float64"),
        "second": tf.TensorSpec((None, None, 2), "float64"),
    }
    starts = (tf.TensorSpec((None, 4), "float64"), tf.TensorSpec((None,), "float64"))
    run = tf.function(
        lambda i, s: time_loop(step, i, s, reverse=reverse), input_signature=[starts, spec]
    )
    for steps in (1, 4, 9):
        init, sequences = tensors(data(steps))
        got = as_arrays(run(init, sequences))
        want = as_arrays(unrolled_time_loop(step, init, sequences, reverse=reverse))
        keras.tree.map_structure(np.testing.assert_allclose, got, want)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow has dynamic shapes")
@pytest.mark.parametrize("reverse", [False, True])
def test_graph_loop_of_no_step_returns_what_it_began_with(reverse):
    import tensorflow as tf

    init, sequences = tensors(data(0))
    spec = {name: tf.TensorSpec((None, *s.shape[1:]), s.dtype) for name, s in sequences.items()}
    run = tf.function(lambda s: time_loop(step, init, s, reverse=reverse), input_signature=[spec])
    carry, outputs = as_arrays(run(sequences))
    keras.tree.map_structure(np.testing.assert_array_equal, carry, as_arrays(init))
    assert outputs["wide"].shape == (0, 3, 6)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow has dynamic shapes")
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("known", [True, False])
def test_gradients_of_the_graph_loop_are_those_of_the_plain_loop(known, reverse):
    """And where the length is known, none is of a slice: it would be as large as the sequence."""
    import tensorflow as tf

    def gradients(loop, given):
        with tf.GradientTape() as tape:
            tape.watch(given)
            (a, b), outputs = loop(step, *given, reverse=reverse)
            weights = ops.reshape(
                ops.arange(ops.size(outputs["wide"]), dtype="float64"), (-1, 3, 6)
            )
            loss = ops.sum(a) + ops.sum(b * b) + ops.sum(ops.sin(weights) * outputs["wide"])
        return tape.gradient(loss, given)

    given = tensors(data())
    shapes = keras.tree.map_structure(
        lambda x: tf.TensorSpec(x.shape if known else (None, *x.shape[1:]), x.dtype), given
    )
    run = tf.function(lambda g: gradients(time_loop, g), input_signature=[shapes])
    wanted = as_arrays(gradients(unrolled_time_loop, given))
    keras.tree.map_structure(
        lambda got, want: np.testing.assert_allclose(got, want, **CLOSE),
        as_arrays(run(given)),
        wanted,
    )
    graph = run.get_concrete_function().graph.as_graph_def()
    operations = {node.op for f in graph.library.function for node in f.node_def}
    operations |= {node.op for node in graph.node}
    assert "TensorListGetItem" in operations
    assert ("StridedSliceGrad" in operations) != known


def test_unknown_number_of_steps_cannot_be_unrolled():
    with pytest.raises(ValueError, match=r"number of steps must be known.*unroll=False"):
        unrolled_time_loop(step, None, keras.KerasTensor((None, 3, 4)))
