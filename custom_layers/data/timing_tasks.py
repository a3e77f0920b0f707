r"""Generated tasks about time: measure the time between spikes, ring when a time is over, keep pace.

Measuring, a stream of spikes with random distances between them:

    s_0 = 0,   s_n = s_{n-1} + d_n,   d_n drawn evenly from shortest, ..., longest        (1)
    x_t = 1 where t is one of s_0, s_1, ..., else 0                                       (2)
    y_t = d_n where t = s_n and n >= 1, else 0;  asked there alone                        (3)

Alarms, on the same streams: each spike winds up the clock anew, and after `delay` steps it rings.

    y_t = 1 where t >= s_n + delay, s_n the last spike until t, else 0;  asked at every step   (4)

Spikes at an even pace, without anything to hear:

    x_t = 1                                                                               (5)
    y_t = 1 where `interval` divides t + 1, else 0;  asked at every step                  (6)

The steps t count from 0. In (6) the first spike is due at step interval - 1.
Source: (1) to (3) after "measuring spike delays", (5) and (6) after "generating timed spikes" of Gers,
Schraudolph and Schmidhuber 2002, Journal of Machine Learning Research 3; (4) is ours, between the two.
"""

from typing import NamedTuple

import numpy as np

from custom_layers.core.shape_check import require, require_positive_integer


class TimingTask(NamedTuple):
    """Streams and what is asked about them.

    Attributes:
        x: float32 (count, steps, 1), the input.
        y: float32 (count, steps, 1), the right answer: steps in (3), 0 or 1 in (4) and (6).
        asked: float32 (count, steps), 1 where the answer counts, as `sample_weight` of `fit`.
    """

    x: np.ndarray
    y: np.ndarray
    asked: np.ndarray


def measured_intervals(
    count: int, steps: int, shortest: int, longest: int, seed: int
) -> TimingTask:
    """Streams of equations (1) to (3).

    Args:
        count: int >= 1, number of streams.
        steps: int >= 1, of each stream.
        shortest, longest: integers >= 1, the distances there are, in steps.
        seed: the same seed gives the same streams.

    Raises: ValueError when a number is below 1, or `shortest` is more than `longest`.
    """
    x, distances = _spikes(count, steps, shortest, longest, seed, owner="measured_intervals")
    return TimingTask(x[..., None], distances[..., None], (distances > 0).astype("float32"))


def timed_alarms(
    count: int, steps: int, shortest: int, longest: int, delay: int, seed: int
) -> TimingTask:
    """Streams of equations (1), (2) and (4).

    Args:
        count, steps, shortest, longest, seed: as `measured_intervals` has them.
        delay: int >= 1, steps from a spike to its alarm, if no other spike comes before.

    Raises: ValueError as `measured_intervals` does.
    """
    delay = require_positive_integer(delay, owner="timed_alarms", name="delay")
    x, _ = _spikes(count, steps, shortest, longest, seed, owner="timed_alarms")
    t = np.arange(x.shape[1])
    last_spike = np.maximum.accumulate(np.where(x > 0, t, 0), axis=1)  # s_n: s_0 is 0
    y = (t >= last_spike + delay).astype("float32")  # (4)
    return TimingTask(x[..., None], y[..., None], np.ones_like(x))


def _spikes(
    count: int, steps: int, shortest: int, longest: int, seed: int, owner: str
) -> tuple[np.ndarray, np.ndarray]:
    """x of (2) and y of (3), float32 (count, steps)."""
    count, steps, shortest, longest = (
        require_positive_integer(value, owner=owner, name=name)
        for name, value in (
            *(("count", count), ("steps", steps)),
            *(("shortest", shortest), ("longest", longest)),
        )
    )
    require(
        shortest <= longest,
        owner,
        "`shortest` must be at most `longest`",
        f"shortest={shortest}, longest={longest}",
        "Exchange them.",
    )
    most = -(-steps // shortest)  # spikes after the first that a stream can have
    distances = np.random.default_rng(seed).integers(shortest, longest + 1, (count, most))
    times = np.cumsum(distances, axis=1)  # (1): s_1, s_2, ...
    x, y = np.zeros((2, count, steps), "float32")
    x[:, 0] = 1
    stream, n = np.nonzero(times < steps)
    x[stream, times[stream, n]] = 1  # (2)
    y[stream, times[stream, n]] = distances[stream, n]  # (3)
    return x, y


def timed_spikes(interval: int, steps: int) -> TimingTask:
    """The one stream of equations (5) and (6).

    Args:
        interval: int >= 1, steps from a spike to the next.
        steps: int >= 1.

    Raises: ValueError when a number is below 1.
    """
    interval = require_positive_integer(interval, owner="timed_spikes", name="interval")
    steps = require_positive_integer(steps, owner="timed_spikes", name="steps")
    due = (np.arange(steps) + 1) % interval == 0  # (6)
    y = due.astype("float32")[None, :, None]
    return TimingTask(np.ones_like(y), y, np.ones((1, steps), "float32"))
