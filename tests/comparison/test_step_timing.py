"""Turns, and the arithmetic of times, which no test takes from a real clock."""

import pytest

from custom_layers.comparison.step_timing import (
    is_memory_step,
    is_timed,
    quartiles,
    ratios_of_pairs,
    turn_order,
)


def test_each_model_goes_first_equally_often():
    assert [turn_order("ab", step) for step in range(3)] == [["a", "b"], ["b", "a"], ["a", "b"]]
    firsts = [turn_order("abc", step)[0] for step in range(9)]
    assert {name: firsts.count(name) for name in "abc"} == {"a": 3, "b": 3, "c": 3}


def test_tracing_and_memory_steps_are_not_timed():
    assert [step for step in range(10) if is_timed(step, 10)] == [4, 5, 6, 7, 8, 9]
    assert [step for step in range(10) if is_memory_step(step, 10)] == [1, 2, 3]
    assert [step for step in range(900) if is_memory_step(step, 900)] == [20, 21, 22]
    assert [step for step in range(900) if is_timed(step, 900)] == list(range(23, 900))
    assert [step for step in range(3) if is_timed(step, 3)] == [2]
    assert [step for step in range(1) if is_timed(step, 1)] == []


def test_quartiles_leave_out_what_was_not_timed():
    assert quartiles([None, 1.0, 2.0, None, 3.0]) == (1.5, 2.0, 2.5)
    assert quartiles([None]) is None


def test_ratios_are_taken_pair_by_pair():
    # The machine slows down tenfold half-way; the ratio of the two models stays what it is.
    reference = [None, 1.0, 1.0, 10.0, 10.0]
    other = [9.0, 1.1, 1.1, 11.0, 11.0]
    assert ratios_of_pairs(reference, other) == pytest.approx([1.1] * 4)
