"""Types of command-line options: what they take, and the one line that refuses the rest."""

import argparse
import math

import pytest

from tutorials.options import number, whole_number, writable_folder


def read(kind, text):
    parser = argparse.ArgumentParser(prog="command")
    parser.add_argument("--option", type=kind)
    return parser.parse_args(["--option", text]).option


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (whole_number(1), "1", 1),
        (whole_number(0), "0", 0),
        (whole_number(-2), "-2", -2),
        (number(at_least=0, below=1), "0", 0.0),
        (number(at_least=0, below=1), "0.999", 0.999),
        (number(above=0), "1e-9", 1e-9),
    ],
)
def test_what_keeps_the_rule_is_taken(kind, text, value):
    taken = read(kind, text)
    assert taken == value
    assert type(taken) is type(value)


@pytest.mark.parametrize(
    ("kind", "text", "rule"),
    [
        (whole_number(1), "0", "a whole number of at least 1"),
        (whole_number(0), "2.0", "a whole number of at least 0"),
        (whole_number(-2), "many", "a whole number of at least -2"),
        (number(at_least=0, below=1), "1", "a number at least 0 and less than 1"),
        (number(at_least=0, below=1), "-0.1", "a number at least 0 and less than 1"),
        (number(above=0), "0", "a number more than 0"),
        (number(above=0), "nan", "a number more than 0"),
        (number(above=0), "inf", "a number more than 0"),
        (number(below=math.inf, above=0), "fast", "a number more than 0"),
    ],
)
def test_what_breaks_it_is_refused_in_one_line(kind, text, rule, capsys):
    with pytest.raises(SystemExit) as stopped:
        read(kind, text)
    assert stopped.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == f"command: error: argument --option: must be {rule}. Received: {text}"


def test_a_folder_is_made_and_a_file_is_none(tmp_path, capsys):
    folder = tmp_path / "one" / "two"
    assert read(writable_folder, str(folder)) == folder
    assert folder.is_dir()
    assert list(folder.iterdir()) == [], "what was tried is gone"
    (tmp_path / "file").write_text("", encoding="utf-8")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SystemExit) as stopped:
            read(writable_folder, str(path))
        assert stopped.value.code == 2
        line = capsys.readouterr().err.splitlines()[-1]
        assert f"--option: must be a folder to write to. Received: {path} (" in line
