"""The papers' attention once more, in NumPy and one number at a time, to compare ours with."""

import math

import numpy as np


def bahdanau_score(q, k, W_query, W_key, v):
    """arXiv:1409.0473, appendix A.1.2: v_a^T tanh(W_a s + U_a h), without matrix products."""
    total = 0.0
    for unit in range(len(v)):
        inner = sum(q[i] * W_query[i, unit] for i in range(len(q)))
        inner += sum(k[j] * W_key[j, unit] for j in range(len(k)))
        total += v[unit] * math.tanh(inner)
    return total


def luong_dot_score(q, k):
    """arXiv:1508.04025, equation (8), first line."""
    return sum(a * b for a, b in zip(q, k, strict=True))


def luong_general_score(q, k, W):
    """arXiv:1508.04025, equation (8), second line."""
    return sum(q[i] * W[i, j] * k[j] for i in range(len(q)) for j in range(len(k)))


def luong_concat_score(q, k, W, v):
    """arXiv:1508.04025, equation (8), third line: [q ; k] is really concatenated here."""
    both = [*q, *k]
    return sum(
        v[unit] * math.tanh(sum(both[i] * W[i, unit] for i in range(len(both))))
        for unit in range(len(v))
    )


def attend(score, query, key, value, keep=None):
    """Context and weights of every query; `keep` is (batch, query_steps, key_steps)."""
    batch, query_steps, key_steps = len(query), query.shape[1], key.shape[1]
    weights = np.zeros((batch, query_steps, key_steps))
    context = np.zeros((batch, query_steps, value.shape[-1]))
    for b in range(batch):
        for t in range(query_steps):
            kept = [s for s in range(key_steps) if keep is None or keep[b, t, s]]
            exponentials = {s: math.exp(score(query[b, t], key[b, s])) for s in kept}
            total = sum(exponentials.values())
            for s in kept:
                weights[b, t, s] = exponentials[s] / total
                context[b, t] += weights[b, t, s] * value[b, s]
    return context, weights
