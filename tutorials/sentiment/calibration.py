r"""How sure is the network, and is it right to be?

    p     = sigmoid(z / T)                                          (9)  a probability, T the temperature
    T     = argmin over T of - sum_i log(p_i if y_i else 1 - p_i)   (10)  on reviews held out
    ECE   = sum_m |B_m| / n * |accuracy(B_m) - confidence(B_m)|     (11)

z: logits, y: labels. The confidence of a prediction is max(p, 1 - p); B_m are the predictions whose
confidence is in the m-th of M equally wide intervals between 1/2 and 1.
Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599, equation (3) and
section 4.2. There the intervals lie between 0 and 1; of two classes the likelier one has 1/2 or more.
"""

from typing import NamedTuple

import numpy as np

INTERVALS = 15
COOLEST, HOTTEST = 0.05, 20.0  # of temperatures; without a mistake (10) has no minimum


def probability(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Equation (9), for logits of any size."""
    return 0.5 * (1 + np.tanh(0.5 * logits / temperature))


def log_loss(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> float:
    """The mean of what (10) sums, in nats."""
    z = logits / temperature
    return float(np.mean(np.logaddexp(0, z) - labels * z))


def temperature_of(logits: np.ndarray, labels: np.ndarray) -> float:
    """Equation (10), by bisection of its slope in b = 1 / T: sum_i (p_i - y_i) z_i, which only grows."""
    low, high = 1 / HOTTEST, 1 / COOLEST
    for _ in range(60):
        b = (low + high) / 2
        slope = np.sum((probability(logits, 1 / b) - labels) * logits)
        low, high = (low, b) if slope > 0 else (b, high)
    return 2 / (low + high)


class Reliability(NamedTuple):
    """By interval of confidence, (intervals,): mean confidence, accuracy, predictions. NaN if empty."""

    confidence: np.ndarray
    accuracy: np.ndarray
    predictions: np.ndarray

    def error(self) -> float:
        """Equation (11)."""
        apart = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float(np.sum(self.predictions * apart) / np.sum(self.predictions))


def reliability(p: np.ndarray, labels: np.ndarray, intervals: int = INTERVALS) -> Reliability:
    """What lies in each interval.

    Args:
        p, labels: (reviews,), the probability of positive, and 1 for positive.
    """
    confidence, right = np.maximum(p, 1 - p), (p > 0.5) == (labels == 1)
    place = np.minimum(((confidence - 0.5) * 2 * intervals).astype(int), intervals - 1)
    count = np.bincount(place, minlength=intervals)
    with np.errstate(invalid="ignore"):
        sums = [np.bincount(place, weights=x, minlength=intervals) for x in (confidence, right)]
        return Reliability(sums[0] / count, sums[1] / count, count)


def smallest_margin(p: np.ndarray, labels: np.ndarray, accuracy: float) -> float:
    """The smallest m such that predictions with |p - 1/2| >= m are right this often; 1/2 if none is."""
    away = np.abs(p - 0.5)
    order = np.argsort(-away, kind="stable")
    right = ((p > 0.5) == (labels == 1))[order]
    share = np.cumsum(right) / np.arange(1, len(p) + 1)
    away = away[order]
    last_of_equals = np.append(away[1:] < away[:-1], True)
    fits = np.flatnonzero((share >= accuracy) & last_of_equals)
    return float(away[fits[-1]]) if len(fits) else 0.5


def verdicts(p: np.ndarray, margin: float) -> np.ndarray:
    """-1 negative, 0 neutral, 1 positive: neutral within the margin around 1/2."""
    return np.where(np.abs(p - 0.5) >= margin, np.sign(p - 0.5), 0).astype(int)


def outside(p: np.ndarray, labels: np.ndarray, margin: float) -> tuple[float, float]:
    """(accuracy of what is not neutral, share of the reviews that it is); accuracy 1 where none is."""
    verdict = verdicts(p, margin)
    decided = verdict != 0
    right = (verdict > 0) == (labels == 1)
    return float(right[decided].mean()) if decided.any() else 1.0, float(decided.mean())
