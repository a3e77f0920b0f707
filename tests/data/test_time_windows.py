"""Parts in time and windows, against loops; nothing of a later part is ever seen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_layers.data import Series, split_in_time, windows


def series(rows, start="1981-01-01"):
    return Series(np.datetime64(start) + np.arange(rows), np.arange(rows) + 0.5)


@given(
    width=st.integers(1, 6), horizon=st.integers(1, 4), more=st.integers(0, 7), lent=st.booleans()
)
def test_windows_are_those_of_a_loop(width, horizon, more, lent):
    past, rows = 5 + width, (0 if lent else width) + horizon + more
    values = np.random.default_rng(0).standard_normal(past + rows)
    before, own = values[:past], values[past:]
    found = windows(own, width, horizon, before=before if lent else None)
    expected = []
    for row in range(0 if lent else width, rows - horizon + 1):  # where the first target stands
        at = past + row
        expected.append(
            (values[at - width : at], values[at : at + horizon], range(row, row + horizon))
        )
    assert len(found.inputs) == len(expected) == more + 1
    for got, wanted in zip(zip(*found, strict=True), expected, strict=True):
        for mine, theirs in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_windows_of_features_keep_the_features_last():
    values = np.random.default_rng(1).standard_normal((9, 3))
    inputs, targets, rows = windows(values, 4, 2)
    assert (inputs.shape, targets.shape, rows.shape) == ((4, 4, 3), (4, 2, 3), (4, 2))
    for i in range(4):
        np.testing.assert_array_equal(inputs[i], values[i : i + 4])
        np.testing.assert_array_equal(targets[i], values[i + 4 : i + 6])
        np.testing.assert_array_equal(targets[i], values[rows[i]])


def test_windows_copy_nothing_and_cannot_be_written_to():
    values = np.zeros(10_000)
    found = windows(values, 365, 30)
    assert np.shares_memory(found.inputs, values)
    assert np.shares_memory(found.targets, values)
    with pytest.raises(ValueError, match="read-only"):
        found.inputs[0, 0] = 1


def test_parts_follow_each_other_and_lose_nothing():
    whole = series(100)
    parts = split_in_time(whole, validation=0.1, test=20)
    assert [part.rows for part in parts] == [70, 10, 20]
    np.testing.assert_array_equal(np.concatenate([p.values for p in parts]), whole.values)
    assert parts.train.dates[-1] < parts.validation.dates[0]
    assert parts.validation.dates[-1] < parts.test.dates[0]
    arrays = split_in_time(whole.values, validation=10, test=0.2)
    for mine, theirs in zip(arrays, parts, strict=True):
        np.testing.assert_array_equal(mine, theirs.values)


def test_no_window_of_a_part_has_a_target_of_another():
    """Each row of the series is a target in one part, but for the first `width`, which are in none."""
    whole = series(60)
    train, validation, test = split_in_time(whole, validation=15, test=15)
    known = whole.part(0, 45)
    targets = [
        windows(train, 7).targets,
        windows(validation, 7, before=train).targets,
        windows(test, 7, before=known).targets,
    ]
    np.testing.assert_array_equal(np.concatenate(targets)[:, 0], whole.values[7:])
    several = windows(test, 7, 4, before=known)
    assert several.targets.min() == test.values[0]
    assert np.all(several.inputs.max(axis=1) < several.targets.min(axis=1))
    np.testing.assert_array_equal(test.values[several.rows], several.targets)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"width": 0}, r"windows: `width` must be a positive integer.*width=0"),
        ({"width": 3, "horizon": 0}, r"windows: `horizon` must be a positive integer"),
        ({"width": 9, "horizon": 2}, r"11 rows or more.*Received: 10 rows\. Choose a shorter"),
        ({"width": 3, "horizon": 11, "before": np.arange(9)}, r"11 of them its own.*10 of them"),
        ({"width": 3, "before": np.arange(2)}, r"at least 3 rows.*before.shape=\(2,\)"),
        ({"width": 3, "before": np.ones((5, 2))}, r"features of `series`"),
    ],
)
def test_windows_that_do_not_fit_are_named(arguments, said):
    with pytest.raises(ValueError, match=said) as caught:
        windows(np.arange(10.0), **arguments)
    assert "\n" not in str(caught.value)


def test_a_past_that_is_not_past_is_refused():
    whole = series(20)
    with pytest.raises(ValueError, match=r"must end before.*1981-01-11.*begins 1981-01-11"):
        windows(whole.part(10, 20), 3, before=whole.part(0, 11))
    with pytest.raises(ValueError, match=r"\(rows,\) or \(rows, features\).*\(1, 2, 3\)"):
        windows(np.ones((1, 2, 3)), 1)


@pytest.mark.parametrize("size", [0.0, 1.0, 0, -3, True, "0.2", None])
def test_sizes_of_parts_that_are_none_are_refused(size):
    with pytest.raises((ValueError, TypeError), match="split_in_time: `test` must be a share"):
        split_in_time(series(10), validation=1, test=size)


def test_a_part_to_train_on_must_be_left():
    with pytest.raises(ValueError, match=r"10 rows, of which 5 to validate and 5 to test"):
        split_in_time(series(10), validation=0.5, test=5)
