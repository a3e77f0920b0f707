"""Generated film reviews, for where the real ones are not: their language is small and can be learned.

A review is a list of clauses, most of which judge something. A judgement is worth

    v = p * d * n      p: -2, -1, 1 or 2, the adjective's: "awful", "dull", "nice", "brilliant"
                       d: 2 after "very" or "really", 1/2 after "rather" or "somewhat", else 1
                       n: -1/2 after "not" or "never", which turn a judgement and weaken it, else 1

and twice that after "but", since what comes last is meant. The sum of a review's values is its score;
the sign of the score is the label. As with IMDB's reviews, what is nearly neutral is left out, and the
ratings are 1 to 4 and 7 to 10.

Words alone do not tell the label: "not brilliant" and "brilliant" share one. It takes an ear for order.
"""

import random
from typing import NamedTuple

import numpy as np

from custom_layers.data.reviews import Reviews

ADJECTIVES = {
    -2.0: ("awful", "terrible", "unbearable", "pathetic"),
    -1.0: ("dull", "weak", "tired", "clumsy", "silly"),
    1.0: ("nice", "charming", "pleasant", "solid", "funny"),
    2.0: ("brilliant", "wonderful", "superb", "unforgettable"),
}
DEGREES = {2.0: ("very", "really"), 0.5: ("rather", "somewhat")}
NEGATIONS = ("not", "never")
SUBJECTS = (
    *("the plot", "the acting", "the music", "the ending", "the camera work", "the script"),
    *("the cast", "the first half", "the dialogue", "the lead", "every scene", "the humour"),
)
VERBS = ("is", "was", "felt", "seemed")
NEUTRAL = (
    *("i saw it on a tuesday", "it runs for two hours", "the film is set in a small town"),
    *("my sister came with me", "it was made after a book", "the director is new to me"),
    *("there are three main roles", "we sat in the last row", "it is the second of a series"),
)
NEGATED, AFTER_BUT = -0.5, 2.0
LEAST = 1.0  # of a score, either way: less is nearly neutral
STARS_AT = (0.4, 0.8, 1.2)  # |score| / clauses, beyond which a rating is a star farther out
AGREEING = 0.75  # share of the judgements that lean to the label's side


class _Clause(NamedTuple):
    text: str
    value: float


def generated_reviews(count: int, seed: int = 0, longest: int = 20) -> Reviews:
    """Return distinct generated reviews, half of them positive.

    Args:
        count: int >= 2 and even.
        seed: the same seed, the same reviews; a smaller count gives the first of them.
        longest: int >= 2, clauses of the longest review. A clause has 4 to 15 words.

    Raises: ValueError when `count` is odd or less than 2, or `longest` less than 2.
    """
    if count < 2 or count % 2 or longest < 2:
        raise ValueError(
            "generated_reviews: `count` must be even and, as `longest`, at least 2. Received: "
            f"count={count}, longest={longest}. Ask for 2 reviews or more."
        )
    draw = random.Random(seed)
    texts: dict[str, int] = {}
    while len(texts) < count:
        label = len(texts) % 2
        clauses = _clauses(draw, draw.randint(2, longest), 1 if label else -1)
        score = sum(clause.value for clause in clauses)
        text = ". ".join(clause.text for clause in clauses) + "."
        if abs(score) >= LEAST and (score > 0) == bool(label) and text not in texts:
            stars = sum(abs(score) / len(clauses) > limit for limit in STARS_AT)
            texts[text] = 7 + stars if label else 4 - stars
    ratings = np.asarray(list(texts.values()), dtype="int64")
    return Reviews(list(texts), (ratings > 5).astype("int64"), ratings, "generated reviews")


def _clauses(draw: random.Random, count: int, side: int) -> list[_Clause]:
    return [
        _Clause(draw.choice(NEUTRAL), 0.0) if draw.random() < 0.25 else _judgement(draw, side)
        for _ in range(count)
    ]


def _judgement(draw: random.Random, side: int) -> _Clause:
    """Such as "the plot was not very funny", or two of them with "but" between."""
    first = _simple(draw, side if draw.random() < AGREEING else -side)
    if draw.random() < 0.15:
        last = _simple(draw, side)
        return _Clause(f"{first.text} but {last.text}", first.value + AFTER_BUT * last.value)
    return first


def _simple(draw: random.Random, side: int) -> _Clause:
    """A judgement on one side or the other, with or without a negation."""
    words, factor = [draw.choice(SUBJECTS), draw.choice(VERBS)], 1.0
    if draw.random() < 0.35:
        words.append(draw.choice(NEGATIONS))
        factor = NEGATED
    if draw.random() < 0.4:
        degree = draw.choice(list(DEGREES))
        words.append(draw.choice(DEGREES[degree]))
        factor *= degree
    strength = draw.choice((1.0, 2.0))
    polarity = strength if side * factor > 0 else -strength
    return _Clause(" ".join([*words, draw.choice(ADJECTIVES[polarity])]), polarity * factor)
