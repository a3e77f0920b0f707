"""Time as ratios: ways to do one thing, in turns in one process, so that other work hits all of them.

A benchmark is a module with `rows(quick: bool) -> Iterator[Row]`. `python -m benchmarks` runs all,
each in a process of its own, and writes `results.json` and `results.md`.
"""

import gc
import importlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np


class Ratio(NamedTuple):
    """Median of the rounds' ratios, and the quartiles around it."""

    median: float
    low: float
    high: float


class Row(NamedTuple):
    """One line of the table.

    group: heading that it stands under, such as "LSTM, training step".
    name: what is measured, such as "64x20x256x256".
    unit: of the figures: "ms", "MB", "s".
    figures: by way ("Keras", "ours"), the median in `unit`.
    compared: the two ways whose ratio is taken, the first by the second.
    ratio: of these two, round by round; None where only an absolute target counts.
    target: what the ratio (or, without one, the first way's figure) must not exceed; None: told only.
    """

    group: str
    name: str
    unit: str
    figures: dict[str, float]
    compared: tuple[str, str] | None
    ratio: Ratio | None
    target: float | None

    @property
    def measured(self) -> float:
        """What the target is compared with."""
        return self.ratio.median if self.ratio else next(iter(self.figures.values()))

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        return None if self.target is None else self.measured <= self.target


def rows_of(benchmark: str, quick: bool) -> Iterator[dict[str, Any]]:
    """The rows of a benchmark by its name, as JSON has them."""
    for row in importlib.import_module(f"benchmarks.{benchmark}").rows(quick):
        yield row._asdict()


def in_turns(
    ways: Mapping[str, Callable[[], Any]], rounds: int, warm_up: int = 2
) -> dict[str, np.ndarray]:
    """Seconds of each way in each round. The order turns round by round: A B C, B C A, ..."""
    for _ in range(warm_up):
        for way in ways.values():
            way()
    names = list(ways)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    gc.collect()
    gc.disable()  # a collection in the middle of a turn would be charged to it
    try:
        for count in range(rounds):
            start = count % len(names)
            for name in (*names[start:], *names[:start]):
                begun = time.perf_counter()
                ways[name]()
                seconds[name].append(time.perf_counter() - begun)
    finally:
        gc.enable()
    return {name: np.array(values) for name, values in seconds.items()}


def ratio_of(ours: Iterable[float], theirs: Iterable[float]) -> Ratio:
    """Of two series of as many rounds, round by round."""
    low, median, high = np.percentile(np.asarray(ours) / np.asarray(theirs), (25, 50, 75))
    return Ratio(float(median), float(low), float(high))


def fastest(seconds: Mapping[str, np.ndarray], names: Iterable[str]) -> str:
    """The name of the least median."""
    return min(names, key=lambda name: float(np.median(seconds[name])))


def timed_row(
    group: str,
    name: str,
    seconds: Mapping[str, np.ndarray],
    ours: Iterable[str],
    theirs: Iterable[str],
    target: float | None,
) -> Row:
    """The best of ours by the best of theirs, in milliseconds; the other ways are told beside them."""
    pair = fastest(seconds, ours), fastest(seconds, theirs)
    figures = {way: 1e3 * float(np.median(values)) for way, values in seconds.items()}
    return Row(group, name, "ms", figures, pair, ratio_of(*(seconds[way] for way in pair)), target)


def require_equal(
    one: Iterable[Any], other: Iterable[Any], what: str, tolerance: float = 1e-4
) -> None:
    """Raise AssertionError unless both computed the same numbers, to a share of their largest."""
    for a, b in zip(one, other, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        apart = np.abs(a - b).max() / max(np.abs(b).max(), 1e-30)
        assert apart <= tolerance, f"{what}: {apart:.1e} apart, more than {tolerance:.0e}"
