"""What attention weights tell of reviews: words to shade, words on top, and where gradients arrive."""

from collections import Counter
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from custom_layers.debugging import Recording, record
from tutorials.sentiment.batches import padded
from tutorials.sentiment.data import Encoded
from tutorials.sentiment.pictures import VERDICTS, ShadedReview
from tutorials.sentiment.words import Crop, words_of


def shaded(
    data: Encoded,
    attention: Sequence[np.ndarray],
    p: np.ndarray,
    verdicts: np.ndarray,
    crop: Crop,
    place: int,
) -> ShadedReview:
    """One review with its words, as far as the network reads them."""
    kind, stars = VERDICTS[int(verdicts[place])][0], data.reviews.ratings[place]
    title = f"{kind}: probability of positive {p[place]:.2f}; its writer gave {stars} of 10 stars"
    words = words_of(data.reviews.texts[place])
    kept = [words[i] for i in crop.places(len(words))]
    return ShadedReview(title, kept, attention[place][: len(kept)])


def two_sure_and_one_unsure(data: Encoded, p: np.ndarray, limit: int) -> list[int]:
    """Places of short reviews: surely negative, surely positive, and in the middle."""
    counts = np.array([len(row) for row in data.numbers])
    short = np.flatnonzero((counts >= 35) & (counts <= 75) & (counts < limit))
    by_p = short[np.argsort(p[short])]
    middle = short[np.argmin(np.abs(p[short] - 0.5))]
    return [int(place) for place in (by_p[3], by_p[-4], middle)]  # not the extremes themselves


def most_often_on_top(
    numbers: Sequence[np.ndarray], attention: Sequence[np.ndarray], least: int
) -> list[int]:
    """Words that occur in so many reviews at least, by how often they have the largest weight there."""
    occur: Counter[int] = Counter()
    on_top: Counter[int] = Counter()
    for row, weights in zip(numbers, attention, strict=True):
        occur.update(set(row.tolist()))
        on_top[int(row[np.argmax(weights[: len(row)])])] += 1
    frequent = [word for word in occur if occur[word] >= least]
    return sorted(frequent, key=lambda word: on_top[word] / occur[word], reverse=True)


def rank_correlations(
    numbers: Sequence[np.ndarray], weights: np.ndarray, gradient: np.ndarray
) -> list[float]:
    """Of each review, over its words: of the weight and of the norm of the gradient that arrives there.

    Args:
        weights, gradient: (reviews, words) and (reviews, words, units), padded.
    """
    found = []
    for row, of_row, arriving in zip(
        numbers, weights, np.linalg.norm(gradient, axis=-1), strict=True
    ):
        ranks = [np.argsort(np.argsort(x[: len(row)])) for x in (of_row, arriving)]
        found.append(float(np.corrcoef(ranks[0], ranks[1])[0, 1]))
    return found


def gradient_ranks(model: keras.Model, data: Encoded) -> tuple[list[float], Recording]:
    """Record one step on eight reviews: the rank correlations, and the recording."""
    batch = data.at(np.flatnonzero([len(row) > 40 for row in data.numbers])[:8])
    wanted = batch.labels[:, None].astype("float32")
    with record(model) as trace, tf.GradientTape() as tape:
        logits = model(padded(batch.numbers))
        loss = tf.nn.sigmoid_cross_entropy_with_logits(wanted, logits)
    recording = trace.read(tape, loss)
    weights = recording["attention/attention_weights"].value.numpy()[:, 0]
    gradient = recording["states/output"].gradient.numpy()
    return rank_correlations(batch.numbers, weights, gradient), recording
