"""The table of a comparison, for the screen and as Markdown: the same rows in both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from custom_layers.comparison.first_step import GradientDifference
from custom_layers.comparison.step_timing import Quartiles

if TYPE_CHECKING:
    from custom_layers.comparison.report import ComparisonReport

LAST_STEPS = 50  # the loss of one batch is noise; of so many, a mean can be compared
NOTHING = ""


class Row(NamedTuple):
    """One line: what is measured, one cell per model, one cell per model but the first."""

    label: str
    values: list[str]
    differences: list[str]


def table_rows(report: ComparisonReport) -> list[Row]:
    """All rows of the table, in the order in which they are shown."""
    names, others, record = report.record.names, report.others, report.record

    def compared(label: str, numbers: dict[str, float], form: str) -> Row:
        reference = numbers[report.reference]
        return Row(
            label,
            [format(numbers[name], form) for name in names],
            [difference_of(numbers[name], reference, form) for name in others],
        )

    def difference_only(label: str, cell: Callable[[str], str]) -> Row:
        return Row(label, [NOTHING] * len(names), [cell(name) for name in others])

    rows = [compared("parameters", dict(report.parameters), ",d")]
    if others:
        rows += [
            difference_only(
                "outputs before step 1, largest difference",
                lambda name: magnitude(record.logits_difference[name]),
            ),
            difference_only(
                "gradients at step 1, relative to the largest",
                lambda name: _largest_gradient(report, name),
            ),
        ]
    rows.append(compared("loss at step 1", _at(record.losses, slice(0, 1)), ".6f"))
    last = min(LAST_STEPS, record.step)
    rows.append(
        compared(f"loss, mean of the last {last}", _at(record.losses, slice(-last, None)), ".6f")
    )
    if others:
        first = min(50, record.step)
        rows.append(
            difference_only(
                f"loss, largest difference in steps 1 to {first}",
                lambda name: magnitude(_max(report.loss_differences(name)[:50])),
            )
        )
        rows.append(
            difference_only(
                f"loss, largest difference in all {record.step} steps",
                lambda name: magnitude(_max(report.loss_differences(name))),
            )
        )
    for title, results in (("held-out ", report.held_out), ("", report.metrics)):
        for key in results.get(report.reference, {}):
            numbers = {name: results[name][key] for name in names}
            rows.append(compared(title + key, numbers, ".4f"))
    return rows + _cost_rows(report)


def screen_table(report: ComparisonReport) -> str:
    """The table with aligned columns, below a line on how it was run."""
    rows = [Row(NOTHING, *_heads(report)), *table_rows(report)]
    cells = [[row.label, *row.values, *row.differences] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    lines.insert(1, "─" * (sum(widths) + 2 * (len(widths) - 1)))
    return "\n".join([how_it_ran(report), "", *lines, *_notes(report)])


def markdown_report(report: ComparisonReport, pictures: Sequence[tuple[str, str]]) -> str:
    """The whole report as Markdown.

    Args:
        report: what was measured.
        pictures: (file name, caption) of each picture beside the report.
    """
    values, differences = _heads(report)
    parts = [f"# {' and '.join(report.record.names)}, side by side", how_it_ran(report)]
    table = [[NOTHING, *values, *differences]]
    table += [[row.label, *row.values, *row.differences] for row in table_rows(report)]
    parts.append(_markdown_table(table))
    parts += [note.strip() for note in _notes(report)]
    parts += [f"![{caption}]({name})" for name, caption in pictures]
    for name in report.others:
        parts.append(f"## Gradients at the first step, {name} and {report.reference}")
        parts.append(gradient_table(report.record.gradient_differences.get(name, [])))
    return "\n\n".join(part for part in parts if part) + "\n"


def gradient_table(entries: Sequence[GradientDifference]) -> str:
    """Markdown table of the gradients of all weights: difference and norm in both models."""
    if not entries:
        return "No gradients were compared."
    head = ["weight", "difference", *(f"norm in {name}" for name in entries[0].norms)]
    lines = [
        [
            f"`{entry.path}`",
            magnitude(entry.difference),
            *(f"{n:.4g}" for n in entry.norms.values()),
        ]
        for entry in entries
    ]
    return _markdown_table([head, *lines])


def how_it_ran(report: ComparisonReport) -> str:
    """One line: steps, seed, execution mode, versions and hardware."""
    versions = report.versions
    hardware = ", ".join(versions["gpu"] or []) or f"{versions['cores']} cores"
    steps = f"{report.record.step} step{'s' if report.record.step != 1 else ''}"
    return (
        f"{steps}, seed {report.record.seed}, {report.execution}; TensorFlow "
        f"{versions['tensorflow']}, Keras {versions['keras']}, Python {versions['python']}, "
        f"{hardware}"
    )


def _cost_rows(report: ComparisonReport) -> list[Row]:
    names, others, record = report.record.names, report.others, report.record
    rows = []
    timings = {name: report.seconds_per_step(name) for name in names}
    ratios = {name: report.time_ratio(name) for name in others}
    if timings[report.reference] is not None:
        rows.append(
            Row(
                "milliseconds per step, median",
                [_milliseconds(timings[name], "median") for name in names],
                [
                    f"× {ratio.median:.3f}" if (ratio := ratios[name]) else NOTHING
                    for name in others
                ],
            )
        )
        rows.append(
            Row(
                "  quartiles (of the ratio: pair by pair)",
                [_milliseconds(timings[name], "range") for name in names],
                [
                    f"× {ratio.low:.3f} – {ratio.high:.3f}" if (ratio := ratios[name]) else NOTHING
                    for name in others
                ],
            )
        )
    tracing = record.tracing_seconds
    rows.append(
        Row(
            "first step with tracing, seconds",
            [f"{tracing[name]:.2f}" for name in names],
            [_ratio(tracing[name], tracing[report.reference]) for name in others],
        )
    )
    memory = record.peak_memory
    if all(memory[name] is not None for name in names):
        rows.append(
            Row(
                "peak memory of a step, MB",
                [f"{(memory[name] or 0) / 1e6:.1f}" for name in names],
                [_ratio(memory[name] or 0, memory[report.reference] or 0) for name in others],
            )
        )
    return rows


def _heads(report: ComparisonReport) -> tuple[list[str], list[str]]:
    if len(report.others) == 1:
        return report.record.names, ["difference"]
    return report.record.names, [f"{name} − {report.reference}" for name in report.others]


def _notes(report: ComparisonReport) -> list[str]:
    return ["", *report.record.notes] if report.record.notes else []


def difference_of(value: float, reference: float, form: str) -> str:
    """Signed difference: in the form of the values where that shows it, else in powers of ten."""
    difference = value - reference
    if difference == 0:
        return "0"
    if form == ",d":
        return f"{difference:+,d}"
    return f"{difference:+.1e}" if abs(difference) < 1e-3 else f"{difference:+.4f}"


def magnitude(difference: float) -> str:
    """Size of a difference as a power of ten; 0 for two equal numbers."""
    return f"{difference:.1e}" if difference else "0"


def _largest_gradient(report: ComparisonReport, name: str) -> str:
    largest = report.largest_gradient_difference(name)
    return NOTHING if largest is None else magnitude(largest.difference)


def _at(losses: dict[str, list[float]], where: slice) -> dict[str, float]:
    return {name: float(np.mean(values[where])) for name, values in losses.items()}


def _max(values: list[float]) -> float:
    return float(np.max(values)) if values else 0.0


def _milliseconds(timing: Quartiles | None, what: str) -> str:
    if timing is None:
        return NOTHING
    if what == "median":
        return f"{timing.median * 1e3:.2f}"
    return f"{timing.low * 1e3:.2f} – {timing.high * 1e3:.2f}"


def _ratio(value: float, reference: float) -> str:
    return f"× {value / reference:.2f}" if reference > 0 else NOTHING


def _markdown_table(lines: Sequence[Sequence[str]]) -> str:
    rows = [f"| {' | '.join(line)} |" for line in lines]
    rows.insert(1, "|" + "|".join([":---"] + ["---:"] * (len(lines[0]) - 1)) + "|")
    return "\n".join(rows)
