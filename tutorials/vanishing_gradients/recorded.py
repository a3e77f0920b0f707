"""What the page tells of the recorded runs: their tables, their figures, and its claims about them."""

from collections.abc import Iterator

from tutorials.vanishing_gradients.grid import COMPARED, REMEDIES_AT, SEEDS, Grid, all_runs
from tutorials.vanishing_gradients.networks import (
    AT_OTHER_RATE,
    CELLS,
    GENTLE,
    HIGH,
    LOW,
    REMEDIES,
    at_rate,
    recipe_for,
)
from tutorials.vanishing_gradients.runs import LIMITS, Run, task_of

FAR = (200, 500)  # steps over which nobody copies
TOLD = (  # whose seeds that failed the page speaks of
    *(("adding", 200, at_rate("tanh RNN", rate)) for rate in (LOW, HIGH)),
    *(("adding", 200, AT_OTHER_RATE[name]) for name in ("LSTM, chrono", "GRU")),
    ("adding", 200, "ReLU RNN"),
    ("adding", 50, "tanh RNN"),
    ("copying", 50, "LSTM, chrono"),
    *(("copying", steps, name) for steps in FAR for name in ("LSTM, chrono", "GRU")),
)


def lines(grid: Grid) -> Iterator[str]:
    """Every network at each length and rate that was run, and how far from it some seeds remained."""
    planned = [run for run in all_runs() if run.network not in REMEDIES]
    there = sum(run.key in grid.outcomes for run in planned)
    yield f"{there} of {len(planned)} runs are there"
    for task in LIMITS:
        yield f"{task}, solved in {LIMITS[task]} batches by so many seeds, after (median)"
        for steps, rate in grid.columns(task):
            for name in CELLS:
                found = grid.summary(task, steps, at_rate(name, rate))
                learned_at = recipe_for(task, at_rate(name, rate)).learning_rate
                if found.ran:
                    yield f"  T = {steps:3}, rate {learned_at:<5g}  {name:21} {found}"
    yield f"copying over 200, {GENTLE}: {grid.summary('copying', 200, GENTLE)}"
    for told in TOLD:
        losses = ", ".join(f"{loss:.3f}" for loss in grid.not_solved(*told))
        yield "{}, T = {}, {}, not solved, last losses: ".format(*told) + losses


def figures(grid: Grid) -> dict[str, str]:
    """For the report."""
    copied, ran = copied_far(grid)
    return (
        {
            f"adding over 200, {name}, rates {LOW:g} and {HIGH:g}": "; ".join(
                str(grid.summary("adding", 200, at_rate(name, rate))) for rate in (LOW, HIGH)
            )
            for name in COMPARED
        }
        | {
            f"adding over 500, {name}": str(grid.summary("adding", 500, name))
            for name in ("tanh RNN", "LSTM", "LSTM, chrono", "GRU")
        }
        | {
            f"copying over 50, {name}": str(grid.summary("copying", 50, name))
            for name in ("tanh RNN", "orthogonal linear RNN", "LSTM, chrono")
        }
        | {
            f"copying over 200, {name}": str(grid.summary("copying", 200, name))
            for name in ("orthogonal linear RNN", GENTLE)
        }
        | {"copying over {} and {}, the seven networks".format(*FAR): f"{copied} of {ran}"}
    )


def copied_far(grid: Grid) -> tuple[int, int]:
    """How many runs of all networks copied over FAR steps, and how many there are."""
    found = [grid.summary("copying", steps, name) for steps in FAR for name in CELLS]
    return sum(one.solved for one in found), sum(one.ran for one in found)


def check(grid: Grid) -> None:
    """Raise AssertionError for the first claim of the page that the recorded runs do not bear."""
    for told in (
        *(("adding", 200, "GRU"), ("adding", 200, "LSTM, chrono"), ("adding", 50, "ReLU RNN")),
        *(("copying", steps, "orthogonal linear RNN") for steps in (10, 50)),
        *(("adding", 500, name) for name in ("GRU", "LSTM, chrono")),
        *(("adding", 10, name) for name in ("tanh RNN", "ReLU RNN", "LSTM", "LSTM, chrono", "GRU")),
        *(("copying", 10, "LSTM, chrono"), ("copying", 200, GENTLE)),
    ):
        assert grid.summary(*told).solved == grid.summary(*told).ran == len(SEEDS), told
    for told in (
        *(("adding", 200, at_rate(name, LOW)) for name in CELLS),
        *(("adding", 200, at_rate(name, HIGH)) for name in ("tanh RNN", "ReLU RNN", "IRNN")),
        *(("copying", 50, "tanh RNN"), ("adding", 50, "tanh RNN"), ("adding", 50, "IRNN")),
        *(("adding", 50, AT_OTHER_RATE["tanh RNN"]), ("adding", 10, "orthogonal linear RNN")),
        *(("adding", 500, name) for name in CELLS if name not in ("GRU", "LSTM, chrono")),
        *(("copying", 10, name) for name in ("tanh RNN", "ReLU RNN", "IRNN", "LSTM")),
    ):
        assert grid.summary(*told).ran, told
        assert grid.summary(*told).solved == 0, told
    assert grid.summary("adding", 200, "LSTM")[:2] == (5, 1)
    assert grid.summary("adding", 50, AT_OTHER_RATE["IRNN"])[:2] == (5, 1)
    relu = grid.summary("adding", 50, AT_OTHER_RATE["ReLU RNN"])
    assert relu.solved == relu.ran > 0
    assert grid.summary("copying", 50, "LSTM, chrono")[:2] == (5, 3)
    assert (
        grid.summary("copying", 10, "GRU")[:2] == grid.summary("adding", 10, "IRNN")[:2] == (5, 3)
    )
    for name in ("GRU", "LSTM, chrono"):  # far is hardly more work than near
        near, far = (grid.summary("adding", steps, name).median for steps in (200, 500))
        assert near is not None
        assert far is not None
        assert far < 1.5 * near, name
    assert copied_far(grid)[0] == 0
    far_baselines = {steps: task_of(Run("copying", steps, "GRU", 0)).baseline for steps in FAR}
    for steps, baseline in far_baselines.items():
        shares = [loss / baseline for loss in grid.not_solved("copying", steps, "GRU")]
        assert shares
        assert min(shares) > 0.4
        assert max(shares) < 0.7, "on the way"
    chrono = grid.not_solved("copying", 200, "LSTM, chrono")
    assert sum(loss < 0.3 * far_baselines[200] for loss in chrono) == 1
    linear = grid.not_solved("copying", 200, "orthogonal linear RNN")
    assert 0 < len(linear) < len(SEEDS), "and some leave the numbers"
    assert min(linear) > 0.99 * far_baselines[200], "the others learn nothing"
    baseline = task_of(Run("adding", 200, "GRU", 0)).baseline
    for rate in (LOW, HIGH):
        tanh = grid.not_solved("adding", 200, at_rate("tanh RNN", rate))
        assert len(tanh) == len(SEEDS)
        assert min(tanh) > 0.95 * baseline, "tanh has learnt nothing"
    for name, many in (("LSTM, chrono", 5), ("ReLU RNN", 4), ("GRU", 1)):
        low = grid.not_solved("adding", 200, at_rate(name, LOW))
        assert sum(loss < 0.5 * baseline for loss in low) == many, f"{name} is on its way"
    assert min(grid.not_solved("adding", 50, "tanh RNN")) < 0.5 * baseline, "and so is tanh over 50"
    by_remedy = {name: grid.summary(*REMEDIES_AT, name) for name in REMEDIES}
    assert {found.ran for found in by_remedy.values()} == {len(SEEDS)}
    some = {name: found.solved for name, found in by_remedy.items() if found.solved}
    assert some == {"gating: GRU": 5, "gating: LSTM": 5, "activation: ReLU": 4}
