"""The page on vanishing gradients: its initializers, its networks, its runs, and the recorded grid."""

import json
import math

import keras
import numpy as np
import pytest

from custom_layers.data import AddingProblem, CopyingProblem
from tutorials.vanishing_gradients import arriving, initializers, pictures, recorded, runs
from tutorials.vanishing_gradients import grid as grid_module
from tutorials.vanishing_gradients.grid import GRID, Grid, Summary, all_runs, main
from tutorials.vanishing_gradients.networks import (
    CELLS,
    GENTLE,
    HIGH,
    LOW,
    PLAIN,
    RECIPES,
    REMEDIES,
    Recipe,
    at_rate,
    network,
    normalized_tanh,
    recipe_for,
    recurrent_layers,
)
from tutorials.vanishing_gradients.runs import Outcome, Run

# -- initializers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "variance"),
    [("Glorot", 1 / 200), ("He", 2 / 200), ("orthogonal", 1 / 200), ("uniform 1/√n", 1 / 600)],
)
def test_entries_have_the_variance_of_their_equation(name, variance):
    drawn = np.asarray(initializers.initializer(name, 200, seed=1)((200, 200)))
    assert drawn.var() == pytest.approx(variance, rel=0.03)
    assert abs(drawn.mean()) < 3 * math.sqrt(variance) / 200
    if name == "uniform 1/√n":
        assert np.abs(drawn).max() <= 200**-0.5
    if name == "orthogonal":
        np.testing.assert_allclose(drawn @ drawn.T, np.eye(200), atol=1e-4)


def test_the_identity_is_one():
    np.testing.assert_array_equal(initializers.initializer("identity", 4)((4, 4)), np.eye(4))


def test_chrono_biases_forget_as_slowly_as_asked():
    bias = np.asarray(initializers.ChronoBias(52, seed=0)((4 * 5000,), "float32"))
    b_i, b_f, b_c, b_o = np.split(bias, 4)
    np.testing.assert_array_equal(b_i, -b_f)
    assert not np.any(b_c)
    assert not np.any(b_o)
    u = np.exp(b_f)
    assert 0.99 < u.min() < 1.2
    assert 50.8 < u.max() < 51.01
    assert u.mean() == pytest.approx(26, rel=0.02)
    keras.utils.set_random_seed(0)
    memory = recurrent_layers(RECIPES["LSTM, chrono"], 52, return_sequences=False)[-1]
    memory.build((None, 52, 2))
    assert np.asarray(memory.cell.bias)[32:64].min() >= 0


SLOPES = {"tanh": lambda y: 1 - y**2, "relu": lambda y: (y > 0).astype(float)}
FORWARD = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0)}


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("way", [initializers.over_depth, initializers.over_time])
def test_a_passage_is_that_of_a_loop_by_hand(way, activation):
    units, length, seed = 6, 5, 2
    found = way("Glorot", activation, units, length, seed)
    drawn = [
        np.asarray(
            initializers.initializer("Glorot", units, 1000 * seed + n)((units, units), "float64")
        )
        for n in range(length)
    ]
    matrices = drawn if way is initializers.over_depth else [drawn[0]] * length
    h, cotangent = np.random.default_rng(seed).standard_normal((2, 16, units))
    states = []
    for matrix in matrices:
        h = FORWARD[activation](h @ matrix)
        states.append(h)
    gradients = [cotangent]
    for state, matrix in zip(states[:0:-1], matrices[:0:-1], strict=True):
        gradients.append((gradients[-1] * SLOPES[activation](state)) @ matrix.T)
    norms = np.array([np.linalg.norm(g) for g in gradients[::-1]])
    np.testing.assert_allclose(found.gradients, norms / norms[-1], rtol=1e-9)
    roots = [np.sqrt(np.mean(state**2)) for state in states]
    np.testing.assert_allclose(found.activations, roots, rtol=1e-9)


# -- networks ------------------------------------------------------------------------------------


def test_a_remedy_changes_one_thing():
    for name, recipe in REMEDIES.items():
        changed = {
            field
            for field, own, plain in zip(Recipe._fields, recipe, PLAIN, strict=True)
            if own != plain
        }
        assert len(changed - {"learning_rate"}) == (name != "none"), name
        assert "learning_rate" not in changed or "SGD" in name
    assert len(set(REMEDIES.values())) == len(REMEDIES)


def test_each_network_is_there_at_both_rates():
    assert (LOW, HIGH) == (0.001, 0.005)
    for name, own in CELLS.items():
        assert at_rate(name, own.learning_rate) == name
        both = [RECIPES[at_rate(name, rate)] for rate in (LOW, HIGH)]
        assert [recipe.learning_rate for recipe in both] == [LOW, HIGH]
        assert both[0]._replace(learning_rate=HIGH) == both[1]
    assert at_rate("GRU", LOW) == "GRU at 0.001"
    assert at_rate("GRU", None) == "GRU"
    own = recipe_for("copying", "orthogonal linear RNN")
    gentle = recipe_for("copying", GENTLE)
    assert gentle == own._replace(learning_rate=own.learning_rate / 10)


def test_normalized_tanh():
    a = np.random.default_rng(0).standard_normal((3, 7)) * 5 + 2
    expected = np.tanh((a - a.mean(1, keepdims=True)) / np.sqrt(a.var(1, keepdims=True) + 1e-5))
    np.testing.assert_allclose(normalized_tanh(a), expected, rtol=1e-6)


def outputs_by_hand(recipe, x, weights):
    """Equations (1) to (4) of `networks.py`, for the cells without gates."""
    weights = list(weights)
    if recipe.cell == "residual in a step":
        x = x @ weights.pop(0)
    W, U, b = weights
    h, outputs = np.zeros((len(x), len(U))), []
    for t in range(x.shape[1]):
        a = x[:, t] @ W + h @ U + b
        if recipe.activation == "normalized tanh":
            a = (a - a.mean(1, keepdims=True)) / np.sqrt(a.var(1, keepdims=True) + 1e-5)
        new = np.maximum(a, 0) if recipe.activation == "relu" else np.tanh(a)
        h = h + new / 10 if recipe.cell == "residual over time" else new
        outputs.append(x[:, t] + h if recipe.cell == "residual in a step" else h)
    return np.stack(outputs, axis=1)


@pytest.mark.parametrize(
    "name",
    [
        "none",
        "activation: ReLU",
        "normalisation: layer norm before the tanh",
        "residual connection within a step",
        "residual connection over time",
    ],
)
def test_networks_follow_their_equations(name):
    keras.utils.set_random_seed(1)
    recipe = RECIPES[name]._replace(units=5)
    model = keras.Sequential(
        [keras.Input((6, 3)), *recurrent_layers(recipe, 6, return_sequences=True)]
    )
    x = np.random.default_rng(0).standard_normal((4, 6, 3)).astype("float32")
    weights = model.get_weights()
    np.testing.assert_allclose(model(x), outputs_by_hand(recipe, x, weights), rtol=1e-4, atol=1e-5)
    recurrent = weights[-2]
    assert np.abs(recurrent).max() <= 5**-0.5


def test_recipes_say_what_is_built():
    adding = network(recipe_for("adding", "IRNN"), AddingProblem(4))
    assert adding.output_shape == (None, 1)
    assert adding.optimizer.global_clipnorm == 1
    np.testing.assert_array_equal(adding.get_layer("memory").cell.recurrent_kernel, np.eye(32))
    copying = network(recipe_for("copying", "optimiser: SGD, momentum 0.9"), CopyingProblem(3))
    assert copying.get_layer("memory").cell.units == 64
    assert float(copying.optimizer.learning_rate) == pytest.approx(0.02)
    assert copying.output_shape == (None, 23, 9)
    assert (copying.optimizer.momentum, copying.optimizer.global_clipnorm) == (0.9, None)
    for name, recipe in RECIPES.items():
        memory = recurrent_layers(recipe, 6, return_sequences=False)[-1]
        assert (memory.gradient == "bptt") is recipe.has_backward_step, name
    builtin = network(RECIPES["LSTM"], AddingProblem(4), layers=keras.layers)
    assert type(builtin.get_layer("memory")) is keras.layers.LSTM


# -- runs ----------------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(runs, "LOOK", 3)
    monkeypatch.setattr(runs, "BATCH", 4)

    def without_xla(recipe, task):
        model = network(recipe, task)
        model.jit_compile = False  # a few batches are not worth its compilation
        return model

    monkeypatch.setattr(runs, "network", without_xla)


def test_a_run_depends_on_its_seed_alone_and_ends_at_its_limit(short):
    losses = [runs.learn(Run("adding", 3, "none", seed), limit=7)[0].losses for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
    assert len(losses[0]) == 3  # whole looks


def test_a_run_ends_when_it_is_solved(short, monkeypatch):
    monkeypatch.setattr(runs, "SHARE", 1e9)
    outcome, model = runs.learn(Run("copying", 1, "GRU", 0))
    assert (outcome.solved_at, outcome.batches) == (3, 3)
    assert outcome.loss == outcome.losses[-1]
    assert model.input_shape == (None, 21, 10)


def test_a_run_that_leaves_the_numbers_ends_and_says_so(short, monkeypatch):
    broken = RECIPES["none"]._replace(activation="linear", optimizer="SGD", learning_rate=1e30)
    monkeypatch.setitem(RECIPES, "none", broken)
    outcome, _ = runs.learn(Run("adding", 8, "none", 0), limit=30)
    assert outcome.loss is None
    assert outcome.solved_at is None
    assert outcome.batches < 30


# -- grid ----------------------------------------------------------------------------------------

SOLVED, FAILED = Outcome(300, 300, 0.01, 1.0), Outcome(None, 4000, None, 2.0)


def test_every_run_is_there_once():
    found = list(all_runs())
    assert len(set(found)) == len(found) == 5 * (2 * 4 * len(CELLS) + 2 * 7 + len(REMEDIES) + 1)
    assert {run.network for run in found} == set(RECIPES)
    assert not any("/" in run.network for run in found)


def test_a_grid_is_kept_and_read(tmp_path):
    path = tmp_path / "grid.json"
    for seed, outcome in enumerate((SOLVED, FAILED, SOLVED._replace(solved_at=500))):
        grid = Grid(path)  # anew each time, as after an interruption
        assert len(grid.outcomes) == seed
        grid.keep(Run("adding", 50, "LSTM", seed), outcome)
    grid = Grid(path)
    assert grid.outcomes["adding/50/LSTM/1"] == FAILED
    assert grid.summary("adding", 50, "LSTM") == (3, 2, 400)
    assert str(grid.summary("adding", 50, "LSTM")) == "2 of 3, 400 batches"
    assert str(grid.summary("adding", 200, "LSTM")) == "not run yet"
    assert str(Summary(5, 0, None)) == "0 of 5"
    assert [p.name for p in tmp_path.iterdir()] == ["grid.json"]


def test_a_run_of_another_recipe_counts_as_not_run(tmp_path, monkeypatch):
    path = tmp_path / "grid.json"
    grid = Grid(path)
    grid.keep(Run("adding", 50, "LSTM", 0), SOLVED)
    grid.keep(Run("adding", 50, "GRU", 0), SOLVED)
    monkeypatch.setitem(RECIPES, "LSTM", RECIPES["LSTM"]._replace(units=3))
    assert list(Grid(path).outcomes) == ["adding/50/GRU/0"]


def test_a_file_that_is_no_grid_is_named_in_one_line(tmp_path, capsys):
    path = tmp_path / "grid.json"
    path.write_text('{"runs": {}}')
    with pytest.raises(
        ValueError, match=r"grid: the file must hold .*Received: .*grid\.json"
    ) as caught:
        Grid(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(SystemExit):
        main(["--grid", str(path)])
    assert "Move it away" in capsys.readouterr().err


@pytest.fixture(autouse=True)
def nothing_to_clear(monkeypatch):
    monkeypatch.setattr(grid_module.keras.backend, "clear_session", lambda: None)


def learner(done, interrupt_at=None):
    def learn(run):
        if len(done) == interrupt_at:
            raise KeyboardInterrupt
        done.append(run.key)
        return SOLVED, None

    return learn


def test_the_command_goes_on_where_it_was_ended(tmp_path, monkeypatch, capsys):
    path, done = tmp_path / "grid.json", []
    command = ["--grid", str(path), "--only", "adding/10/IRNN", "--only", "adding/10/GRU"]
    monkeypatch.setattr(grid_module, "learn", learner(done, interrupt_at=4))
    assert main(command) == 130
    assert sorted(Grid(path).outcomes) == sorted(done)
    assert len(done) == 4
    monkeypatch.setattr(grid_module, "learn", learner(done))
    assert main(command) == 0
    assert len(done) == len(set(done)) == 10
    assert "6 done now, 0 of 10 left" in capsys.readouterr().out
    assert main([*command, "--list"]) == 0
    assert "adding/10/IRNN/3 solved after 300 batches" in capsys.readouterr().out


def test_the_minutes_are_kept(tmp_path, monkeypatch):
    clock, done = iter(range(0, 10_000, 50)), []
    monkeypatch.setattr(grid_module.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(grid_module, "learn", learner(done))
    monkeypatch.setattr(grid_module, "tqdm", lambda runs, **_: Bar(runs))
    assert main(["--grid", str(tmp_path / "grid.json"), "--minutes", "3"]) == 0
    assert done == [run.key for run in all_runs()][:3]  # at 50, 100 and 150 s


class Bar(list):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def set_description(self, text):
        pass


@pytest.mark.parametrize(
    ("option", "line"),
    [(["--only", "addding"], "must be part of a name"), (["--minutes", "0"], "more than 0")],
)
def test_wrong_options_are_refused(option, line, capsys):
    with pytest.raises(SystemExit):
        main(option)
    assert line in capsys.readouterr().err


def test_the_recorded_grid_is_of_runs_that_there_are_and_agrees_with_itself():
    known = {run.key: run for run in all_runs()}
    recorded = json.loads(GRID.read_text(encoding="utf-8"))
    assert set(recorded["runs"]) <= set(known)
    grid = Grid()
    assert len(grid.outcomes) == len(recorded["runs"]), "recipes have changed: run the grid anew"
    for key, outcome in grid.outcomes.items():
        run = known[key]
        threshold = runs.SHARE * runs.task_of(run).baseline
        assert outcome.batches % runs.LOOK == 0
        assert outcome.batches <= runs.LIMITS[run.task]
        if outcome.solved_at is not None:
            assert outcome.solved_at == outcome.batches
            assert outcome.loss is not None
            assert outcome.loss < threshold
        else:
            assert outcome.loss is None or outcome.loss >= threshold * 0.999


def test_pictures_and_lines_are_of_what_was_run(tmp_path):
    grid = Grid(tmp_path / "none.json")
    grid.outcomes |= {Run("adding", 10, "GRU", 0).key: SOLVED, "adding/50/none/0": FAILED}
    grid.outcomes["adding/50/GRU at 0.001/3"] = FAILED._replace(loss=0.1)
    assert grid.columns("adding") == [(10, None), (50, LOW)]
    assert grid.columns("copying") == []
    assert grid.not_solved("adding", 50, "GRU at 0.001") == [0.1]
    assert grid.not_solved("adding", 50, "none") == []
    pictures.save_grid(grid, list(CELLS), tmp_path / "g.png")
    pictures.save_remedies(grid, "adding", 50, list(REMEDIES), tmp_path / "r.png")
    assert all((tmp_path / name).stat().st_size > 5000 for name in ("g.png", "r.png"))
    lines = list(recorded.lines(grid))
    assert lines[0] == "2 of 355 runs are there"
    assert lines[-1 - len(recorded.TOLD)] == f"copying over 200, {GENTLE}: not run yet"
    assert "  T =  10, rate 0.005  GRU                   1 of 1, 300 batches" in lines
    assert "  T =  50, rate 0.001  GRU                   0 of 1" in lines
    with pytest.raises(AssertionError):
        recorded.check(grid)


def test_a_gradient_that_is_left_is_that_of_its_seed():
    first, second = arriving.share_left("none", 6, (0, 1))
    norms = arriving.gradient_over_time(arriving.fresh("none", 6, seed=1), 6)
    assert second == norms[0] / norms[-1] != first


def test_twins_have_one_loss():
    own, other = runs.losses_of_twins(4, epochs=2).values()
    np.testing.assert_allclose(own, other, atol=1e-6)
    assert len(own) == 2
