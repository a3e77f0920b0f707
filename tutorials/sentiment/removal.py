"""Do the words matter that are attended? Take them out, and others at random, and ask again."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np

from tutorials.sentiment.batches import logits_of
from tutorials.sentiment.calibration import probability
from tutorials.sentiment.data import Encoded

Probabilities = Callable[
    [Sequence[np.ndarray]], np.ndarray
]  # (words,) of each review, to (reviews,)


class Moved(NamedTuple):
    """How far taking words out moves a probability, mean over reviews, by how many are taken.

    Attributes:
        counts: words taken out of each review.
        attended, drawn: (counts,) mean |p' - p|, of the most attended words and of random ones.
        turned_attended, turned_drawn: (counts,) share of reviews whose verdict turns.
    """

    counts: tuple[int, ...]
    attended: np.ndarray
    drawn: np.ndarray
    turned_attended: np.ndarray
    turned_drawn: np.ndarray


def moved_by_removal(
    probabilities: Probabilities,
    numbers: Sequence[np.ndarray],
    attention: Sequence[np.ndarray],
    counts: Sequence[int],
    seed: int,
) -> Moved:
    """Measure it.

    Args:
        probabilities: the model.
        numbers: (words,) of each review, more words than the largest count.
        attention: a weight for each word, at least (words,).
        counts: how many words to take out.
        seed: of the random words.
    """
    rng = np.random.default_rng(seed)
    before = probabilities(numbers)
    ranked = [
        np.argsort(-a[: len(n)], kind="stable") for n, a in zip(numbers, attention, strict=True)
    ]
    drawn = [rng.permutation(len(row)) for row in numbers]
    found: Mapping[str, list[tuple[float, float]]] = {"attended": [], "drawn": []}
    for count in counts:
        for name, orders in (("attended", ranked), ("drawn", drawn)):
            less = [np.delete(n, o[:count]) for n, o in zip(numbers, orders, strict=True)]
            after = probabilities(less)
            turned = np.mean((after > 0.5) != (before > 0.5))
            found[name].append((float(np.mean(np.abs(after - before))), float(turned)))
    by_attention, by_chance = (np.array(found[name]) for name in ("attended", "drawn"))
    return Moved(
        tuple(counts), by_attention[:, 0], by_chance[:, 0], by_attention[:, 1], by_chance[:, 1]
    )


def moved_of_some(
    model: keras.Model,
    temperature: float,
    data: Encoded,
    attention: Sequence[np.ndarray],
    count: int,
) -> Moved:
    """Of `count` reviews drawn from those with more than 40 words, 1 to 20 of them taken out."""
    long_enough = np.flatnonzero([len(row) > 40 for row in data.numbers])
    asked = np.random.default_rng(0).permutation(long_enough)[:count]
    return moved_by_removal(
        lambda numbers: probability(logits_of(model, numbers), temperature),
        data.at(asked).numbers,
        [attention[place] for place in asked],
        counts=(1, 2, 5, 10, 20),
        seed=0,
    )
