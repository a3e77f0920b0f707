"""The rows of all benchmarks as JSON, as a table and as bars."""

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from benchmarks.harness import Ratio, Row

Results = dict[str, dict[str, Any]]


def read(folder: Path) -> Results:
    """What the last run wrote, by benchmark; nothing where there was none."""
    path = folder / "results.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write(folder: Path, results: Results) -> None:
    """`results.json`, `results.md`, and bars for each benchmark that has ratios."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1, ensure_ascii=False)
    (folder / "results.json").write_text(text + "\n", encoding="utf-8")
    (folder / "results.md").write_text(markdown(results), encoding="utf-8")
    for name, found in results.items():
        save_bars({name: found}, folder / f"results_{name}.png")


def rows_of(results: Results) -> Iterator[Row]:
    """All rows, in the order of the table."""
    for found in results.values():
        for row in found["rows"]:
            ratio = None if row["ratio"] is None else Ratio(*row["ratio"])
            compared = None if row["compared"] is None else tuple(row["compared"])
            yield Row(**{**row, "ratio": ratio, "compared": compared})


def missed(results: Results) -> list[str]:
    """One line for each target that is not met."""
    return [
        f"{row.group}, {row.name}: {row.measured:.3g}, target {row.target:g}"
        for row in rows_of(results)
        if row.met is False
    ]


def markdown(results: Results) -> str:
    """A heading for each group, a line for each row."""
    lines = [
        "# What was measured",
        "",
        "Written by `python -m benchmarks`. A ratio is the median over the rounds of the first way's "
        "time (or memory) by the second's, with its quartiles: below 1, ours needs less.",
        "",
    ]
    for name, found in results.items():
        told = ", ".join(f"{key} {value}" for key, value in found["machine"].items())
        lines += [f"## {name}", "", told + (", quick run" if found["quick"] else ""), ""]
        for group, rows in groupby(rows_of({name: found}), key=lambda row: row.group):
            rows = list(rows)
            ways = list(dict.fromkeys(way for row in rows for way in row.figures))
            unit = rows[0].unit
            lines += [f"**{group}** ({unit})", ""]
            lines += ["| | " + " | ".join([*ways, "compared", "ratio", "target", "met"]) + " |"]
            lines += ["|---|" + "---:|" * (len(ways) + 4)]
            lines += ["| " + " | ".join(cells_of(row, ways)) + " |" for row in rows] + [""]
    return "\n".join(lines)


def cells_of(row: Row, ways: list[str]) -> list[str]:
    """The cells of a row."""
    figures = [f"{row.figures[way]:.3g}" if way in row.figures else "" for way in ways]
    compared = "" if row.compared is None else " by ".join(row.compared)
    ratio = ""
    if row.ratio is not None:
        ratio = f"{row.ratio.median:.3f} ({row.ratio.low:.2f} to {row.ratio.high:.2f})"
    target = "" if row.target is None else f"{row.target:g}"
    return [
        row.name,
        *figures,
        compared,
        ratio,
        target,
        {True: "yes", False: "**no**", None: ""}[row.met],
    ]


def save_bars(results: Results, path: Path) -> None:
    """Every ratio as a bar, with its quartiles, its target as a mark, and 1 as a line."""
    rows = [row for row in rows_of(results) if row.ratio is not None]
    if not rows:
        return
    figure, axes = plt.subplots(figsize=(10, 1.2 + 0.24 * len(rows)), layout="constrained")
    for place, row in enumerate(rows):
        color = {True: "C0", False: "C3", None: "0.6"}[row.met]
        spread = [[row.ratio.median - row.ratio.low], [row.ratio.high - row.ratio.median]]
        axes.barh(place, row.ratio.median, color=color, xerr=spread, ecolor="0.3", height=0.7)
        if row.target is not None:
            axes.plot([row.target] * 2, [place - 0.45, place + 0.45], color="black", linewidth=2)
    axes.axvline(1, color="0.5", linewidth=1)
    axes.set_yticks(range(len(rows)), [f"{row.group}, {row.name}" for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.set_xlabel("ours by the best of the others; black: the target; red: missed")
    figure.savefig(path, dpi=110)
    plt.close(figure)
