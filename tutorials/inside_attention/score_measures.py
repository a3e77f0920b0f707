r"""What can be said of scores e (queries, keys): where query and key meet, what the softmax lets pass.

    share = var(e_ts - e_t. - e_.s + e_..) / var(e_ts - e_t.)      (1)  a dot is a mean over that index
    J_t = diag(a_t) - a_t a_t^T,  a_t = softmax(e_t)               (2)  d a_t / d e_t

A softmax over s does not see e_t., and (1) is the share of the rest that is not the same for all
queries.
"""

from typing import NamedTuple

import numpy as np


def softmax(scores: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def share_where_both_meet(scores: np.ndarray) -> float:
    """Equation (1), in [0, 1]: 0 when all queries rank the keys alike."""
    over_keys = scores - scores.mean(axis=-1, keepdims=True)
    return float(np.var(over_keys - over_keys.mean(axis=0)) / np.var(over_keys))


class Passing(NamedTuple):
    """Of many queries: a variance over all scores, and medians over the queries.

    variance: of the scores.
    largest: the largest weight.
    jacobian: Frobenius norm of (2).
    at_query: likewise of what the scores hand on to the query, scale * J_t k.
    """

    variance: float
    largest: float
    jacobian: float
    at_query: float


def passing(query: np.ndarray, key: np.ndarray, scale: float) -> Passing:
    """What a softmax over scale * query . key lets through.

    Args:
        query: (count, features), each with keys of its own.
        key: (count, keys, features).
    """
    scores = scale * np.einsum("nf,nkf->nk", query, key)
    a = softmax(scores)
    J = np.eye(a.shape[-1]) * a[:, None] - a[:, :, None] * a[:, None]  # (2)
    norms = [np.linalg.norm(matrix, axis=(1, 2)) for matrix in (J, scale * J @ key)]
    of_queries = (float(np.median(values)) for values in (a.max(axis=-1), *norms))
    return Passing(float(np.var(scores)), *of_queries)
