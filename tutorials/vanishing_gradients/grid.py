"""The long part: every network on every task, over five seeds; hours on two cores, in any portions.

python -m tutorials.vanishing_gradients.grid                     what is not done yet, telling runs first
python -m tutorials.vanishing_gradients.grid --minutes 30        ... and no new run after half an hour
python -m tutorials.vanishing_gradients.grid --only adding/200   the runs whose name holds this
python -m tutorials.vanishing_gradients.grid --only " at "       the networks at the other learning rate
python -m tutorials.vanishing_gradients.grid --list              what there is, and what is done

Every finished run is written to grid.json at once; Ctrl-C loses the one that is being trained. On a
machine of few cores TF_NUM_INTRAOP_THREADS=1 is the fastest: the matrices are small.
"""

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
from tqdm import tqdm

from tutorials.options import number
from tutorials.vanishing_gradients.networks import (
    AT_OTHER_RATE,
    CELLS,
    GENTLE,
    HIGH,
    LOW,
    RECIPES,
    REMEDIES,
    at_rate,
    recipe_for,
)
from tutorials.vanishing_gradients.runs import BATCH, Outcome, Run, learn

GRID = Path(__file__).with_name("grid.json")
SEEDS, STEPS = range(5), (10, 50, 200, 500)
REMEDIES_AT = ("adding", 50)  # the task that the remedies are set
TOLD = ("tanh RNN", "LSTM, chrono", "GRU")
COMPARED = ("tanh RNN", "ReLU RNN", "IRNN", "LSTM, chrono", "GRU")  # at both rates, over 200
# The most telling first: of one line all (task, steps, networks) with a seed, then with the next.
ORDER: tuple[tuple[tuple[str, int, tuple[str, ...]], ...], ...] = (
    (
        ("adding", 200, TOLD),
        ("copying", 50, ("orthogonal linear RNN", "tanh RNN", "LSTM, chrono")),
        (*REMEDIES_AT, tuple(REMEDIES)),
    ),
    (
        ("adding", 200, (*(AT_OTHER_RATE[name] for name in COMPARED), "ReLU RNN", "IRNN")),
        ("adding", 50, (AT_OTHER_RATE["IRNN"], "IRNN")),
    ),
    (("adding", 50, tuple(CELLS)), ("adding", 10, tuple(CELLS))),
    (("adding", 200, tuple(CELLS)), ("copying", 10, tuple(CELLS))),
    (("adding", 500, TOLD), ("copying", 200, ("orthogonal linear RNN",))),
    (("adding", 500, tuple(CELLS)), ("copying", 50, tuple(CELLS))),
    (("copying", 200, (GENTLE,)),),
    (("copying", 200, tuple(CELLS)), ("copying", 500, tuple(CELLS))),
    tuple(("adding", steps, tuple(AT_OTHER_RATE.values())) for steps in (50, 200)),
)


class Summary(NamedTuple):
    """Of one network on one task.

    ran: how many seeds were run. solved: how many of them solved it. median: after how many batches
    those did; None if none did.
    """

    ran: int
    solved: int
    median: int | None

    def __str__(self) -> str:
        if not self.ran:
            return "not run yet"
        after = f", {self.median} batches" if self.solved else ""
        return f"{self.solved} of {self.ran}{after}"


class Grid:
    """Outcomes by run, kept in a file.

    Args:
        path: the JSON file; it need not be there yet. A run of a network whose recipe is no longer the
            one it was run with counts as not run.

    Raises:
        ValueError: the file is no grid.
    """

    def __init__(self, path: Path = GRID) -> None:
        self.path = path
        self.outcomes: dict[str, Outcome] = {}
        if not path.is_file():
            return
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            recipes = kept["recipes"]
            outcomes = {key: Outcome(**fields) for key, fields in kept["runs"].items()}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"grid: the file must hold `recipes` and `runs`. Received: {path}, {error}. Move it "
                "away to begin anew."
            ) from None
        for key, outcome in outcomes.items():
            if recipes.get(recipe_key(key)) == recipe_as_text(key):
                self.outcomes[key] = outcome

    def keep(self, run: Run, outcome: Outcome) -> None:
        """Add one outcome, and write the file: the old one stays whole until the new one is."""
        rounded = None if outcome.loss is None else float(f"{outcome.loss:.4g}")
        kept = outcome._replace(loss=rounded, seconds=round(outcome.seconds, 1), losses=())
        self.outcomes[run.key] = kept
        lines = [
            f"  {json.dumps(key, ensure_ascii=False)}: {_as_json(self.outcomes[key])}"
            for key in sorted(self.outcomes)
        ]
        recipes = {recipe_key(key): recipe_as_text(key) for key in sorted(self.outcomes)}
        of_recipes = json.dumps(recipes, indent=1, ensure_ascii=False)
        text = f'{{"recipes": {of_recipes},\n "runs": {{\n' + ",\n".join(lines) + "\n}}\n"
        new = self.path.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        os.replace(new, self.path)

    def summary(self, task: str, steps: int, network: str) -> Summary:
        """Over the seeds that were run."""
        keys = (Run(task, steps, network, seed).key for seed in SEEDS)
        found = [self.outcomes[key] for key in keys if key in self.outcomes]
        times = [outcome.solved_at for outcome in found if outcome.solved_at is not None]
        return Summary(len(found), len(times), round(statistics.median(times)) if times else None)

    def columns(self, task: str) -> list[tuple[int, float | None]]:
        """Those lengths and rates at which networks of CELLS were run.

        A rate is LOW or HIGH at lengths with runs at another rate than a network's own; else None, each
        at its own.
        """
        found: list[tuple[int, float | None]] = []
        for steps in STEPS:
            others = any(self.summary(task, steps, name).ran for name in AT_OTHER_RATE.values())
            found += [
                (steps, rate)
                for rate in ((LOW, HIGH) if others else (None,))
                if any(self.summary(task, steps, at_rate(name, rate)).ran for name in CELLS)
            ]
        return found

    def not_solved(self, task: str, steps: int, network: str) -> list[float]:
        """The last losses of the seeds that did not solve it and stayed numbers, sorted."""
        keys = (Run(task, steps, network, seed).key for seed in SEEDS)
        found = [self.outcomes[key] for key in keys if key in self.outcomes]
        return sorted(o.loss for o in found if o.solved_at is None and o.loss is not None)


def recipe_key(key: str) -> str:
    """Task and network of a run: "adding/50/LSTM/0" gives "adding/LSTM"."""
    task, _, name, _ = key.split("/")
    return f"{task}/{name}"


def recipe_as_text(key: str) -> str:
    """All that an outcome depends on but length and seed; empty for a network that there is no more."""
    task, _, name, _ = key.split("/")
    return f"batches of {BATCH}, {recipe_for(task, name)}" if name in RECIPES else ""


def all_runs() -> Iterator[Run]:
    """Every run once, in the order of ORDER."""
    runs = (
        Run(task, steps, name, seed)
        for line in ORDER
        for seed in SEEDS
        for task, steps, networks in line
        for name in networks
    )
    yield from dict.fromkeys(runs)


def fill(grid: Grid, runs: list[Run], minutes: float) -> int:
    """Do the runs that are not done, until they or the minutes are at an end; how many were done."""
    begun, done = time.monotonic(), 0
    open_runs = [run for run in runs if run.key not in grid.outcomes]
    with tqdm(open_runs, unit="run") as bar:
        for run in bar:
            if time.monotonic() - begun > 60 * minutes:
                break
            bar.set_description(run.key)
            grid.keep(run, learn(run)[0])
            keras.backend.clear_session()
            done += 1
    return done


def main(argv: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tutorials.vanishing_gradients.grid",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--minutes",
        type=number(above=0),
        default=math.inf,
        metavar="N",
        help="begin no run after N minutes",
    )
    parser.add_argument(
        "--only",
        action="append",
        metavar="TEXT",
        help="runs whose name holds TEXT; may be repeated",
    )
    parser.add_argument("--list", action="store_true", help="name the runs, and train nothing")
    parser.add_argument("--grid", type=Path, default=GRID, metavar="FILE", help="another grid.json")
    given = parser.parse_args(argv)
    runs = [r for r in all_runs() if not given.only or any(text in r.key for text in given.only)]
    if not runs:
        parser.error(f"--only must be part of a name that --list shows. Received: {given.only}.")
    try:
        grid = Grid(given.grid)
    except ValueError as error:
        parser.error(str(error))
    if given.list:
        for run in runs:
            print(run.key, _told(grid.outcomes.get(run.key)))
        return 0
    try:
        done = fill(grid, runs, given.minutes)
    except KeyboardInterrupt:
        print("\ngrid: ended; the finished runs are kept", file=sys.stderr)
        return 130
    left = sum(run.key not in grid.outcomes for run in runs)
    print(f"grid: {done} done now, {left} of {len(runs)} left, kept in {grid.path}")
    return 0


def _told(outcome: Outcome | None) -> str:
    if outcome is None:
        return "-"
    if outcome.solved_at is None:
        return f"not solved in {outcome.batches} batches, loss {outcome.loss}"
    return f"solved after {outcome.solved_at} batches"


def _as_json(outcome: Outcome) -> str:
    fields: dict[str, Any] = outcome._asdict()
    del fields["losses"]
    return json.dumps(fields)


if __name__ == "__main__":
    sys.exit(main())
