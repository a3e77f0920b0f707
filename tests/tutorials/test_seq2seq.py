"""The page on sequences to sequences: its tasks by hand, its networks, and how it measures."""

import keras
import numpy as np
import pytest

import custom_layers
from custom_layers.data import number_in_words
from tutorials.seq2seq import feeding, model, tasks
from tutorials.seq2seq.tasks import END, FIRST, PAD, START


def test_sums_and_maxima_are_those_of_the_digits():
    x, y = tasks.digit_sums(20, steps=5, seed=1)
    for digits, total in zip(x.tolist(), y[:, 0], strict=True):
        assert 10 * total == pytest.approx(sum(digits))
    x, y = tasks.running_maxima(20, steps=5, seed=1)
    for digits, largest in zip(x.tolist(), y.tolist(), strict=True):
        assert largest == [max(digits[: n + 1]) for n in range(5)]


def test_numbers_are_learnt_or_held_out_and_spelled():
    train, test, words = tasks.spelled_numbers(held_out=200, seed=3)
    assert (len(train.x), len(test.x)) == (800, 200)
    seen = []
    for x, tokens in [*zip(train.x, train.y, strict=True), *zip(test.x, test.y, strict=True)]:
        hundreds, tens, ones = x.reshape(3, 10).argmax(axis=-1)
        seen.append(100 * hundreds + 10 * tens + ones)
        said = words.decode(tokens)
        assert said == number_in_words(seen[-1])
        assert tokens[len(said)] == END
        assert not np.any(tokens[len(said) + 1 :])
    assert sorted(seen) == list(range(1000))


def test_no_date_is_learnt_and_held_out():
    dates = tasks.dates(60, held_out=30, seed=2)
    texts = {
        split: ["".join(dates.source.decode(row)) for row in x]
        for split, x in (("train", dates.train.x), ("test", dates.test.x))
    }
    assert texts["test"] == dates.texts
    assert not set(texts["train"]) & set(texts["test"])
    for text, tokens in zip(dates.texts, dates.test.y, strict=True):
        iso = "".join(dates.target.decode(tokens))
        assert len(iso) == 10
        assert tokens[10] == END
        assert iso[2:4] in text
        assert str(int(iso[8:])) in text


def test_letters_come_back_in_the_other_order():
    lengths = np.array([1, 4, 6, 2])
    x, y = tasks.reversed_letters(lengths, letters=9, seed=0, width=7)
    assert (x.shape, y.shape) == ((4, 7), (4, 8))
    for source, target, length in zip(x.tolist(), y.tolist(), lengths, strict=True):
        letters = source[:length]
        assert len(set(letters)) == length
        assert all(FIRST <= letter < FIRST + 9 for letter in letters)
        assert source[length:] == [PAD] * (7 - length)
        assert target == [*letters[::-1], END, *[PAD] * (7 - length)]


def test_a_text_ends_at_its_end_token():
    words = tasks.Vocabulary(["b", "a"])
    assert words.encode([["a"], ["b", "a", "b"]], end=True).tolist() == [
        [FIRST, END, PAD, PAD],
        [FIRST + 1, FIRST, FIRST + 1, END],
    ]
    assert words.decode([FIRST + 1, END, FIRST]) == ["b"]
    assert words.decode([FIRST, FIRST]) == ["a", "a"]


def test_a_sequence_is_right_up_to_its_end_and_nothing_counts_behind():
    target = np.array([[5, 6, END, PAD], [5, 6, 7, END]])
    for tokens, expected in (
        ([[5, 6, END, 9], [5, 6, 7, END]], [True, True]),
        ([[5, 6, 7, PAD], [5, 7, 7, END]], [False, False]),
    ):
        assert model.right(np.array(tokens), target).tolist() == expected


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("layers", [keras.layers, custom_layers], ids=["builtin", "custom"])
def test_the_attentive_readout_by_hand(layers):
    """Equations (6) and (7) of the page."""
    rng = np.random.default_rng(0)
    g, h = (rng.standard_normal((3, steps, 4)).astype("float32") for steps in (2, 5))
    mask = np.arange(5) < np.array([[5], [2], [3]])
    readout = model.AttentiveReadout(layers, units=6, words=7)
    readout(g, h, mask)
    weights = [rng.standard_normal(w.shape) for w in readout.get_weights()]
    readout.set_weights(weights)
    scale, W_c, W, b = weights
    a = softmax(np.where(mask[:, None], scale * g @ h.swapaxes(1, 2), -1e9))
    expected = np.tanh(np.concatenate([a @ h, g], axis=-1) @ W_c) @ W + b
    np.testing.assert_allclose(readout(g, h, mask), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("attention", [False, True])
def test_padding_of_the_source_changes_nothing(attention):
    keras.utils.set_random_seed(2)
    net = model.translator(custom_layers, 9, 9, 6, attention)
    free = net.running_free(5)
    x = np.array([[3, 4, 5], [6, 7, 8]])
    padded = np.pad(x, ((0, 0), (0, 4)))
    np.testing.assert_allclose(model.answers(free, x), model.answers(free, padded), atol=1e-5)


def test_without_attention_the_loss_has_one_door():
    """The decoder sees the encoder's sequence with attention, and its last state alone without."""
    for attention, outputs in ((False, 1), (True, 2)):
        net = model.translator(custom_layers, 9, 9, 6, attention)
        assert len(net.encoder.outputs) == outputs


def test_a_rate_and_other_options_arrive():
    net = model.translator(custom_layers, 9, 7, 6, attention=True, learning_rate=0.125, features=5)
    assert float(net.training.optimizer.learning_rate) == 0.125
    assert net.training.get_layer("source_vectors").output.shape[-1] == 5
    usual = model.translator(custom_layers, 9, 7, 6, attention=True)
    assert float(usual.training.optimizer.learning_rate) == pytest.approx(model.RATE)


def test_every_way_of_feeding_begins_alike_and_can_be_repeated():
    lengths = np.full(64, 3)
    train, test = (tasks.reversed_letters(lengths, 5, seed=seed) for seed in (0, 1))
    net = model.translator(custom_layers, 8, 8, 6, attention=False, sampling_probability=0.0)
    start, weights = feeding.FreshStart(net), net.training.get_weights()
    ways = {"own": lambda step: 0.0, "forced": lambda step: 1.0, "own again": lambda step: 0.0}
    found = feeding.train_each_way(start, weights, ways, train, test, seed=4, batch_size=16)
    assert found["own"] == found["own again"]
    assert int(net.training.optimizer.iterations) == 4
    start.begin(weights)
    assert int(net.training.optimizer.iterations) == 0
    before = feeding.train_each_way(start, weights, {}, train, test, seed=4)
    assert before == {}
    for own, first in zip(net.training.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(own, first)


def test_what_is_measured_of_a_way_of_feeding():
    """A decoder that is never trained: its shares, counted by hand."""
    train = test = tasks.reversed_letters(np.array([1, 3, 2, 3] * 8), 5, seed=0)
    net = model.translator(custom_layers, 8, 8, 6, attention=False, sampling_probability=0.0)
    net.training.optimizer.learning_rate = 0.0
    start, weights = feeding.FreshStart(net), net.training.get_weights()
    ways = {"forced": lambda step: 1.0}
    measured = feeding.train_each_way(start, weights, ways, train, test, seed=0)["forced"]
    forced, free = (
        np.asarray(logits).argmax(axis=-1)
        for logits in (net.training([test.x, test.y]), net.running_free(4)(test.x))
    )
    counted = [(row, t) for row in range(32) for t in range(4) if test.y[row, t] != PAD]
    for tokens, share in ((forced, measured.forced), (free, measured.free)):
        hits = sum(tokens[place] == test.y[place] for place in counted)
        assert share == pytest.approx(hits / len(counted))
    assert START not in test.y
