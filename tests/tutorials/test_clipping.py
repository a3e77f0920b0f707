"""Clipping: rules as Keras has them, the cliff's gradient, and what is watched is what was applied."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

import custom_layers
from tutorials import character_corpus
from tutorials.clipping import cliff, pictures, reading, rules

GRADIENTS = [
    np.random.default_rng(seed).standard_normal(shape) * scale
    for seed, (shape, scale) in enumerate([((3, 4), 1.0), ((4,), 10.0), ((2, 2, 5), 0.01)])
]


@pytest.mark.parametrize("argument", rules.RULES)
@pytest.mark.parametrize("c", [0.004, 0.5, 3.0, 1e4])
def test_each_rule_is_keras_s(argument, c):
    own, theirs = rules.RULES[argument](GRADIENTS, c), rules.applied(GRADIENTS, **{argument: c})
    for g, k in zip(own, theirs, strict=True):
        np.testing.assert_allclose(g, k, rtol=1e-12)
    assert rules.length(own) <= rules.length(GRADIENTS) * (1 + 1e-12)


def test_a_threshold_leaves_the_share_that_is_asked_for():
    for argument, rule in rules.RULES.items():
        for share in (0.1, 0.5, 0.9):
            left = rule(GRADIENTS, rules.threshold(argument, GRADIENTS, share))
            assert rules.length(left) == pytest.approx(share * rules.length(GRADIENTS), rel=1e-9)


def test_angles_are_between_all_weights_together():
    east, north = [np.array([1.0]), np.array([0.0])], [np.array([0.0]), np.array([2.0])]
    assert rules.turned(east, east) == 0
    assert rules.turned(east, north) == pytest.approx(90)
    assert rules.turned(east, [np.array([-3.0]), np.array([0.0])]) == pytest.approx(180)
    assert rules.turned(east, [np.array([1.0]), np.array([1.0])]) == pytest.approx(45)
    assert rules.length([np.array([3.0]), np.array([[4.0]])]) == 5
    for seed in range(20):  # of some the cosine is rounded to more than 1
        g = [np.random.default_rng(seed).standard_normal(7)]
        assert rules.turned(g, g) < 1e-5


@pytest.mark.parametrize("rule", rules.RULES.values())
def test_a_gradient_of_zero_stays_zero(rule):
    assert not np.any(rule([np.zeros(3)], 1.0))


def test_the_loss_is_that_of_fifty_steps_towards_0_7():
    w, b, h = 5.0, -2.3, 0.0
    for _ in range(50):
        h = 1 / (1 + np.exp(-(w * h + b)))
    assert cliff.loss(w, b) == pytest.approx((h - 0.7) ** 2, rel=1e-12)


def test_the_gradient_at_the_cliff_is_that_of_central_differences():
    w, b = np.random.default_rng(0).uniform([[3.5], [-3]], [[5.0], [-1]], (2, 20))
    step = 1e-6
    d_w, d_b = cliff.gradient(w, b)
    largest = np.abs([d_w, d_b]).max()
    assert largest > 0.1
    numeric_w = (cliff.loss(w + step, b) - cliff.loss(w - step, b)) / (2 * step)
    numeric_b = (cliff.loss(w, b + step) - cliff.loss(w, b - step)) / (2 * step)
    np.testing.assert_allclose(d_w, numeric_w, atol=1e-7 * largest)
    np.testing.assert_allclose(d_b, numeric_b, atol=1e-7 * largest)


@pytest.mark.parametrize("layers", [keras.layers, custom_layers], ids=["Keras", "custom"])
def test_a_descent_follows_the_gradient(layers):
    descent = cliff.descend(layers, 12, global_clipnorm=0.05)
    w, b = cliff.START
    for step in range(12):
        assert (descent.w[step], descent.b[step]) == pytest.approx((w, b), abs=1e-7)
        assert descent.loss[step] == pytest.approx(cliff.loss(w, b), rel=1e-6)
        gradient = [np.array(g) for g in cliff.gradient(w, b)]
        d_w, d_b = rules.by_global_norm(gradient, 0.05)
        w, b = w - cliff.RATE * d_w, b - cliff.RATE * d_b
    assert descent.strides.max() == pytest.approx(0.05 * cliff.RATE)
    assert descent.norm[0] == pytest.approx(np.hypot(*cliff.gradient(*cliff.START)))


@pytest.fixture(scope="module")
def text():
    corpus = character_corpus.corpus_of(character_corpus.generated_play(20_000), "play")
    return reading.windows(corpus, batches=6)


def test_a_window_s_targets_are_its_next_characters(text):
    assert text.x.shape == text.y.shape == (6 * reading.BATCH, reading.STEPS)
    np.testing.assert_array_equal(text.x[:, 1:], text.y[:, :-1])
    assert len(np.unique(text.x, axis=0)) > reading.BATCH, "from the whole text"
    assert text.letters == len(set("".join(character_corpus.generated_play(20_000))))


def test_what_is_watched_is_what_is_applied(text, tmp_path):
    """By thresholds that are below every gradient's, and by none; looking changes no loss."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for clipping in ({"global_clipnorm": 0.05}, {"clipnorm": 0.01}, {"clipvalue": 1e-4}, {}):
        log = tmp_path / str(clipping)
        run = reading.train(custom_layers, text, keras.optimizers.SGD(0.1, **clipping), log)
        blind = reading.train(custom_layers, text, keras.optimizers.SGD(0.1, **clipping))
        np.testing.assert_allclose(run.losses, blind.losses, rtol=1e-6)
        assert len(run.before) == len(run.after) == len(run.losses) == 6
        assert (blind.before.size, blind.after.size, blind.said) == (0, 0, [])
        model = reading.reader(custom_layers, text.letters, keras.optimizers.SGD(0.1))
        for n, (before, after) in enumerate(zip(run.before, run.after, strict=True)):
            rows = slice(n * reading.BATCH, (n + 1) * reading.BATCH)
            value, gradients = of_batch(model, loss, text.x[rows], text.y[rows])
            assert run.losses[n] == pytest.approx(value, rel=1e-5)
            assert before == pytest.approx(rules.length(rules.applied(gradients)), rel=1e-4)
            clipped = rules.applied(gradients, **clipping)
            assert after == pytest.approx(rules.length(clipped), rel=1e-4)
            for weight, g in zip(model.trainable_weights, clipped, strict=True):
                weight.assign_sub(0.1 * g)


def of_batch(model, loss, x, y):
    with tf.GradientTape() as tape:
        value = loss(y, model(x, training=True))
    return float(value), tape.gradient(value, model.trainable_weights)


def test_what_the_inspector_says_is_kept(text, tmp_path):
    listeners = list(logging.getLogger("custom_layers.debugging.gradient_inspector").handlers)
    run = reading.train(custom_layers, text, keras.optimizers.SGD(300.0), tmp_path)
    logger = logging.getLogger("custom_layers.debugging.gradient_inspector")
    assert logger.handlers == listeners
    assert any(line.startswith("step ") and "learning rate" in line for line in run.said)


def test_the_first_batches_are_a_beginning(text):
    first = text.first(2)
    assert len(first.x) == len(first.y) == 2 * reading.BATCH < len(text.x)
    np.testing.assert_array_equal(first.x, text.x[: len(first.x)])
    np.testing.assert_array_equal(first.y, text.y[: len(first.y)])
    assert first.letters == text.letters


def test_a_run_is_judged_by_its_last_batches():
    losses = np.array([9.0] * 10 + [3.0] + [2.0] * (reading.LAST - 1))
    norms = np.array([1.0, 5.0, 3.0, 0.5])
    run = reading.Run(losses, norms, np.minimum(norms, 2), [])
    assert run.end == pytest.approx((3 + 2 * (reading.LAST - 1)) / reading.LAST)
    assert run.cut == 0.5
    assert run._replace(after=norms).cut == 0


def test_pictures_show_both_norms_and_every_descent(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(pictures, "saved", lambda figure, path: figures.append(figure) or path)
    before = np.array([1.0, 50.0, 2.0])
    run = reading.Run(np.array([4.0, 3.0, 2.5]), before, np.minimum(before, 5), [])
    pictures.save_runs({"rule": run, "other": run}, tmp_path / "runs.png")
    above, below = figures[0].axes[0], figures[0].axes[2]
    for line, values in zip(above.lines, (run.before, run.after), strict=True):
        np.testing.assert_array_equal(line.get_ydata(), values)
    assert "33.3% of the steps cut, largest 50" in above.get_title()
    assert [line.get_label() for line in above.lines] == ["before", "after clipping"]
    assert above.get_yscale() == "log"
    assert below.get_title() == f"3.17 in the last {reading.LAST}"
    np.testing.assert_array_equal(below.lines[0].get_ydata(), run.losses)
    w, b = np.array([6.0, 5.0, 5.5]), np.array([-2.9, -2.0, -2.1])
    descent = cliff.Descent(w, b, cliff.loss(w, b))
    pictures.save_cliff({"one": descent, "two": descent}, tmp_path / "cliff.png")
    panel = figures[1].axes[1]
    shades = panel.collections[0]
    corners = shades.get_coordinates()  # a cell's, so that its value is that of its middle
    middles = (corners[1:, 1:] + corners[:-1, :-1]) / 2
    np.testing.assert_allclose(
        shades.get_array(), cliff.loss(*np.moveaxis(middles, -1, 0)), atol=1e-9
    )
    way, start = panel.lines
    np.testing.assert_array_equal(way.get_xydata(), np.stack([w, b], axis=1))
    np.testing.assert_array_equal(start.get_xydata(), [cliff.START])
    pictures.save_thresholds({"clipvalue": {0.1: 3.0, 1.0: 2.0}}, 2.5, tmp_path / "thresholds.png")
    ends, plain = figures[2].axes[0].lines
    np.testing.assert_array_equal(ends.get_xydata(), [[0.1, 3.0], [1.0, 2.0]])
    assert figures[2].axes[0].get_xscale() == "log"
    assert set(plain.get_ydata()) == {2.5}
