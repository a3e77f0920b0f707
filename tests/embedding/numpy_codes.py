"""Codes of positions in NumPy float64, written from the papers."""

import numpy as np


def sine(positions, features, max_wavelength=10000.0):
    """Vaswani et al. 2017, section 3.5: (len(positions), features)."""
    code = np.zeros((len(positions), features))
    for row, position in enumerate(positions):
        for k in range(features):
            angle = position / max_wavelength ** (2 * (k // 2) / features)
            code[row, k] = np.sin(angle) if k % 2 == 0 else np.cos(angle)
    return code


def rotation(position, speeds):
    """Su et al. 2021, equation (15), the paper's: neighbours are pairs. (d, d)."""
    d = 2 * len(speeds)
    matrix = np.zeros((d, d))
    for i, speed in enumerate(speeds):
        c, s = np.cos(position * speed), np.sin(position * speed)
        matrix[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = [[c, -s], [s, c]]
    return matrix


def neighbours_first(features):
    """The permutation from halves, (x_i, x_{i+d/2}), to the paper's neighbours."""
    return np.arange(features).reshape(2, -1).T.ravel()


def alibi_scores(scores, slopes):
    """Press et al. 2022, section 3: m (s - t) for the keys s <= t, minus infinity for the others."""
    query_steps, key_steps = scores.shape[-2:]
    biased = np.full(scores.shape, -np.inf)
    for t in range(query_steps):
        for s in range(t + key_steps - query_steps + 1):
            distance = s - (t + key_steps - query_steps)
            biased[:, :, t, s] = scores[:, :, t, s] + np.asarray(slopes) * distance
    return biased


def softmax(scores):
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def t5_bucket(offset, num_buckets=32, max_distance=128, bidirectional=True):
    """Raffel et al. 2020, section 2.1: exact buckets, then logarithmic ranges up to max_distance."""
    first, distance = 0, -offset
    if bidirectional:
        num_buckets //= 2
        first, distance = (num_buckets if offset > 0 else 0), abs(offset)
    distance = max(distance, 0)
    exact = num_buckets // 2
    if distance < exact:
        return first + distance
    share = np.log(distance / exact) / np.log(max_distance / exact)
    return first + min(exact + int(share * (num_buckets - exact) + 1e-9), num_buckets - 1)
