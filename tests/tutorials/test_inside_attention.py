"""The page on attention from the inside: its tasks, its measures, its three translators."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from custom_layers.data import SentencePairs
from custom_layers.data.spanish_english_demo import Translation, demo_translations
from tutorials.inside_attention import pictures, recall_tasks, three_translators
from tutorials.inside_attention.score_measures import passing, share_where_both_meet, softmax
from tutorials.nmt_with_attention.data import PRESETS, prepare
from tutorials.nmt_with_attention.model import Attended


def test_answers_of_the_recall_tasks_are_the_colours_of_the_neighbours():
    drawn = recall_tasks.draw_sequences(5, seed=3)
    symbol = drawn.x[..., : recall_tasks.SYMBOLS].argmax(axis=-1)
    colour = drawn.x[..., recall_tasks.SYMBOLS :].argmax(axis=-1)
    for row in range(5):
        assert sorted(symbol[row]) == list(range(8))
        of = dict(zip(symbol[row], colour[row], strict=True))
        assert list(drawn.after[row]) == [of[(s + 1) % 8] for s in symbol[row]]
        assert list(drawn.neighbours[row, :, 0]) == [of[(s - 1) % 8] for s in symbol[row]]
        assert list(drawn.neighbours[row, :, 1]) == list(drawn.after[row])


@pytest.mark.parametrize(
    ("shared", "names"),
    [
        ("one for all three", "ppp"),
        ("one for query and key", "ppv"),
        ("one for key and value", "qpp"),
        ("three", "qkv"),
    ],
)
def test_what_is_shared_goes_through_one_projection(shared, names):
    model = recall_tasks.sharing_model(shared, width=3)
    x = recall_tasks.draw_sequences(2, seed=0).x
    q, k, v = (x @ model.get_layer(name).get_weights()[0] for name in names)
    (scale,) = model.get_layer("attention").get_weights()
    kernel, bias = model.layers[-1].get_weights()
    expected = softmax(scale * q @ np.swapaxes(k, 1, 2)) @ v @ kernel + bias
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-5)
    assert len(model.trainable_variables) == len(set(names)) + 1 + 2


def test_a_shared_projection_of_query_and_key_scores_symmetrically():
    x = recall_tasks.draw_sequences(2, seed=0).x
    for shared, symmetric in (("one for query and key", True), ("one for key and value", False)):
        model = recall_tasks.sharing_model(shared, width=3)
        names = recall_tasks.SHARING[shared][:2]
        q, k = (np.asarray(model.get_layer(name)(x)) for name in names)
        scores = q @ np.swapaxes(k, 1, 2)
        assert np.allclose(scores, np.swapaxes(scores, 1, 2), atol=1e-5) is symmetric


def test_one_head_and_two_have_as_many_weights():
    one, two = (recall_tasks.heads_model(*sizes) for sizes in ((1, 8), (2, 4)))
    assert one.count_params() == two.count_params()


def test_learning_depends_on_the_seed_alone():
    arguments = (recall_tasks.sharing_model, ("three", 2), "after", [5])
    (first, model), (second, again) = (recall_tasks.learn(*arguments, steps=3) for _ in range(2))
    assert first == second
    for own, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(own, other)


def test_share_where_both_meet():
    rng = np.random.default_rng(0)
    of_query, of_key = rng.standard_normal((5, 1)), rng.standard_normal((1, 7))
    both = rng.standard_normal((5, 7))
    both -= both.mean(axis=0)
    both -= both.mean(axis=1, keepdims=True)
    assert share_where_both_meet(of_query + of_key) < 1e-20
    assert share_where_both_meet(of_query + both) == pytest.approx(1)
    expected = np.var(both) / (np.var(both) + np.var(of_key))
    assert share_where_both_meet(of_query + of_key + both) == pytest.approx(expected)


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_what_passes_the_softmax_is_its_derivative(scale):
    rng = np.random.default_rng(1)
    q, k = rng.standard_normal((1, 6)), rng.standard_normal((1, 5, 6))
    query = tf.Variable(q)
    with tf.GradientTape(persistent=True) as tape:
        scores = scale * tf.linalg.matvec(k, query)
        weights = tf.nn.softmax(scores)
    found = passing(q, k, scale)
    of_scores, of_query = (tape.jacobian(weights, x)[0, :, 0].numpy() for x in (scores, query))
    assert found.jacobian == pytest.approx(np.linalg.norm(of_scores), rel=1e-12)
    assert found.at_query == pytest.approx(np.linalg.norm(of_query), rel=1e-12)
    assert found.largest == pytest.approx(weights.numpy().max(), rel=1e-12)
    assert found.variance == pytest.approx(np.var(scores.numpy()), rel=1e-12)
    np.testing.assert_allclose(softmax(scores.numpy()), weights.numpy(), rtol=1e-12)


QUESTION = Translation(
    "¿La perdió Ana?",
    "Did Ana lose it?",
    ("la", "perdió", "Ana"),
    ("did", "Ana", "lose", "it"),
    ((0, 3), (1, 2), (2, 1)),
)


def test_links_count_the_marks_that_the_translator_reads():
    links = three_translators.links_of(QUESTION)
    assert links == {3: {2}, 2: {3}, 1: {4}}  # [START] ¿ la perdió Ana ? [END]
    assert three_translators.crossing(links) == {1, 2, 3}
    statement = QUESTION._replace(source="La perdió Ana.")
    assert three_translators.links_of(statement) == {3: {1}, 2: {2}, 1: {3}}
    assert three_translators.crossing({0: {1}, 1: {2, 3}, 2: {4}}) == set()


def attended_to(columns):
    rows = ["did", "ana", "lose", "it", "?", "[END]"]
    words = ["[START]", "¿", "La", "perdió", "Ana", "?", "[END]"]
    return Attended(words, rows, 0.9 * np.eye(7)[columns] + 0.1 / 7)


def test_quality_of_an_alignment():
    links = [three_translators.links_of(QUESTION)]
    right = three_translators.quality_of([attended_to([0, 4, 3, 2, 0, 0])], links)
    assert right[:3] == (1, 1, 1)
    assert right.weight == pytest.approx(0.9 + 0.1 / 7)
    row = np.array([0.9 + 0.1 / 7] + 6 * [0.1 / 7])
    assert right.entropy == pytest.approx(-np.sum(row * np.log(row)))
    beside = three_translators.quality_of([attended_to([4, 4, 4, 0, 3, 3])], links)
    assert beside[:3] == pytest.approx((1 / 3, 2 / 3, 1 / 3))
    one_stays = [{0: {1}, 1: {3}, 2: {2}}]
    mixed = three_translators.quality_of([attended_to([6, 3, 2, 0, 0, 0])], one_stays)
    assert mixed[:3] == pytest.approx((2 / 3, 2 / 3, 1))


def test_the_diagonal_guesses_words_and_no_marks():
    (guess,) = three_translators.diagonal([attended_to([0] * 6)])
    assert list(guess.weights.argmax(axis=-1)) == [2, 3, 3, 4, 4, 4]
    np.testing.assert_array_equal(guess.weights.sum(axis=-1), 1)


@pytest.fixture(scope="module")
def data():
    corpus = list(itertools.islice(demo_translations(), 400))
    pairs = SentencePairs([t.source for t in corpus], [t.target for t in corpus])
    return prepare(pairs, PRESETS["quick"]._replace(units=8, vocabulary_size=200), seed=0)


def test_three_translators_start_alike(data, monkeypatch):
    """Whatever their constructors draw: here nothing fixes the seed."""
    monkeypatch.setattr("keras.utils.set_random_seed", lambda seed: None)
    preset = PRESETS["quick"]._replace(units=8)
    translators = three_translators.three_from_one_start(data, preset, seed=4)
    starts = []
    for translator in translators.values():
        decoder = translator.decoder
        alike = (translator.encoder, decoder.embedding, decoder.rnn, decoder.output_layer)
        starts.append([weights for layer in alike for weights in layer.get_weights()])
    assert len(starts[0]) == 1 + 6 + 1 + 3 + 2
    for other in starts[1:]:
        for own, first in zip(other, starts[0], strict=True):
            np.testing.assert_array_equal(own, first)
    kinds = [translator.decoder.attention.kind for translator in translators.values()]
    assert kinds == ["bahdanau", "luong", "multi_head"]


def test_every_held_out_sentence_has_links_to_the_words_that_a_translator_reads(data):
    translators = three_translators.three_from_one_start(
        data, PRESETS["quick"]._replace(units=8), seed=0
    )
    held_out = data.held_out_pairs
    links = three_translators.true_links(held_out, corpus_size=400)
    attended = translators["multiplicative"].attention_of(held_out.source, held_out.target)
    by_source = {t.source: t for t in itertools.islice(demo_translations(), 400)}
    for source, item, ways in zip(held_out.source, attended, links, strict=True):
        translation = by_source[source]
        expected = {
            (translation.target_words[j], translation.source_words[i])
            for i, j in translation.alignment
        }
        plain = [word.replace("'", "").lower() for word in translation.target_words]
        found = {
            (translation.target_words[row], item.context_words[column].lower())
            for row, columns in ways.items()
            for column in columns
        }
        assert found == {(target, word.lower()) for target, word in expected}
        for row, word in enumerate(item.target_words[: len(plain)]):
            assert word in (plain[row], "[UNK]")


def test_telling_sentences_have_words_that_change_places(data):
    links = three_translators.true_links(data.held_out_pairs, corpus_size=400)
    chosen = three_translators.telling(data.held_out_pairs, links, count=2)
    assert len(chosen) == 2
    for number in chosen:
        assert three_translators.crossing(links[number])
        assert 6 <= len(data.held_out_pairs.source[number].split()) <= 8


def test_pictures_frame_what_is_right(tmp_path):
    item = attended_to([0, 4, 3, 2, 0, 0])
    links = three_translators.links_of(QUESTION)
    path = pictures.save_alignments({"one": [item], "two": [item]}, [links], tmp_path / "a.png")
    assert path.stat().st_size > 5000
