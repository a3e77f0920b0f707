"""The report of a comparison: what it judges, and what it writes."""

import json
import math

import keras
import pytest

from custom_layers.comparison.first_step import GradientDifference
from custom_layers.comparison.pictures import gradient_figure, loss_figure, time_figure
from custom_layers.comparison.record import Record
from custom_layers.comparison.report import ComparisonReport
from custom_layers.comparison.report_table import difference_of, magnitude


def report_of(losses, gradient=1e-8, logits=1e-8, names=("builtin", "custom"), **changed):
    """A report with given loss curves; times, memory and gradients are made up."""
    steps = len(losses[0])
    record = Record(
        names=list(names),
        seed=1,
        step=steps,
        losses=dict(zip(names, losses, strict=True)),
        seconds={name: [None] + [0.01 * (i + 1)] * (steps - 1) for i, name in enumerate(names)},
        tracing_seconds=dict.fromkeys(names, 1.5),
        peak_memory=dict.fromkeys(names, 2500000),
        largest_logit=changed.pop("largest_logit", 0.5),
        logits_difference=dict.fromkeys(names[1:], logits),
        gradient_differences={
            name: [
                GradientDifference("dense/kernel", gradient, {names[0]: 1.0, name: 1.0}),
                GradientDifference("dense/bias", 0.0, {names[0]: 0.5, name: 0.5}),
            ]
            for name in names[1:]
        },
        seed_generators=dict.fromkeys(names, 1) if len(names) > 1 else {},
        held_out_curve=[(steps, {name: {"loss": 0.5} for name in names})],
        notes=changed.pop("notes", []),
    )
    fields = {
        "parameters": dict.fromkeys(names, 1234),
        "held_out": {name: {"loss": 0.5, "masked_accuracy": 0.9} for name in names},
        "metrics": {name: {"bleu": 31.25} for name in names},
        "execution": "graph, without XLA",
        "versions": {
            "python": "3.11", "keras": "3.15", "tensorflow": "2.21", "cores": 2, "gpu": None,
        },
        **changed,
    }  # fmt: skip
    return ComparisonReport(record=record, **fields)


EQUAL = [3.0, 2.0, 1.0]


def test_nothing_is_said_when_all_is_within_tolerance():
    assert report_of([EQUAL, [3.00001, 2.0, 1.0]]).check() == []


def test_the_first_step_beyond_the_tolerance_is_named():
    (sentence,) = report_of([EQUAL, [3.0, 2.1, 1.5]]).check()
    assert sentence == (
        "custom: the loss differs from builtin's by 1.0e-01 at step 2, more than 2.0e-05 "
        "(so does it in 2 of the first 3 steps, by 5.0e-01 at most)."
    )


def test_only_the_first_steps_are_asked():
    late = [0.0] * 50 + [1.0]
    assert report_of([[0.0] * 51, late]).check() == []
    assert len(report_of([[0.0] * 51, late]).check(first_steps=51)) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_and_infinity_are_differences(value):
    assert "the loss differs" in report_of([EQUAL, [3.0, value, 1.0]]).check()[0]
    assert "the loss differs" in report_of([[3.0, value], [3.0, value]]).check()[0]
    assert "outputs on" in report_of([EQUAL, EQUAL], logits=value).check()[0]
    (sentence,) = report_of([EQUAL, EQUAL], gradient=value).check()
    assert "`dense/kernel`" in sentence


def test_tolerances_of_outputs_and_gradients():
    assert "`dense/kernel`" in report_of([EQUAL, EQUAL], gradient=2e-5).check()[0]
    assert report_of([EQUAL, EQUAL], gradient=2e-5).check(gradients=1e-4) == []
    assert "1.0e-05" in report_of([EQUAL, EQUAL], logits=2e-5).check()[0]
    assert report_of([EQUAL, EQUAL], logits=2e-5, largest_logit=30.0).check() == []


def test_held_out_loss_is_judged_on_request():
    held_out = {"builtin": {"loss": 0.5}, "custom": {"loss": 0.504}}
    report = report_of([EQUAL, EQUAL], held_out=held_out)
    assert report.check() == []
    assert report.check(held_out=0.005) == []
    assert "the held-out loss differs" in report.check(held_out=0.003)[0]


def test_the_table_is_aligned_and_complete():
    text = str(report_of([EQUAL, [3.0, 2.0, 0.75]], notes=["All run eagerly now."]))
    lines = text.splitlines()
    assert lines[0].startswith("3 steps, seed 1, graph, without XLA; TensorFlow 2.21")
    head = lines[2]
    for column in ("builtin", "custom", "difference"):
        end = head.index(column) + len(column)
        row = next(line for line in lines if line.startswith("parameters"))
        assert end == len(row) or row[end] == " "
        assert row[end - 1] != " "
    cells = {line.split("  ")[0]: line.split() for line in lines[4:-2]}
    assert cells["parameters"][-3:] == ["1,234", "1,234", "0"]
    assert cells["loss, largest difference in steps 1 to 3"][-1] == "2.5e-01"
    assert cells["loss, mean of the last 3"][-3:] == ["2.000000", "1.916667", "-0.0833"]
    assert cells["held-out masked_accuracy"][-3:] == ["0.9000", "0.9000", "0"]
    assert cells["bleu"][-3:] == ["31.2500", "31.2500", "0"]
    assert cells["milliseconds per step, median"][-4:] == ["10.00", "20.00", "×", "2.000"]
    assert cells["peak memory of a step, MB"][-4:] == ["2.5", "2.5", "×", "1.00"]
    assert lines[-1] == "All run eagerly now."


def test_differences_keep_their_sign_and_small_ones_their_size():
    assert difference_of(1.5, 1.0, ".4f") == "+0.5000"
    assert difference_of(1.0, 1.00001, ".4f") == "-1.0e-05"
    assert difference_of(10, 1010, ",d") == "-1,000"
    assert difference_of(1.0, 1.0, ".4f") == magnitude(0.0) == "0"


@pytest.mark.parametrize(
    ("names", "axes"),
    [(("alone",), (1, 1)), (("builtin", "custom"), (2, 2)), (("a", "b", "c"), (2, 2))],
    ids=["one", "two", "three"],
)
def test_pictures_have_their_axes_with_labels(names, axes):
    report = report_of([EQUAL] * len(names), names=names)
    figures = [loss_figure(report), time_figure(report)]
    assert tuple(len(figure.axes) for figure in figures) == axes
    if len(names) > 1:
        figures.append(gradient_figure(report))
        assert len(figures[-1].axes) == 1
        assert len(figures[-1].axes[0].patches) == 2 * (len(names) - 1)
        assert figures[0].axes[1].get_yscale() == "log"
    for figure in figures:
        assert figure.axes[-1].get_xlabel()
        assert all(ax.get_title() for ax in figure.axes)
    curves = [line for line in figures[0].axes[0].lines if len(line.get_xdata()) == 3]
    assert [list(curve.get_ydata()) for curve in curves] == [EQUAL] * len(names)


def test_files_can_be_read_and_are_complete(tmp_path):
    report = report_of([EQUAL, [3.0, math.nan, 1.0]], gradient=math.inf)
    folder = report.save(tmp_path / "deep" / "report")

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    content = json.loads((folder / "report.json").read_text(), parse_constant=refuse)
    assert content["record"]["losses"] == {"builtin": EQUAL, "custom": [3.0, "nan", 1.0]}
    assert content["differences"]["custom"]["largest_gradient_difference"] == "inf"
    assert content["differences"]["custom"]["largest_loss_difference"] == "nan"
    assert content["differences"]["custom"]["seconds_ratio_of_pairs"]["median"] == 2.0
    assert content["versions"]["keras"] == "3.15"
    markdown = (folder / "report.md").read_text()
    for name in ("loss.png", "gradients.png", "seconds.png"):
        assert f"]({name})" in markdown
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
        assert (folder / name).stat().st_size > 5000
    assert "| `dense/kernel` | inf |" in markdown


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="`folder` cannot be written") as error:
        report_of([EQUAL, EQUAL]).save(tmp_path / "file" / "report")
    assert "\n" not in str(error.value)


def test_a_record_comes_back_from_json_as_it_was():
    record = report_of([EQUAL, EQUAL]).record
    assert Record.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_models_are_not_part_of_what_is_printed():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert "Sequential" not in repr(report_of([EQUAL, EQUAL], models={"custom": model}))
