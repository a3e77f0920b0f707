"""The page on the simple network: its task, its differences, its model. The page checks gradients."""

import itertools
import math

import keras
import numpy as np
import pytest

import custom_layers
from tutorials.simple_rnn import pictures
from tutorials.simple_rnn.central_differences import central_differences
from tutorials.simple_rnn.layer_gradients import layer_gradients
from tutorials.simple_rnn.model import build
from tutorials.simple_rnn.temporal_xor import best_loss, draw_bits, is_third


def test_every_third_bit_is_the_exclusive_or_of_the_two_before():
    x, y = draw_bits(200, triples=5, seed=3)
    assert x.shape == y.shape == (200, 14, 1)
    assert x.dtype == y.dtype == "float32"
    np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
    for bits in np.concatenate([x, y[:, -1:]], axis=1)[..., 0].astype(int):
        for first, second, third in bits.reshape(5, 3):
            assert third == (first != second)
    np.testing.assert_allclose(x.mean(axis=0), 0.5, atol=0.15)
    assert not np.array_equal(x, draw_bits(200, triples=5, seed=4)[0])
    np.testing.assert_array_equal(x, draw_bits(200, triples=5, seed=3)[0])


def test_third_bits_are_those_that_follow_from_the_bits_before():
    """Over all streams there are: an answer is known where it never differs for the same past."""
    triples = 3
    streams = [
        [bit for a, b in np.reshape(bits, (triples, 2)) for bit in (a, b, a ^ b)]
        for bits in itertools.product((0, 1), repeat=2 * triples)
    ]
    known = []
    for step in range(3 * triples - 1):
        answers = {}
        for stream in streams:
            answers.setdefault(tuple(stream[: step + 1]), set()).add(stream[step + 1])
        known.append(all(len(found) == 1 for found in answers.values()))
    assert list(is_third(triples)) == known
    assert best_loss(triples) == pytest.approx((len(known) - sum(known)) * math.log(2) / len(known))


def test_central_differences_of_a_cubic_and_of_a_product():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3)), rng.standard_normal((3, 2))
    before = a.copy()
    found = central_differences(
        lambda w: np.sum(w["a"] ** 3) + np.sum(w["a"] @ w["b"]), {"a": a, "b": b}
    )
    np.testing.assert_allclose(found["a"], 3 * a**2 + b.sum(axis=1), rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(found["b"], np.repeat(a.sum(axis=0)[:, None], 2, 1), rtol=1e-7)
    np.testing.assert_array_equal(a, before)


def test_the_model_is_the_same_from_either_library():
    models = [build(layers, units=5, learning_rate=0.1) for layers in (keras.layers, custom_layers)]
    assert isinstance(models[1].layers[0], custom_layers.SimpleRNN)
    models[1].set_weights(models[0].get_weights())
    x, y = draw_bits(8, triples=2, seed=0)
    one, other = (model(x) for model in models)
    np.testing.assert_allclose(one, other, atol=1e-6)
    W, U, b, V, c = models[0].get_weights()
    h = np.zeros((8, 5))
    for t in range(x.shape[1]):
        h = np.tanh(x[:, t] @ W + h @ U + b)
        np.testing.assert_allclose(one[:, t], h @ V + c, atol=1e-5)
    z = np.asarray(one)
    entropy = np.mean(np.log1p(np.exp(z)) - y * z)
    assert models[0].evaluate(x, y, verbose=0) == pytest.approx(entropy, rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"gradient": "bptt"}], ids=str)
def test_gradients_of_the_layers_are_those_of_central_differences(options):
    rng = np.random.default_rng(1)
    shapes = {"W": (2, 3), "U": (3, 3), "b_x": (3,), "b_h": (3,), "V": (3, 1), "c": (1,)}
    weights = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    x, y = rng.standard_normal((2, 4, 2)), rng.integers(0, 2, (2, 4, 1)).astype(float)

    def loss(w):
        h, total = np.zeros((2, 3)), 0.0
        for t in range(4):
            h = np.tanh(x[:, t] @ w["W"] + w["b_x"] + h @ w["U"] + w["b_h"])
            z = h @ w["V"] + w["c"]
            total += np.sum(np.log1p(np.exp(z)) - y[:, t] * z)
        return total / y.size

    expected = central_differences(loss, weights)
    found = layer_gradients(custom_layers, x, y, weights, **options)
    np.testing.assert_allclose(expected["b_x"], expected["b_h"], atol=1e-9)
    for name in ("W", "U", "V", "c"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-9, err_msg=name)
    np.testing.assert_allclose(found["b"], expected["b_x"], atol=1e-9)


def test_pictures_are_drawn_of_any_number_of_steps(tmp_path):
    states = [np.linspace(-1, 1, 3)] * 4
    path = pictures.save_unrolled(states, [0.1] * 3, [0.0, 0.2, 0.3], tmp_path / "u.png")
    assert path.stat().st_size > 5000
