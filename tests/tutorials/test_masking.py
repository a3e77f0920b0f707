"""The page on masking: its proof can fail, its batches hold the same sentences, its sums are right."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import custom_layers
from custom_layers.data import SentencePairs
from tutorials.masking import cost, proof, sentences
from tutorials.masking.model import logits_with_padding, reader


def test_behind_the_end_of_a_sequence_there_is_noise():
    x, mask = proof.sequences(lengths=(3, 1), seed=4)
    np.testing.assert_array_equal(mask, [[True, True, True], [True, False, False]])
    assert x.shape == (2, 3, proof.FEATURES)
    assert np.all(x[~mask] != 0)


@pytest.mark.parametrize("layers", [keras.layers, custom_layers], ids=["keras", "ours"])
@pytest.mark.parametrize("name", ["GRU", "Bidirectional LSTM", "GlobalAveragePooling1D"])
def test_padding_changes_nothing_under_a_mask(name, layers):
    apart = proof.differences(proof.CASES[name], layers, seed=3)
    assert max(apart) <= 1e-12
    assert apart.padding == 0
    assert proof.differences(proof.CASES[name], layers, masked=False, seed=3).outputs > 1e-3


class Faulty(keras.layers.Layer):
    """y_t = w x_t, right but for one fault."""

    def __init__(self, fault):
        super().__init__(dtype="float64")
        self.fault = fault

    def build(self, shape):
        self.w = self.add_weight(shape=(), initializer="ones")

    def call(self, x, mask=None):
        y = self.w * x
        if mask is None:
            return y
        kept = tf.cast(mask, "float64")[..., None]
        nothing = {
            "none": tf.zeros((), "float64"),
            "an output": 1e-6 * tf.reduce_sum((1 - kept) * tf.stop_gradient(x)),
            "a gradient by x": kept * x,
            "a gradient by w": self.w * tf.ones_like(x),
            "a gradient in the padding": tf.reduce_sum((1 - kept) * x),
        }[self.fault]
        if self.fault == "an output":
            return y + nothing
        return y + nothing - tf.stop_gradient(nothing)  # seen by a gradient alone


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("none", set()),
        ("an output", {"outputs"}),
        ("a gradient by x", {"inputs"}),
        ("a gradient by w", {"weights"}),
        ("a gradient in the padding", {"padding"}),
    ],
)
def test_the_proof_sees_each_kind_of_fault(fault, seen):
    case = proof.Case(lambda _: Faulty(fault), lambda layer, x, mask: (layer.call(x, mask=mask),))
    layer = Faulty(fault)
    layer.build(None)
    case = case._replace(make=lambda _: layer)
    apart = proof.differences(case, None)
    assert {name for name, value in apart._asdict().items() if value > 1e-12} == seen


ENGLISH = ["Do you sing?", "I sing.", "Who sings, Ana?", "Ana sings.", "You don't.", "¡...!"]
PAIRS = SentencePairs(["x"] * len(ENGLISH), ENGLISH)


def test_questions_are_half_of_the_sentences_and_labelled():
    drawn = sentences.questions(PAIRS, count=4, held_out=0, vocabulary=50, seed=1)
    assert sorted(drawn.labels[:, 0]) == [0, 0, 1, 1]
    for text, row, label in zip(drawn.texts, drawn.rows.to_list(), drawn.labels[:, 0], strict=True):
        assert text.endswith("?") == label
        assert len(row) == len(sentences.words_of(text))
    number_of = {}
    for text, row in zip(drawn.texts, drawn.rows.to_list(), strict=True):
        for word, number in zip(sentences.words_of(text), row, strict=True):
            assert number_of.setdefault(word, number) == number
    assert len(set(number_of.values())) == len(number_of)
    assert min(number_of.values()) == sentences.FIRST_WORD
    assert max(number_of.values()) < drawn.words == 52


def test_words_that_are_only_asked_about_are_unknown():
    drawn = sentences.questions(PAIRS, count=4, held_out=2, vocabulary=50, seed=1)
    learnt = {word for text in drawn.texts[2:] for word in sentences.words_of(text)}
    unknown = set()
    for text, row in zip(drawn.texts, drawn.rows.to_list(), strict=True):
        for word, number in zip(sentences.words_of(text), row, strict=True):
            assert (number == sentences.UNKNOWN) == (word not in learnt)
            unknown |= {word} - learnt
    assert unknown


def test_words_are_without_marks_and_rare_ones_are_unknown():
    assert sentences.words_of("Don't YOU, Ana? 12.") == ["don't", "you", "ana", "12"]
    assert sentences.words_of("¿...?") == []
    assert sentences.numbers([["b", "a"], ["b", "c"], ["a", "b"]], 2) == {"b": 2, "a": 3}


@pytest.fixture(scope="module")
def rows():
    """Row i holds the number i + 2 alone, so that a batch tells which rows it is made of."""
    lengths = np.random.default_rng(0).integers(1, 20, 50)
    numbers = np.repeat(np.arange(50) + 2, lengths)
    return tf.RaggedTensor.from_row_lengths(numbers.astype("int64"), lengths)


def test_two_ways_hold_the_same_sentences_with_their_labels(rows):
    labels = 1000 + np.arange(50)[:, None]
    ways = cost.two_ways(rows, labels, batch_size=10, seed=0)
    assert ways.per_epoch == 5
    padding = []
    for way in (ways.random, ways.by_length):
        batches = [(x.numpy(), y.numpy()) for x, y in way]
        assert [x.shape[0] for x, _ in batches] == [10] * 5
        for x, y in batches:
            np.testing.assert_array_equal(x[:, 0] - 2, y[:, 0] - 1000)
            assert np.all((x == x[:, :1]) | (x == 0))
        assert sorted(itertools.chain(*(x[:, 0] for x, _ in batches))) == list(range(2, 52))
        padding.append(cost.size_of(way))
    words = int(rows.flat_values.shape[0])
    assert padding[0].words == padding[1].words == words
    assert padding[1].cells < padding[0].cells


def test_a_size_counts_words_cells_and_columns():
    batches = [(np.array([[1, 2, 0], [3, 0, 0]]), None), (np.array([[5]]), None)]
    size = cost.size_of(batches)
    assert size == (4, 7, 4)
    assert size.padding == pytest.approx(3 / 7)


def test_the_ratio_is_of_the_time_of_a_word_in_turns(rows, monkeypatch):
    ways = cost.two_ways(rows, np.zeros((50, 1), "int64"), batch_size=20, seed=0)
    words = [cost.size_of(way).words for way in (ways.random, ways.by_length)]
    clock, fitted = [0.0], []

    class Model:
        def fit(self, way, shuffle, verbose):
            fitted.append(way)
            warm = 100.0 if len(fitted) <= 2 else 0.0
            clock[0] += warm + (3.0 if way is ways.random else 1.0)

    monkeypatch.setattr(cost.time, "process_time", lambda: clock[0])
    ratio = cost.time_ratio(Model(), ways, turns=3)
    assert ratio == pytest.approx(3 * words[1] / words[0])
    assert fitted == [ways.random, ways.by_length] * 4


@pytest.mark.parametrize("masked", [True, False])
def test_answers_under_padding(rows, masked):
    """Each sentence, by itself, with so many zeros behind it."""
    model = reader(custom_layers, 60, masked)
    some = rows[:6]
    found = logits_with_padding(model, some, 3)
    for row, logit in zip(some.to_list(), found, strict=True):
        alone = model(np.array([row + 3 * [0]]))
        np.testing.assert_allclose(logit, alone[0, 0], rtol=1e-4, atol=1e-6)
    unpadded = logits_with_padding(model, some, 0)
    assert bool(np.allclose(found, unpadded, atol=1e-6)) is masked
