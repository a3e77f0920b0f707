"""The adding and the copying problem: as their equations say, endless or sized, by the seed alone."""

import itertools
import math

import numpy as np
import pytest

from custom_layers.data import AddingProblem, CopyingProblem, DataError

TASKS = [AddingProblem(9), AddingProblem(2), CopyingProblem(5), CopyingProblem(1, 3, 4)]
every_task = pytest.mark.parametrize("task", TASKS, ids=str)


@pytest.mark.parametrize("steps", [2, 3, 9, 10])
def test_adding_asks_for_the_sum_of_two_marked_numbers_one_in_each_half(steps):
    x, y = AddingProblem(steps).draw(4000, seed=1)
    assert x.shape == (4000, steps, 2)
    assert y.shape == (4000, 1)
    assert x.dtype == y.dtype == "float32"
    u, m = x[..., 0], x[..., 1]
    assert set(np.unique(m)) <= {0, 1}
    half = steps // 2
    assert np.all(m[:, :half].sum(axis=1) == 1)
    assert np.all(m[:, half:].sum(axis=1) == 1)
    for row in range(50):
        p, q = np.flatnonzero(m[row])
        assert y[row, 0] == pytest.approx(u[row, p] + u[row, q], rel=1e-6)
    share = m.mean(axis=0)  # each place of a half is as likely as any other
    np.testing.assert_allclose(share[:half], 1 / half, atol=0.05)
    np.testing.assert_allclose(share[half:], 1 / (steps - half), atol=0.05)
    assert 0 <= u.min() < 0.01 < 0.99 < u.max() < 1
    assert u.mean() == pytest.approx(0.5, abs=0.01)


def test_adding_baseline_is_the_error_of_always_saying_one():
    _, y = AddingProblem(20).draw(50_000, seed=2)
    assert AddingProblem(20).baseline == pytest.approx(2 / 12)
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, abs=0.003)


@pytest.mark.parametrize("task", [CopyingProblem(5), CopyingProblem(1, 3, 4)], ids=str)
def test_copying_asks_for_the_symbols_after_the_bell(task):
    x, y = task.draw(300, seed=1)
    n, delay, blank, bell = task.length, task.delay, task.symbols, task.symbols + 1
    assert x.shape == (300, task.steps, task.symbols + 2)
    assert y.shape == (300, task.steps) == (300, delay + 2 * n)
    assert (x.dtype, y.dtype) == ("float32", "int32")
    np.testing.assert_array_equal(x.sum(axis=-1), 1)
    assert set(np.unique(x)) == {0, 1}
    for read, said in zip(x.argmax(axis=-1), y, strict=True):
        symbols = list(read[:n])
        assert max(symbols) < task.symbols
        assert list(read) == symbols + [blank] * (delay - 1) + [bell] + [blank] * n
        assert list(said) == [blank] * (delay + n) + symbols


def test_copied_symbols_are_equally_likely_and_independent():
    _, y = CopyingProblem(2).draw(20_000, seed=3)
    symbols = y[:, -10:]
    counts = np.stack([np.bincount(column, minlength=8) for column in symbols.T]) / len(y)
    np.testing.assert_allclose(counts, 1 / 8, atol=0.012)
    pairs = np.bincount(8 * symbols[:, 0] + symbols[:, 9], minlength=64) / len(y)
    np.testing.assert_allclose(pairs, 1 / 64, atol=0.005)


def test_copying_baseline_is_the_cross_entropy_of_remembering_nothing():
    """Arjovsky et al. 2016, section 5.1: 10 log(8) / (T + 20)."""
    assert CopyingProblem(100).baseline == pytest.approx(10 * math.log(8) / 120)
    task = CopyingProblem(4, length=2, symbols=3)
    _, y = task.draw(10, seed=0)
    probability = np.where(y == task.symbols, 1, 1 / task.symbols)
    assert task.baseline == pytest.approx(np.mean(-np.log(probability)))


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@every_task
def test_a_seed_draws_the_same_again_and_another_something_else(task):
    assert same(task.draw(50, seed=4), task.draw(50, seed=4))
    assert not np.array_equal(task.draw(50, seed=4)[0], task.draw(50, seed=5)[0])
    (first,), (again,), (other,) = (
        task.batches(50, seed).take(1).as_numpy_iterator() for seed in (4, 4, 5)
    )
    assert same(first, again)
    assert not np.array_equal(first[0], other[0])


@every_task
def test_batches_have_no_end_none_comes_twice_and_all_are_drawn_as_the_sized_set(task):
    batches = list(itertools.islice(task.batches(50, seed=4).as_numpy_iterator(), 6))
    sized = task.draw(50, seed=4)
    for (x, y), (other_x, _) in itertools.combinations([*batches, sized], 2):
        assert (x.shape, y.shape) == (sized[0].shape, sized[1].shape)
        assert (x.dtype, y.dtype) == (sized[0].dtype, sized[1].dtype)
        assert not np.array_equal(x, other_x)
    (resumed,) = task.batches(50, seed=4).skip(5).take(1).as_numpy_iterator()
    assert same(resumed, batches[5])


@every_task
def test_shapes_are_known_to_a_graph(task):
    x, y = task.batches(7, seed=0).element_spec
    sized_x, sized_y = task.draw(7, seed=0)
    assert (x.shape, y.shape) == (sized_x.shape, sized_y.shape)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: AddingProblem(1), "AddingProblem: `steps` must be an integer of 2.*steps=1"),
        (lambda: AddingProblem(2.5), r"`steps` must be.*steps=2\.5"),
        (lambda: AddingProblem(True), "`steps` must be.*steps=True"),
        (lambda: CopyingProblem(0), "CopyingProblem: `delay` must be.* of 1 or more.*delay=0"),
        (lambda: CopyingProblem(5, length=0), "`length` must be.*length=0"),
        (lambda: CopyingProblem(5, symbols=1), "`symbols` must be.* of 2 or more.*symbols=1"),
        (lambda: AddingProblem(5).draw(0, seed=0), "draw: `count` must be.*count=0"),
        (lambda: CopyingProblem(5).batches(0, seed=0), "batches: `batch_size`.*batch_size=0"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(call, line):
    with pytest.raises(DataError, match=line) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert "Received: " in str(caught.value)
