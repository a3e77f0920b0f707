"""The page on directions and stacks: its task, its measure, its networks."""

import keras
import numpy as np
import pytest

import custom_layers
from custom_layers.data import SentencePairs
from tutorials.bidirectional_and_stacked import articles, networks
from tutorials.bidirectional_and_stacked.knowledge import jacobian_norms

SPANISH = ["La casa está en el campo.", "¿Los ves?", "Ana canta.", "Ella lee las cartas, Ana."]
PAIRS = SentencePairs(SPANISH, ["x"] * len(SPANISH))


def test_articles_are_blotted_out_and_asked_for():
    drawn = articles.blotted(PAIRS, count=10, held_out=0, vocabulary=20, seed=0)
    assert sorted(drawn.texts) == sorted(text for text in SPANISH if text != "Ana canta.")
    word_of = {}
    for text, x, y in zip(drawn.texts, drawn.x, drawn.y, strict=True):
        words = articles.words_of(text)
        assert np.count_nonzero(x) == len(words)
        assert not x[len(words) :].any()
        assert not y[len(words) :].any()
        for word, number, answer in zip(words, x, y, strict=False):
            if word in ("el", "la", "los", "las"):
                assert (number, articles.ARTICLES[answer - 1]) == (articles.BLOT, word)
            else:
                assert answer == 0
                assert word_of.setdefault(number, word) == word
                assert articles.FIRST_WORD <= number < drawn.words
    assert "ella" in word_of.values()  # a word that begins like an article is none


def test_rare_words_are_unknown_and_long_sentences_left_out():
    long = " ".join(["la"] + ["casa"] * articles.LONGEST)
    pairs = SentencePairs([long, "la casa casa gris"], ["x", "x"])
    drawn = articles.blotted(pairs, count=10, held_out=0, vocabulary=1, seed=0)
    first, blot = articles.FIRST_WORD, articles.BLOT
    assert drawn.x[:, :5].tolist() == [[blot, first, first, articles.UNKNOWN, articles.PADDING]]
    part = drawn.part(0, 1)
    assert part.texts == drawn.texts
    np.testing.assert_array_equal(part.y, drawn.y)


def test_words_that_are_only_asked_about_are_unknown():
    drawn = articles.blotted(PAIRS, count=10, held_out=1, vocabulary=20, seed=0)
    learnt = {word for text in drawn.texts[1:] for word in articles.words_of(text)}
    words = [word for word in articles.words_of(drawn.texts[0]) if word not in articles.ARTICLES]
    numbers = [n for n in drawn.x[0] if n not in (articles.PADDING, articles.BLOT)]
    assert [n == articles.UNKNOWN for n in numbers] == [word not in learnt for word in words]
    assert articles.UNKNOWN in numbers
    assert articles.UNKNOWN not in drawn.x[1:]


def test_likely_pronouns_are_counted():
    texts = ["No la conozco.", "Me los da.", "No el campo.", "Los ves. No.", "La casa, la de Ana."]
    assert articles.likely_pronouns(texts) == 2


def test_the_most_frequent_answer():
    assert articles.most_frequent(np.array([[1, 2, 0], [2, 0, 0], [4, 2, 0]])) == 3 / 5


def test_jacobian_norms_are_those_of_central_differences():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 2))
    lstm = custom_layers.LSTM(3, return_sequences=True, dtype="float64")
    layer = custom_layers.Bidirectional(lstm, dtype="float64")
    found = jacobian_norms(layer, x)
    expected = np.zeros((4, 4, 2, 6))
    for s in range(4):
        for feature in range(2):
            moved = np.zeros_like(x)
            moved[s, feature] = 1e-5
            up, down = (np.asarray(layer((x + m)[None]))[0] for m in (moved, -moved))
            expected[:, s, feature] = (up - down) / 2e-5
    np.testing.assert_allclose(found, np.sqrt((expected**2).sum(axis=(2, 3))), rtol=1e-7)


WORDS = 20
SENTENCE = np.array([[5, 2, 7, 9]])


@pytest.mark.parametrize("layers", [keras.layers, custom_layers], ids=["keras", "ours"])
@pytest.mark.parametrize(
    ("direction", "heard"), [("forward", {2, 3}), ("backward", {0, 1, 2}), ("both", {0, 1, 2, 3})]
)
def test_a_reading_hears_what_it_has_read(layers, direction, heard):
    """Which answers change with the third word."""
    model = networks.reader(layers, WORDS, direction)
    changed = SENTENCE.copy()
    changed[0, 2] = 8
    differences = np.abs(np.asarray(model(SENTENCE)) - np.asarray(model(changed))).max(axis=-1)[0]
    assert set(np.flatnonzero(differences > 1e-7)) == heard


@pytest.mark.parametrize("build", ["forward", "backward", "both", "deep"])
def test_padding_does_not_move_the_answers_to_other_steps(build):
    if build == "deep":
        model = networks.deep_reader(WORDS, 2, residual=True)
    else:
        model = networks.reader(custom_layers, WORDS, build)
    padded = np.pad(SENTENCE, ((0, 0), (0, 3)))
    answers, alone = np.asarray(model(padded)), np.asarray(model(SENTENCE))
    np.testing.assert_allclose(answers[:, :4], alone, atol=1e-6)


def test_both_columns_are_one_function():
    for direction in ("forward", "backward", "both"):
        builtin, own = (networks.reader(m, WORDS, direction) for m in (keras.layers, custom_layers))
        own.set_weights(builtin.get_weights())
        np.testing.assert_allclose(own(SENTENCE), builtin(SENTENCE), atol=1e-6)


@pytest.mark.parametrize("residual", [True, False])
def test_a_stack_is_what_its_equations_say(residual):
    """Equations (2) and (3) of the page, with one-step LSTMs in NumPy, from the zero state."""
    stack = custom_layers.RNN(networks.cells(3, residual, width=4), return_sequences=True)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 1, 4)).astype("float32")
    stack(x)
    stack.set_weights([rng.standard_normal(w.shape) for w in stack.get_weights()])
    y = x[:, 0]
    weights = stack.get_weights()
    for kernel, _, bias in (weights[n : n + 3] for n in (0, 3, 6)):
        i, _, g, o = np.split(y @ kernel + bias, 4, axis=-1)
        c = np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        y = y + h if residual else h
    np.testing.assert_allclose(stack(x)[:, 0], y, rtol=1e-4, atol=1e-5)
