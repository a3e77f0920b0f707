"""The frame of the pages: their command line, their report, and the table of all reports."""

import json
import runpy
import sys

import pytest

from tutorials import page, record


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "drawn.png"
    path.write_bytes(b"a picture")
    return path


def test_a_report_has_the_figures_the_claim_and_the_picture(tmp_path, picture, capsys):
    run = page.Page("gates", True, tmp_path / "out")
    path = run.report("Gates keep.", {"accuracy": 0.98765, "solved": "5 of 5"}, picture)
    report = json.loads(path.read_text())
    assert report["figures"] == {"accuracy": 0.98765, "solved": "5 of 5"}
    assert (report["claim"], report["data"], report["fast"]) == ("Gates keep.", "generated", True)
    assert (path.parent / page.PICTURE).read_bytes() == b"a picture"
    assert "accuracy  0.9877" in capsys.readouterr().out


def test_a_recorded_run_leaves_its_report_where_the_variable_says(tmp_path, picture, monkeypatch):
    monkeypatch.setenv(page.RECORD_VARIABLE, str(tmp_path / "kept"))
    page.Page("gates", False, tmp_path / "out").report("Gates keep.", {}, picture)
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
        *(page.PICTURE, page.REPORT)
    ]


def test_the_command_line_is_read_for_the_page_alone(tmp_path, monkeypatch):
    monkeypatch.delenv("TUTORIAL_FAST", raising=False)
    command = ["tutorials/gates/tutorial.py", "--fast", "--out", str(tmp_path / "here")]
    monkeypatch.setattr(sys, "argv", command)
    assert page.begin("gates", "What a gate does.") == ("gates", True, tmp_path / "here")
    assert page.begin("masking", "What a mask does.").fast is False
    monkeypatch.setenv("TUTORIAL_FAST", "1")
    assert page.begin("masking", "What a mask does.").fast is True
    monkeypatch.setattr(sys, "argv", command[:1])
    assert page.begin("gates", "What a gate does.").fast is True


def test_without_a_folder_pictures_go_to_one_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [page.begin("gates", "What a gate does.") for _ in range(2)]
    assert runs[0].out != runs[1].out
    assert not list(tmp_path.iterdir()), "nothing is left where one stands"


def test_a_report_tells_the_processors_time_from_the_clock_s(tmp_path, picture, monkeypatch):
    monkeypatch.setattr(page.time, "process_time", lambda: 12.3)
    monkeypatch.setattr(page.time, "monotonic", lambda: page.BEGUN + 45.6)
    report = json.loads(page.Page("gates", True, tmp_path).report("", {}, picture).read_text())
    assert (report["processor_seconds"], report["seconds"]) == (12, 46)


def test_durations_are_in_seconds_up_to_two_minutes():
    assert [record.duration(s) for s in (40, 119, 120, 290)] == ["40 s", "119 s", "2 min", "5 min"]


def test_help_and_a_wrong_option(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tutorials/gates/tutorial.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        page.begin("gates", "What a gate does.")
    assert ended.value.code == 0
    assert "What a gate does." in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["tutorials/gates/tutorial.py", "--quick"])
    with pytest.raises(SystemExit) as ended:
        page.begin("gates", "What a gate does.")
    assert ended.value.code == 2
    assert "--quick" in capsys.readouterr().err


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Tutorials of our own: one that reports, one that fails, one that says nothing."""
    for name, text in {
        "gates": "from tutorials import page\n"
        "run = page.begin('gates', 'Gates.')\n"
        "(run.out / 'p.png').write_bytes(b'p')\n"
        "run.report('Gates keep.', {'kept': 3}, run.out / 'p.png')\n",
        "failing": "raise SystemExit(3)",
        "silent": "",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "tutorial.py").write_text(text)
    monkeypatch.setattr(record, "TUTORIALS", tmp_path)
    monkeypatch.setattr(record, "README", tmp_path / "README.md")

    def run(command, *, env, check):
        name = command[2].split(".")[1]
        script = str(tmp_path / name / "tutorial.py")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", [script, *command[3:]])
            patch.delenv("TUTORIAL_FAST", raising=False)
            for variable in {page.RECORD_VARIABLE, "TUTORIAL_FAST"} & env.keys():
                patch.setenv(variable, env[variable])
            try:
                runpy.run_path(script, run_name="__main__")
            except SystemExit as error:
                raise record.subprocess.CalledProcessError(error.code, command) from error

    monkeypatch.setattr(record.subprocess, "run", run)
    return tmp_path


def test_recording_keeps_report_and_picture_and_writes_the_table(shelf, monkeypatch):
    monkeypatch.setenv("TUTORIAL_FAST", "1")  # of the shell: a record is of the whole page
    assert record.main(["gates"]) == 0
    report = json.loads((shelf / "gates" / page.REPORT).read_text())
    assert (report["figures"], report["fast"]) == ({"kept": 3}, False)
    assert (shelf / "gates" / page.PICTURE).read_bytes() == b"p"
    text = (shelf / "README.md").read_text()
    assert "| [`gates`](gates/tutorial.ipynb) | Gates keep. | kept: 3<br>generated, " in text
    assert "| [`failing`](failing/tutorial.ipynb) | | | |" in text


def test_a_page_that_fails_keeps_its_old_report_and_the_others_go_on(shelf, capsys):
    (shelf / "failing" / page.REPORT).write_text(
        json.dumps({"claim": "Old.", "figures": {}, "data": "x", "processor_seconds": 300})
    )
    assert record.main(["failing", "gates"]) == 1
    assert "failing ended with status 3" in capsys.readouterr().err
    assert "Old. | x, 5 min |" in (shelf / "README.md").read_text().replace("<br>", "")
    assert (shelf / "gates" / page.REPORT).is_file()


def test_without_names_those_with_a_report_are_run_and_with_table_none(shelf):
    old = {"claim": "Old.", "figures": {}, "data": "x", "processor_seconds": 3}
    (shelf / "gates" / page.REPORT).write_text(json.dumps(old))
    assert record.main(["--table"]) == 0
    assert "Old." in (shelf / "README.md").read_text()
    assert record.main([]) == 0, "the others, one of which fails, are left alone"
    assert "Gates keep." in (shelf / "README.md").read_text()


def test_what_cannot_be_recorded_is_said_in_one_line(shelf, capsys):
    with pytest.raises(SystemExit) as ended:
        record.main(["gatess"])
    assert ended.value.code == 2
    assert "must be one of" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="silent writes no report"):
        record.main(["silent"])


def test_the_table_is_that_of_the_reports():
    """`python -m tutorials.record --table` writes it."""
    assert record.README.read_text(encoding="utf-8") == record.table()
