"""Time per training step of models that take turns.

On a machine that others use too, speed drifts. Two models that take turns, step by step, meet the
same drift, so that the ratio of the two times of one pair is steadier than the times themselves.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Quartiles(NamedTuple):
    """First quartile, median and third quartile of a sample."""

    low: float
    median: float
    high: float


def turn_order(names: Sequence[str], step: int) -> list[str]:
    """Names in the order of their turns in a step (counted from 0): A B, B A, A B, ..."""
    start = step % len(names)
    return [*names[start:], *names[:start]]


def is_timed(step: int, steps: int) -> bool:
    """Whether a step (counted from 0) counts for the timing: one after tracing and memory steps."""
    return step > max(0, _last_memory_step(steps))


def is_memory_step(step: int, steps: int) -> bool:
    """Whether peak memory is measured in a step (counted from 0): up to 3 steps after tracing.

    Tracing takes memory and time of its own, and in the first steps batches of new widths are traced
    anew: a long training waits until this is over.
    """
    last = _last_memory_step(steps)
    return max(1, last - 2) <= step <= last


def _last_memory_step(steps: int) -> int:
    return min(22 if steps >= 100 else 3, (steps - 1) // 2)


def quartiles(values: Sequence[float | None]) -> Quartiles | None:
    """Quartiles of the values that are there; None when there are none."""
    present = [value for value in values if value is not None]
    if not present:
        return None
    return Quartiles(*(float(q) for q in np.percentile(present, (25, 50, 75))))


def ratios_of_pairs(
    reference: Sequence[float | None], other: Sequence[float | None]
) -> list[float]:
    """`other` divided by `reference` in each step that was timed for both."""
    return [
        theirs / ours
        for ours, theirs in zip(reference, other, strict=True)
        if ours is not None and theirs is not None and ours > 0
    ]
