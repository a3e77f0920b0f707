"""The page on gates: its clock, its judges, its networks that learn together."""

import keras
import numpy as np
import pytest

import custom_layers
from custom_layers.data import TimingTask, measured_intervals, timed_spikes
from tutorials.gates import networks
from tutorials.gates.timer import first_mistake, timer, widest_last_gap


@pytest.mark.parametrize("interval", [2, 7, 30])
def test_the_clock_counts_in_whole_steps(interval):
    """Equations (3) to (5) of the clock with gates that are open or shut."""
    task = timed_spikes(interval, 5 * interval + 1)
    count = 1 + np.arange(task.y.size) % interval
    expected = np.where(count == interval, np.tanh(interval), 0)
    np.testing.assert_allclose(timer(interval)(task.x)[0, :, 0], expected, atol=1e-6)
    np.testing.assert_array_equal(expected > 0.5, task.y.ravel() == 1)


@pytest.mark.parametrize(("start", "share"), [(0.0, 0.5), (-1.0, 1.3)])
def test_the_last_of_many_equal_steps_is_worth_a_share_of_one_in_d(start, share):
    for interval in (10, 100):
        sizes = np.random.default_rng(0).uniform(0, 3, 5000) / interval
        gaps = np.diff(np.tanh(start + np.outer(np.arange(interval + 1), sizes)), axis=0)[-1]
        widest = widest_last_gap(interval, start)
        assert gaps.max() <= widest < share / interval
        assert gaps.max() == pytest.approx(widest, rel=1e-3)
    others = [widest_last_gap(50, earlier) for earlier in np.linspace(-1, 1, 9)]
    assert max(others) == others[0], "no later start is worth more than -1"


@pytest.mark.parametrize(
    ("spikes", "steps"),
    [([3, 7, 11], 12), ([3, 7], 11), ([3, 6, 11], 6), ([0, 3, 7, 11], 0), ([], 3)],
)
def test_a_mistake_is_a_spike_that_is_missing_or_uncalled_for(spikes, steps):
    found = np.zeros((1, 12, 1))
    found[0, spikes] = 1
    assert first_mistake(found, timed_spikes(4, 12)) == steps


@pytest.mark.parametrize(
    ("rings", "share"),
    [("00011001", 1), ("00111001", 0.5), ("00001001", 0.5), ("00010111", 0.5), ("11111111", 0)],
)
def test_on_time_is_an_alarm_that_begins_at_its_step(rings, share):
    due = np.array([[0, 0, 0, 1, 1, 0, 0, 1]], "float32")[..., None]
    task = TimingTask(np.zeros_like(due), due, np.ones((1, 8), "float32"))
    logits = np.array([[2.0 * int(ring) - 1 for ring in rings]])[..., None]
    assert networks.exactly_rung(logits, task) == share


def test_alarms_are_streams_of_four_delays():
    task = networks.alarms(6, count=5, longer=2, seed=3)
    assert task.x.shape == (5, 48, 1)
    for x in task.x[..., 0]:
        distances = np.diff(np.flatnonzero(x))
        assert set(distances) <= set(range(2, 13))


def test_the_last_step_before_an_alarm():
    keras.utils.set_random_seed(0)
    model = networks.network(custom_layers, "GRU", 2)
    x = np.random.default_rng(0).standard_normal((2, 6, 1)).astype("float32")
    due = np.array([[0, 0, 0, 1, 1, 0], [0, 0, 1, 0, 0, 1]], "float32")[..., None]
    h = keras.Model(model.input, model.get_layer("cell").output)(x).numpy()
    moved = [h[0, 2] - h[0, 1], h[1, 1] - h[1, 0], h[1, 4] - h[1, 3]]
    found = networks.last_steps(model, TimingTask(x, due, np.ones((2, 6))))
    np.testing.assert_allclose(found, np.abs(moved).mean(axis=0), rtol=1e-4)


def test_measuring_is_judged_in_steps():
    train, test = (measured_intervals(8, 12, 2, 5, seed=seed) for seed in (0, 1))
    model = networks.network(keras.layers, "GRU", 2)
    losses, off = networks.learn_to_measure(model, train, test, 5, epochs=2, xla=False)
    assert losses.shape == (2,)
    answers = 5 * model.predict(test.x, verbose=0)
    asked = test.asked > 0
    assert off == pytest.approx(np.abs(answers[asked] - test.y[asked]).mean(), rel=1e-4)


def learned(kind, seeds):
    return networks.learn_to_ring(kind, 2, 3, seeds, epochs=2)


def test_networks_that_learn_together_share_nothing(monkeypatch):
    monkeypatch.setattr(networks, "UPDATES_IN_AN_EPOCH", 4)
    together, alone = learned("PeepholeLSTM", [5, 6]), learned("PeepholeLSTM", [6])
    weights = [ringers.members[-1].get_weights() for ringers in (together, alone)]
    for own, other in zip(*weights, strict=True):
        np.testing.assert_allclose(own, other, atol=1e-5)
    np.testing.assert_allclose(together.exact[:, 1:], alone.exact)
    np.testing.assert_allclose(together.right[1:], alone.right)
    assert together.exact.shape == (2, 2)
    first, second = (member.get_weights()[0] for member in together.members)
    assert np.abs(first - second).max() > 1e-3


def test_lstm_and_peephole_lstm_begin_as_the_same_function():
    starts = {}
    for kind in ("LSTM", "PeepholeLSTM"):
        members = networks.untrained(kind, 3, seeds=[1, 2], forget_bias=2.0)
        starts[kind] = [member(np.ones((1, 5, 1))).numpy() for member in members]
        bias = members[0].get_layer("cell").cell.bias.numpy()
        np.testing.assert_array_equal(bias, np.repeat([0, 2, 0, 0], 3))
    np.testing.assert_array_equal(starts["LSTM"], starts["PeepholeLSTM"])
    assert np.any(starts["LSTM"][0] != starts["LSTM"][1])


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_both_columns_are_one_function(kind):
    builtin, own = (networks.network(m, kind, 3) for m in (keras.layers, custom_layers))
    own.set_weights(builtin.get_weights())
    x = np.random.default_rng(0).standard_normal((2, 6, 1))
    np.testing.assert_allclose(own(x), builtin(x), atol=1e-6)
