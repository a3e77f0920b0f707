"""Text and batches of the NMT tutorial."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from custom_layers.data import SentencePairs, demo_pairs
from tutorials.nmt_with_attention.data import PRESETS, learning_rate_of, prepare
from tutorials.nmt_with_attention.train import make_parser
from tutorials.translation.batches import BATCHES
from tutorials.translation.text import (
    has_words,
    learn_vocabulary,
    references_of,
    standardize,
    vectorizer_of,
    written_words,
)

PRESET = PRESETS["quick"]._replace(vocabulary_size=200, batch_size=16, held_out=0.1)


@pytest.mark.parametrize(
    ("text", "standard"),
    [
        ("¿Dónde está mi libro?", "[START] ¿ donde esta mi libro ? [END]"),
        ("¡Qué niño, señor!", "[START] que nino ,  senor ! [END]"),
        ("I don't (really) know 12.", "[START] i dont really know  . [END]"),
        ("[START] x [END]", "[START] start x end [END]"),
        ("Ａ\u0301ﬁ", "[START] afi [END]"),  # full width, a combining accent, a ligature
        ("", "[START]  [END]"),
    ],
)
def test_standardize(text, standard):
    assert standardize(tf.constant([text])).numpy()[0].decode() == standard


def test_references_are_what_the_model_can_write():
    assert references_of(["Don't go, Tom!", "¿Qué?", ""]) == ["dont go, tom!", "¿que?", ""]


def test_written_words_keep_accents_and_fit_the_tokens():
    text = "¿Dónde está, niño?"
    words = written_words(text)
    assert words == ["[START]", "¿", "Dónde", "está", ",", "niño", "?", "[END]"]
    assert written_words("a - b") == ["[START]", "a", "b", "[END]"]  # the dash vanishes
    assert has_words("¿?")
    assert not has_words(" 12 ")


def test_vocabulary_is_learned_by_frequency_and_maps_both_ways():
    vocabulary = learn_vocabulary(["b a b.", "b c a."], 8)
    assert vocabulary[:2] == ["", "[UNK]"]
    assert vocabulary.index("b") < vocabulary.index("a") < vocabulary.index("c")
    tokens = vectorizer_of(vocabulary)(tf.constant(["b z", "a ."])).to_list()
    assert [[vocabulary[t] for t in row] for row in tokens] == [
        ["[START]", "b", "[UNK]", "[END]"],
        ["[START]", "a", ".", "[END]"],
    ]
    with pytest.raises(ValueError, match="`size` must be at least 5"):
        learn_vocabulary(["a"], 4)


@pytest.fixture(scope="module")
def pairs():
    return demo_pairs(400)


def sentences(data, batches):
    """The (source, target) token rows of some training batches, without padding."""
    rows = []
    for (context, _), target in itertools.islice(data.train, batches):
        for source, words in zip(context.numpy(), target.numpy(), strict=True):
            rows.append((tuple(source[source > 0]), tuple(words[words > 0])))
    return rows


def test_batches_are_teacher_forced(pairs):
    data = prepare(pairs, PRESET)
    start = data.target_vocabulary.index("[START]")
    end = data.target_vocabulary.index("[END]")
    for (context, target_in), target_out in itertools.islice(data.train, 5):
        assert context.shape[0] == target_in.shape[0] == target_out.shape[0] == 16
        target_in, target_out = target_in.numpy(), target_out.numpy()
        assert np.all(target_in[:, 0] == start)
        np.testing.assert_array_equal(target_in != 0, target_out != 0)
        for row_in, row_out in zip(target_in, target_out, strict=True):
            length = np.sum(row_in != 0)
            np.testing.assert_array_equal(row_in[1:length], row_out[: length - 1])
            assert row_out[length - 1] == end
        assert (context.numpy() != 0).sum(axis=1).max() == context.shape[1]  # no idle column


def test_order_depends_on_the_seed_alone(pairs):
    keras.utils.set_random_seed(1)
    first = sentences(prepare(pairs, PRESET, seed=5), 60)
    keras.utils.set_random_seed(2)
    data = prepare(pairs, PRESET, seed=5)
    assert sentences(data, 60) == first
    assert sentences(data, 60) == first  # a second look begins anew
    skipped = data._replace(train=data.train.skip(10))
    assert sentences(skipped, 50) == first[160:]  # what --resume relies on
    assert sentences(prepare(pairs, PRESET, seed=6), 60) != first


def test_an_epoch_is_a_new_permutation_of_all_pairs(pairs):
    data = prepare(pairs, PRESET._replace(batch_size=18))  # 360 pairs: 20 batches an epoch
    assert len(data.train_pairs.source) == 360
    rows = sentences(data, 40)
    assert sorted(rows[:360]) == sorted(rows[360:])
    assert rows[:360] != rows[360:]


@pytest.mark.parametrize("way", ["bucketed", "equal-words"])
def test_batches_of_like_lengths_hold_the_same_pairs_with_less_padding(pairs, way):
    def epoch(batches):
        data = prepare(pairs, PRESET, batches=batches)
        count = len(data.train_pairs.source) // PRESET.batch_size
        return [context.numpy() for (context, _), _ in data.train.take(count)]

    ways = epoch("random"), epoch(way)
    rows = [{tuple(row[row > 0]) for batch in way for row in batch} for way in ways]
    assert len(rows[0] & rows[1]) > 0.9 * len(rows[0])  # but for the few that an epoch leaves out
    padding = [sum((batch == 0).sum() for batch in way) for way in ways]
    assert padding[1] < 0.5 * padding[0]


def test_the_command_offers_the_ways_that_there_are():
    action = next(a for a in make_parser()._actions if a.dest == "batches")
    assert list(action.choices) == list(BATCHES)


def test_held_out_pairs_come_once_in_order_and_not_in_training(pairs):
    data = prepare(pairs, PRESET._replace(held_out_limit=33))
    assert len(data.held_out_pairs.source) == 33
    vectorizer = vectorizer_of(data.context_vocabulary)
    expected = vectorizer(tf.constant(data.held_out_pairs.source)).to_list()
    found = [
        [int(t) for t in row[row > 0]]
        for (context, _), _ in data.held_out
        for row in context.numpy()
    ]
    assert found == expected
    assert not set(data.held_out_pairs.source) & set(data.train_pairs.source)


def test_held_out_pairs_of_a_sorted_file_are_not_its_shortest():
    lengths = np.arange(1, 401)
    texts = [" ".join(["a"] * length) for length in lengths]
    data = prepare(SentencePairs(texts, texts), PRESET._replace(held_out=0.5, held_out_limit=50))
    found = [len(text.split()) for text in data.held_out_pairs.source]
    assert len(found) == 50
    assert 120 < np.mean(found) < 280  # of 1 to 400; the first fifty have 50 on average
    assert found != sorted(found)
    assert data.held_out_pairs.source == data.held_out_pairs.target


def test_too_few_pairs_are_refused():
    with pytest.raises(ValueError, match="at least"):
        prepare(SentencePairs(["a", "b"], ["c", "d"]), PRESET)


def test_learning_rate_falls_to_zero_only_where_the_preset_says_so():
    schedule = learning_rate_of(PRESETS["quick"], 100)
    np.testing.assert_allclose(schedule(0), PRESETS["quick"].learning_rate, rtol=1e-6)
    np.testing.assert_allclose(schedule(100), 0, atol=1e-9)
    assert learning_rate_of(PRESETS["tutorial"], 100) == 1e-3
