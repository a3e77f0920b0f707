"""The arithmetic of ratios, the order of turns, and what the table says."""

import numpy as np
import pytest

from benchmarks import report
from benchmarks.harness import (
    Ratio,
    Row,
    in_turns,
    ratio_of,
    require_equal,
    timed_row,
)


def row(**changes):
    figures = {"Keras": 2.0, "ours": 1.0}
    pair = ("ours", "Keras")
    given = ("LSTM", "64x20", "ms", figures, pair, Ratio(0.5, 0.4, 0.6), 1.0)
    return Row(*given)._replace(**changes)


def test_a_ratio_is_taken_round_by_round():
    ratio = ratio_of([1, 20, 3, 40, 5], [2, 20, 2, 20, 2])  # 0.5 1 1.5 2 2.5
    assert ratio == Ratio(median=1.5, low=1.0, high=2.0)


def test_the_order_of_ways_turns_and_the_warm_up_is_not_counted():
    calls = []
    ways = {name: lambda name=name: calls.append(name) for name in "ABC"}
    seconds = in_turns(ways, rounds=4, warm_up=1)
    assert "".join(calls) == "ABC" + "ABC" + "BCA" + "CAB" + "ABC"
    assert {name: len(values) for name, values in seconds.items()} == {"A": 4, "B": 4, "C": 4}
    assert all((values >= 0).all() for values in seconds.values())


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, True),
        ({"target": 0.5}, True),
        ({"target": 0.49}, False),
        ({"target": None}, None),
        ({"ratio": None, "target": 2.0}, True),  # the first figure counts
        ({"ratio": None, "target": 1.9}, False),
    ],
    ids=str,
)
def test_a_target_is_met_by_the_ratio_or_else_by_the_first_figure(changes, met):
    assert row(**changes).met is met


def test_a_timed_row_compares_the_best_of_both_sides():
    seconds = {
        "ours": [3.0, 3.0],
        "ours, fused": [1.0, 2.0],
        "Keras": [2.0, 2.0],
        "XLA": [9.0, 9.0],
    }
    seconds = {name: np.array(values) for name, values in seconds.items()}
    found = timed_row("g", "n", seconds, ["ours", "ours, fused"], ["Keras", "XLA"], 0.9)
    assert found.compared == ("ours, fused", "Keras")
    assert found.ratio.median == 0.75
    assert found.figures["XLA"] == 9000.0  # in ms
    assert found.met


def test_different_numbers_are_not_timed():
    require_equal([np.ones(3)], [np.ones(3) + 1e-5], "same")
    with pytest.raises(AssertionError, match=r"outputs: 1\.0e-03 apart"):
        require_equal([np.full(3, 0.999)], [np.ones(3)], "outputs")


def results(*rows, quick=False):
    machine = {"processor": "abacus", "cores": 2}
    rows = [row._asdict() for row in rows]
    return {"recurrent": {"rows": rows, "machine": machine, "quick": quick}}


def test_the_table_has_a_line_for_each_row_and_says_what_was_missed():
    found = results(row(), row(name="64x40", target=0.4), row(group="GRU", target=None), quick=True)
    text = report.markdown(found)
    assert "processor abacus, cores 2, quick run" in text
    assert "| 64x20 | 2 | 1 | ours by Keras | 0.500 (0.40 to 0.60) | 1 | yes |" in text
    assert "| 64x40 | 2 | 1 | ours by Keras | 0.500 (0.40 to 0.60) | 0.4 | **no** |" in text
    assert text.count("**LSTM** (ms)") == text.count("**GRU** (ms)") == 1
    assert report.missed(found) == ["LSTM, 64x40: 0.5, target 0.4"]


def test_a_figure_that_a_row_lacks_is_an_empty_cell():
    text = report.markdown(results(row(), row(name="b", figures={"ours": 1.0}, ratio=None)))
    assert "| b |  | 1 | ours by Keras |  | 1 | yes |" in text


def test_what_is_written_is_read_again(tmp_path):
    found = results(row(), row(ratio=None, compared=None))
    report.write(tmp_path, found)
    assert list(report.rows_of(report.read(tmp_path))) == list(report.rows_of(found))
    assert (tmp_path / "results_recurrent.png").stat().st_size > 1000
    assert report.read(tmp_path / "nowhere") == {}
