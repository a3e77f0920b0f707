"""The page on sentiment: its words, its batches, its calibration, and the words that it takes out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import custom_layers
from custom_layers.data import Reviews
from tutorials.sentiment import batches, calibration, data, pictures, removal
from tutorials.sentiment.model import Sizes, bag_of_words, build, with_attention
from tutorials.sentiment.words import Crop, vocabulary_of, words_of

SIZES = Sizes(vocabulary=20, embedding=6, units=4, dropout=0.3)


def test_words_are_lower_case_and_marks_that_raise_a_voice_stay():
    text = "It isn't GREAT: 10/10?\nCafé_noir...<b>!!"
    assert " ".join(words_of(text)) == "it isnt great 10 10 ? café noir b ! !"


@pytest.mark.parametrize(
    ("crop", "kept"),
    [((2, 3), "abefg"), ((0, 3), "efg"), ((3, 0), "abc"), ((3, 4), "abcdefg"), ((9, 0), "abcdefg")],
)
def test_a_crop_keeps_both_ends_of_what_is_too_long(crop, kept):
    assert "".join("abcdefg"[place] for place in Crop(*crop).places(7)) == kept


def test_a_vocabulary_numbers_words_by_frequency_then_alphabet():
    vocabulary = vocabulary_of([["b", "a", "c"], ["c", "b"], ["d"]], size=5)
    assert vocabulary.words == ["", "[UNK]", "b", "c", "a"]
    np.testing.assert_array_equal(vocabulary.encode(["a", "d", "b", "x"]), [4, 1, 2, 1])


def test_reviews_become_numbers_and_are_cropped_one_by_one():
    reviews = Reviews(["A b c d!", "...", "d b"], np.array([1, 0, 1]), np.zeros(3, int))
    found = data.encoded(reviews, vocabulary_of([["b", "d", "a"]], size=9))
    assert [list(row) for row in found.numbers] == [[2, 3, 1, 4, 1], [1], [4, 3]]
    some = found.cropped(Crop(1, 2)).at([2, 0])
    assert [list(row) for row in some.numbers] == [[4, 3], [2, 4, 1]]
    assert list(some.labels) == [1, 1]
    assert some.reviews.texts == ["d b", "A b c d!"]


def reviews_as_numbers(count=700, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 10, count)
    numbers = [rng.integers(1, 20, n).astype("int32") for n in lengths]
    return numbers, rng.integers(0, 2, count)


def test_training_batches_hold_every_review_once_with_its_own_label():
    numbers, labels = reviews_as_numbers(96)
    found = []
    for words, label in batches.training_batches(numbers, labels, 8, seed=1).take(12):
        assert label.shape == (8, 1)
        assert words[:, -1].numpy().any()
        for row, own in zip(words.numpy(), label.numpy()[:, 0], strict=True):
            found.append((tuple(row[row > 0]), int(own)))
    given = [(tuple(row), int(own)) for row, own in zip(numbers, labels, strict=True)]
    assert sorted(found) == sorted(given)


def test_answers_come_back_in_the_order_of_the_reviews():
    numbers, _ = reviews_as_numbers()
    inputs = keras.Input((None,), dtype="int32")
    total = keras.ops.sum(keras.ops.cast(inputs, "float32"), axis=-1, keepdims=True)
    model = keras.Model(inputs, [total, inputs])
    sums, rows = batches.ask(model, numbers)
    for given, own, row in zip(numbers, sums, rows, strict=True):
        assert own == [given.sum()]
        np.testing.assert_array_equal(row[: len(given)], given)
        assert not row[len(given) :].any()
    wanted = [row.sum() for row in numbers]
    np.testing.assert_array_equal(batches.logits_of(model, numbers), wanted)


def two_networks():
    builtin = build(keras.layers, SIZES)
    custom = build(custom_layers, SIZES, gradient="bptt")
    for own, other in zip(builtin.weights, custom.weights, strict=True):
        assert own.shape == other.shape
    custom.set_weights(builtin.get_weights())
    for model in (builtin, custom):
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        model.compile("adam", loss, run_eagerly=True)  # quicker than tracing
    return builtin, custom


def test_both_networks_learn_the_same_from_the_same_start():
    """Five steps with dropout."""
    numbers, labels = reviews_as_numbers(40)
    builtin, custom = two_networks()
    given = batches.training_batches(numbers, labels, 8, seed=2)
    histories = [
        model.fit(given, epochs=1, steps_per_epoch=5, verbose=0, shuffle=False).history["loss"]
        for model in (builtin, custom)
    ]
    np.testing.assert_allclose(*histories, rtol=1e-5)
    logits = [batches.logits_of(model, numbers) for model in (builtin, custom)]
    np.testing.assert_allclose(*logits, atol=1e-5)
    assert np.ptp(logits[0]) > 1e-3


def test_attention_is_of_the_words_alone_and_the_logit_is_the_same():
    _, custom = two_networks()
    numbers, _ = reviews_as_numbers(20)
    logits, weights = batches.ask(with_attention(custom), numbers)
    np.testing.assert_allclose(np.ravel(logits), batches.logits_of(custom, numbers), atol=1e-6)
    for row, own in zip(numbers, weights, strict=True):
        assert own[: len(row)].sum() == pytest.approx(1, abs=1e-5)
        assert not own[len(row) :].any()


def test_a_bag_of_words_knows_no_order_and_no_padding():
    model = bag_of_words(20)
    there, back = (model(np.array([row])) for row in ([3, 7, 1, 0, 0], [1, 3, 7, 0, 0]))
    np.testing.assert_allclose(there, back, atol=1e-6)
    vectors, kernel, bias = model.get_weights()
    np.testing.assert_allclose(there[0], vectors[[1, 3, 7]].mean(axis=0) @ kernel + bias, atol=1e-6)


def unsure_logits(count=40_000, temperature=2.0, seed=0):
    """Logits that are too large by this factor, and labels drawn by the right ones."""
    rng = np.random.default_rng(seed)
    z = 2 * rng.standard_normal(count)
    labels = (rng.random(count) < 1 / (1 + np.exp(-z))).astype(int)
    return temperature * z, labels


def test_the_temperature_is_where_the_loss_is_least():
    logits, labels = unsure_logits()
    found = calibration.temperature_of(logits, labels)
    assert found == pytest.approx(2, abs=0.05)
    around = [calibration.log_loss(logits, labels, t) for t in (0.99 * found, found, 1.01 * found)]
    assert around[1] < min(around[0], around[2])
    p = 1 / (1 + np.exp(-logits / 3))
    expected = -np.mean(np.where(labels == 1, np.log(p), np.log(1 - p)))
    assert calibration.log_loss(logits, labels, 3) == pytest.approx(expected)
    np.testing.assert_allclose(calibration.probability(logits, 3), p, rtol=1e-9)
    assert list(calibration.probability(np.array([-1e4, 1e4]))) == [0, 1]


def test_without_a_mistake_the_temperature_ends_at_the_coolest():
    logits = np.array([-3.0, 2.0, 1.0])
    assert calibration.temperature_of(logits, logits > 0) == pytest.approx(calibration.COOLEST)
    assert calibration.temperature_of(logits, logits < 0) == pytest.approx(calibration.HOTTEST)


def test_calibration_error_by_loops():
    rng = np.random.default_rng(1)
    p, labels = rng.random(500), rng.integers(0, 2, 500)
    p[:2] = 0.0, 1.0
    expected = 0.0
    for number in range(15):
        low, high = 0.5 + number / 30, 0.5 + (number + 1) / 30
        confidence = [
            (max(q, 1 - q), (q > 0.5) == bool(y))
            for q, y in zip(p, labels, strict=True)
            if low <= max(q, 1 - q) < high or (number == 14 and max(q, 1 - q) == 1)
        ]
        if confidence:
            sure, right = np.mean(confidence, axis=0)
            expected += len(confidence) / 500 * abs(sure - right)
    assert calibration.reliability(p, labels).error() == pytest.approx(expected)


def test_the_right_temperature_takes_the_calibration_error_away():
    logits, labels = unsure_logits()
    before, after = (
        calibration.reliability(calibration.probability(logits, t), labels).error() for t in (1, 2)
    )
    assert before > 0.05
    assert after < 0.01


def test_the_margin_is_the_smallest_that_is_accurate_enough():
    p = np.array([0.95, 0.9, 0.85, 0.2, 0.25, 0.6, 0.55])
    labels = np.array([1, 1, 1, 0, 1, 0, 1])
    assert calibration.smallest_margin(p, labels, 1.0) == pytest.approx(0.3)
    assert calibration.smallest_margin(p, labels, 0.8) == pytest.approx(0.25)
    assert calibration.smallest_margin(p, labels, 5 / 7) == pytest.approx(0.05)
    margin = calibration.smallest_margin(p, labels, 0.8)
    assert calibration.outside(p, labels, margin) == pytest.approx((4 / 5, 5 / 7))
    np.testing.assert_array_equal(calibration.verdicts(p, margin), [1, 1, 1, -1, -1, 0, 0])
    assert calibration.smallest_margin(p, 1 - labels, 0.99) == 0.5
    assert calibration.outside(p, 1 - labels, 0.5) == (1, 0)


def test_equally_sure_predictions_are_all_in_or_all_out():
    p, labels = np.array([0.875, 0.75, 0.75, 0.25]), np.array([1, 1, 0, 1])
    assert calibration.smallest_margin(p, labels, 0.99) == 0.375


def test_taking_out_the_attended_words_by_loops():
    """A reader that counts one word: attention on it, or elsewhere."""
    rng = np.random.default_rng(2)
    numbers = [rng.integers(1, 4, 12) for _ in range(50)]

    def probabilities(rows):
        return np.array([np.mean(row == 3) for row in rows])

    on_it = [np.append((row == 3) / 12, np.ones(5)) for row in numbers]  # with padding behind
    moved = removal.moved_by_removal(probabilities, numbers, on_it, (1, 3), seed=0)
    before, expected = probabilities(numbers), []
    for count in (1, 3):
        after = []
        for row in numbers:
            left = list(row)
            for _ in range(count):
                left.remove(3 if 3 in left else left[0])
            after.append(np.mean(np.array(left) == 3))
        after = np.array(after)
        expected.append((np.mean(np.abs(after - before)), np.mean((after > 0.5) != (before > 0.5))))
    assert moved.counts == (1, 3)
    np.testing.assert_allclose(np.stack([moved.attended, moved.turned_attended], -1), expected)
    assert all(moved.attended > 1.5 * moved.drawn)
    assert all(moved.drawn > 0)
    assert moved.turned_attended[1] > 0


def test_lines_are_no_longer_than_told_and_lose_no_word():
    words = ["w" * n for n in (3, 9, 1, 4, 12, 2, 2)]
    lines = pictures.lines_of(words, longest=12)
    assert [place for line in lines for place in line] == list(range(7))
    assert all(len(" ".join(words[place] for place in line)) <= 12 for line in lines)
    assert lines == [[0], [1, 2], [3], [4], [5, 6]]


def test_pictures_are_drawn_from_little(tmp_path):
    """One review, empty intervals, no stars: nothing divides by zero."""
    shaded = [pictures.ShadedReview("one", ["good"], np.array([1.0]))]
    assert pictures.save_shaded_words(shaded, tmp_path / "w.png").stat().st_size > 3000
    found = calibration.reliability(np.array([0.9, 0.2]), np.array([1, 0]))
    stars, verdicts = np.zeros(2, int), np.array([1, -1])
    with np.errstate(all="raise"):
        path = pictures.save_calibration(found, found, 1.0, stars, verdicts, tmp_path / "c.png")
    assert path.stat().st_size > 5000


def test_without_a_folder_of_data_reviews_are_generated_and_said_to_be(monkeypatch, capsys):
    monkeypatch.delenv("CUSTOM_LAYERS_DATA", raising=False)
    train, test = data.whole_reviews(None, generated=60)
    assert len(train.texts) == len(test.texts) == 30
    assert not set(train.texts) & set(test.texts)
    parts = data.short_reviews(generated=50)
    assert [len(part.texts) for part in parts] == [40, 5, 5]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for line, name in zip(lines, ("imdb/aclImdb", "rt-polarity/rt-polarity"), strict=True):
        assert "are generated" in line
        assert name in line
        assert "CUSTOM_LAYERS_DATA" in line


def test_tensors_of_a_batch_are_what_the_network_takes():
    numbers, labels = reviews_as_numbers(16)
    words, label = next(iter(batches.training_batches(numbers, labels, 4, seed=0)))
    assert (words.dtype, label.dtype) == (tf.int32, tf.float32)
