"""Streams of spikes, against their definition step by step."""

import numpy as np
import pytest

from custom_layers.data import measured_intervals, timed_alarms, timed_spikes


def answers_of(stream):
    """Equation (3) in a loop: how long ago the last spike was, asked at the spikes after the first."""
    answers, since = [], None
    for spike in stream:
        since = None if since is None else since + 1
        answers.append(since if spike and since is not None else 0)
        since = 0 if spike else since
    return answers


@pytest.mark.parametrize(("shortest", "longest"), [(3, 9), (1, 1), (5, 6), (40, 70)])
def test_answers_are_the_distances_between_spikes(shortest, longest):
    task = measured_intervals(count=20, steps=61, shortest=shortest, longest=longest, seed=1)
    assert task.x.shape == task.y.shape == (20, 61, 1)
    assert {array.dtype for array in task} == {np.dtype("float32")}
    for x, y, asked in zip(task.x[..., 0], task.y[..., 0], task.asked, strict=True):
        assert x[0] == 1
        assert set(x) <= {0, 1}
        assert list(y) == answers_of(x)
        np.testing.assert_array_equal(asked, (x == 1) & (np.arange(61) > 0))
        assert set(y[asked == 1]) <= set(range(shortest, longest + 1))
        since_last = 61 - 1 - np.flatnonzero(x)[-1]
        assert since_last < longest  # no spike is missing at the end


def test_all_distances_are_drawn_evenly():
    task = measured_intervals(count=400, steps=61, shortest=2, longest=6, seed=3)
    first_ten = np.concatenate(
        [y[y > 0][:10] for y in task.y]
    )  # the last is cut off: the long more often
    times = np.bincount(first_ten.astype(int), minlength=7)[2:]
    assert times.sum() == 4000
    expected = times.sum() / 5
    assert np.all(np.abs(times - expected) < 5 * np.sqrt(expected))


def test_streams_depend_on_the_seed_alone():
    first, again, other = (measured_intervals(4, 50, 2, 9, seed=seed) for seed in (5, 5, 6))
    for own, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(own, same)
    assert np.any(first.x != other.x)
    assert np.any(first.x[0] != first.x[1])


@pytest.mark.parametrize("delay", [1, 4, 12])
def test_an_alarm_rings_from_the_delay_on_until_the_next_spike(delay):
    task = timed_alarms(20, 50, shortest=2, longest=12, delay=delay, seed=7)
    np.testing.assert_array_equal(task.x, measured_intervals(20, 50, 2, 12, seed=7).x)
    assert np.all(task.asked == 1)
    rung = 0
    for x, y in zip(task.x[..., 0], task.y[..., 0], strict=True):
        since = 0
        for spike, rings in zip(x, y, strict=True):
            since = 0 if spike else since + 1
            assert rings == (since >= delay)
            rung += rings
    assert rung > 0 or delay == 12  # a distance of 12 has steps 0 to 11 alone


@pytest.mark.parametrize("interval", [1, 4, 7])
def test_spikes_are_due_at_each_multiple(interval):
    x, y, asked = timed_spikes(interval, 30)
    assert x.shape == y.shape == (1, 30, 1)
    assert asked.shape == (1, 30)
    assert np.all(x == 1)
    assert np.all(asked == 1)
    due = [t for t in range(30) if y[0, t, 0] == 1]
    assert due == list(range(interval - 1, 30, interval))
    assert y.sum() == len(due)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: measured_intervals(0, 9, 1, 2, seed=0), "`count` must be a positive integer"),
        (lambda: measured_intervals(1, 9, 0, 2, seed=0), "`shortest` must be a positive integer"),
        (lambda: measured_intervals(1, 9, 1, 2.5, seed=0), r"Received: longest=2.5\. Choose"),
        (
            lambda: measured_intervals(1, 9, 4, 3, seed=0),
            r"^measured_intervals: `shortest` must be at most `longest`\. "
            r"Received: shortest=4, longest=3\. Exchange them\.$",
        ),
        (
            lambda: timed_alarms(1, 9, 1, 2, delay=0, seed=0),
            "^timed_alarms: `delay` must be a positive integer",
        ),
        (lambda: timed_alarms(1, 9, 4, 3, 1, seed=0), "^timed_alarms: `shortest` must be at most"),
        (lambda: timed_spikes(0, 9), "^timed_spikes: `interval` must be a positive integer"),
        (lambda: timed_spikes(3, 0), "`steps` must be a positive integer"),
    ],
)
def test_bad_arguments_raise_one_line(call, message):
    with pytest.raises(ValueError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)
