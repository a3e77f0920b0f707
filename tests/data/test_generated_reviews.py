"""Generated reviews: their labels and stars follow from their words, read here by other rules."""

import re

import numpy as np
import pytest

from custom_layers.data import generated_reviews

WORTH = {
    **dict.fromkeys(["awful", "terrible", "unbearable", "pathetic"], -2),
    **dict.fromkeys(["dull", "weak", "tired", "clumsy", "silly"], -1),
    **dict.fromkeys(["nice", "charming", "pleasant", "solid", "funny"], 1),
    **dict.fromkeys(["brilliant", "wonderful", "superb", "unforgettable"], 2),
}


def value_of(clause):
    """A sentence is read word by word; what comes after "but" counts twice."""
    total = 0.0
    for place, part in enumerate(clause.split(" but ")):
        worth = [WORTH[word] for word in part.split() if word in WORTH]
        assert len(worth) <= 1
        value = float(sum(worth))
        value *= 2 if re.search(r"\b(very|really)\b", part) else 1
        value *= 0.5 if re.search(r"\b(rather|somewhat)\b", part) else 1
        value *= -0.5 if re.search(r"\b(not|never)\b", part) else 1
        total += value * (2 if place else 1)
    return total


def test_labels_and_stars_follow_from_the_words():
    reviews = generated_reviews(400, seed=3)
    for text, label, stars in zip(reviews.texts, reviews.labels, reviews.ratings, strict=True):
        clauses = text.removesuffix(".").split(". ")
        score = sum(map(value_of, clauses))
        assert abs(score) >= 1
        assert label == (score > 0)
        strength = abs(score) / len(clauses)
        farther = int(np.searchsorted([0.4, 0.8, 1.2], strength, "left"))
        assert stars == (7 + farther if label else 4 - farther)


def test_are_distinct_and_balanced_and_show_every_star():
    reviews = generated_reviews(600)
    assert len(set(reviews.texts)) == 600
    assert reviews.labels.sum() == 300
    assert set(reviews.ratings) == {1, 2, 3, 4, 7, 8, 9, 10}
    lengths = [len(re.findall("[a-z]+", text)) for text in reviews.texts]
    assert min(lengths) < 20
    assert max(lengths) > 90


def test_order_matters():
    """Counting good and bad words alone goes wrong for many reviews."""
    reviews = generated_reviews(400, seed=1)
    counted = [
        sum(np.sign(WORTH.get(w, 0)) for w in re.findall("[a-z]+", t)) for t in reviews.texts
    ]
    right = np.mean((np.array(counted) > 0) == (reviews.labels == 1))
    assert 0.5 < right < 0.85


def test_the_seed_alone_decides_and_a_smaller_count_is_the_beginning():
    assert generated_reviews(40, seed=2).texts == generated_reviews(40, seed=2).texts
    assert generated_reviews(40, seed=2).texts[:10] == generated_reviews(10, seed=2).texts
    assert generated_reviews(40, seed=2).texts != generated_reviews(40, seed=3).texts
    assert max(t.count(".") for t in generated_reviews(100, longest=3).texts) == 3


@pytest.mark.parametrize(("count", "longest"), [(0, 5), (7, 5), (4, 1)])
def test_counts_that_cannot_be_are_refused(count, longest):
    with pytest.raises(ValueError, match=f"count={count}, longest={longest}"):
        generated_reviews(count, longest=longest)
