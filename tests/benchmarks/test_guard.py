"""When the guard fails, decided without a clock."""

import json

from benchmarks import guard

COMMITTED = {"LSTM": 0.8, "Dense": 1.0}


def scripted(*runs):
    """A measure that returns one run after the other, and what it was asked for."""
    asked, left = [], list(runs)

    def measure(names):
        asked.append(list(names))
        run = left.pop(0)
        return {name: run[name] for name in names}

    return measure, asked


def test_nothing_worse_is_measured_once():
    measure, asked = scripted({"LSTM": 0.99, "Dense": 1.24})
    assert guard.judge(measure, COMMITTED) == {}
    assert asked == [["LSTM", "Dense"]]


def test_worse_once_or_twice_is_forgiven_and_only_that_is_measured_again():
    measure, asked = scripted({"LSTM": 1.01, "Dense": 1.0}, {"LSTM": 1.2}, {"LSTM": 0.9})
    assert guard.judge(measure, COMMITTED) == {}
    assert asked == [["LSTM", "Dense"], ["LSTM"], ["LSTM"]]


def test_worse_three_times_fails_with_its_ratios():
    measure, _ = scripted({"LSTM": 1.01, "Dense": 1.3}, {"LSTM": 1.2, "Dense": 1.1}, {"LSTM": 1.1})
    assert guard.judge(measure, COMMITTED) == {"LSTM": [1.01, 1.2, 1.1]}


def test_the_limit_is_a_quarter_above_and_a_new_layer_is_not_judged():
    assert guard.worse({"Dense": 1.25}, COMMITTED) == []
    assert guard.worse({"Dense": 1.26, "GRU": 9.0}, COMMITTED) == ["Dense"]


def test_the_command_fails_with_a_line_for_each_row(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(guard, "FILE", tmp_path / "guard.json")
    (tmp_path / "guard.json").write_text(json.dumps(COMMITTED))
    monkeypatch.setattr(guard, "measure", lambda names: {n: {"LSTM": 1.5}.get(n, 1) for n in names})
    assert guard.main([]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told == ["LSTM, training step by Keras's: 1.50, 1.50, 1.50; committed 0.80, limit 1.00"]
    monkeypatch.setattr(guard, "LAYERS", {"LSTM": None})
    assert guard.main(["--update"]) == 0
    assert json.loads((tmp_path / "guard.json").read_text()) == {"LSTM": 1.5}
    assert guard.main([]) == 0


def test_every_committed_ratio_is_of_a_layer_that_is_measured():
    assert set(json.loads(guard.FILE.read_text())) == set(guard.LAYERS)
