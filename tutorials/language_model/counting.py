"""What counting reaches: the probability of a character after the k before it, from a table."""

import numpy as np

BELIEF = 5.0  # a: so many observations is the shorter context worth


def nats_by_counting(
    training: np.ndarray, held_out: np.ndarray, vocabulary_size: int, context: int
) -> float:
    r"""Mean of -log p_k(x_t | x_{t-k} ... x_{t-1}) over the held-out text, in nats.

        p_k(x | before) = (count(before, x) + a p_{k-1}(x | before)) / (count(before) + a)

    and p_{-1} = 1 / vocabulary: where a context is rare, the shorter one decides.
    Source: MacKay and Bauman Peto 1995, Natural Language Engineering 1(3), with one a for all contexts.

    Args:
        training, held_out: characters as numbers, int (characters,).
        context: k; only what the text holds is kept of the vocabulary^(k + 1) entries of the table.
    """
    p = np.full(len(held_out), 1 / vocabulary_size)
    for k in range(context + 1):
        before, seen_before = (codes_of(text, k, vocabulary_size) for text in (training, held_out))
        count = occurrences(before, seen_before)
        with_next = occurrences(
            before * vocabulary_size + training[k:], seen_before * vocabulary_size + held_out[k:]
        )
        p[k:] = (with_next + BELIEF * p[k:]) / (count + BELIEF)
    return float(-np.log(p).mean())


def codes_of(text: np.ndarray, k: int, vocabulary_size: int) -> np.ndarray:
    """For each character from number k on, one number for the k before it: int64 (characters - k,)."""
    code = np.zeros(len(text) - k, np.int64)
    for j in range(k):
        code = code * vocabulary_size + text[j : len(text) - k + j]
    return code


def occurrences(codes: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """How often each code that is asked for occurs among the codes: int, shaped like `asked`."""
    found, counts = np.unique(codes, return_counts=True)
    place = np.minimum(np.searchsorted(found, asked), len(found) - 1)
    return np.where(found[place] == asked, counts[place], 0)
