"""Each measure against its definition, written once more in NumPy, loops and all."""

import math

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("measures are taken with TensorFlow", allow_module_level=True)

import tensorflow as tf

import custom_layers
from custom_layers.debugging.measurements import measure
from custom_layers.debugging.measures.attention_entropy import attention_entropy
from custom_layers.debugging.measures.clipped_norm import clipped_norm, global_norm
from custom_layers.debugging.measures.dead_units import dead_units
from custom_layers.debugging.measures.first_not_finite_step import first_not_finite_step
from custom_layers.debugging.measures.gate_saturation import gate_saturation
from custom_layers.debugging.measures.gradient_angle import gradient_angle
from custom_layers.debugging.measures.histogram import histogram
from custom_layers.debugging.measures.noise_scale import NoiseScale, noise_and_signal
from custom_layers.debugging.measures.norms_by_step import norms_by_step, norms_by_steps_back
from custom_layers.debugging.measures.spectral_radius import spectral_radius
from custom_layers.debugging.measures.update_ratio import update_ratio
from custom_layers.debugging.recorder import record

rng = np.random.default_rng(11)


def normal(*shape):
    return rng.standard_normal(shape).astype("float32")


MASK = np.array([[1, 1, 1, 1, 0], [0, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]], bool)


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_norms_by_steps_back_lay_the_ends_over_each_other(masked, backwards):
    gradient = normal(4, 5, 3)
    mask = MASK if masked else np.ones((4, 5), bool)
    wanted = np.zeros(5)
    for sequence, taken in zip(gradient, mask, strict=True):
        steps = [t for t in range(5) if taken[t]]
        for back, t in enumerate(steps if backwards else reversed(steps)):
            wanted[back] += np.sum(sequence[t] ** 2)
    got = norms_by_steps_back(gradient, mask if masked else None, backwards)
    np.testing.assert_allclose(got, np.sqrt(wanted), rtol=1e-5)


def test_the_first_step_that_is_not_finite():
    value = normal(3, 6, 2)
    assert math.isnan(first_not_finite_step(value))
    value[2, 4, 1], value[1, 2, 0], value[0, 1, 0] = np.inf, np.nan, np.nan
    mask = np.ones((3, 6), bool)
    mask[0, 1] = False
    assert float(first_not_finite_step(value)) == 1
    assert float(first_not_finite_step(value, mask)) == 2
    assert float(first_not_finite_step(value, mask, backwards=True)) == 4
    assert math.isnan(first_not_finite_step(value[:1], mask[:1]))


def test_spectral_radius():
    orthogonal = np.linalg.qr(normal(6, 6))[0]
    assert spectral_radius(1.5 * orthogonal) == pytest.approx(1.5, rel=1e-5)
    assert spectral_radius(np.triu(normal(4, 4), 1)) == 0  # powers of it vanish
    assert math.isnan(spectral_radius(np.full((2, 2), np.nan)))


def test_norms_by_step():
    gradient, attention = normal(4, 5, 3), normal(2, 3, 5, 7)
    wanted = [np.linalg.norm(gradient[:, t]) for t in range(5)]
    np.testing.assert_allclose(norms_by_step(gradient), wanted, rtol=1e-5)
    wanted = [np.linalg.norm(attention[:, :, t]) for t in range(5)]
    np.testing.assert_allclose(norms_by_step(attention, -2), wanted, rtol=1e-5)


def test_saturation_counts_the_steps_that_were_taken():
    gate = np.array([[[0.01, 0.5], [0.96, 0.04]], [[0.97, 0.99], [0.0, 0.0]]], "float32")
    mask = np.array([[1, 1], [1, 0]], bool)
    got = gate_saturation(gate, mask)
    low, high = float(got["saturated_low"]), float(got["saturated_high"])
    assert [low, high] == pytest.approx([2 / 6, 3 / 6])
    got = gate_saturation(gate)
    assert [float(got["saturated_low"]), float(got["saturated_high"])] == [4 / 8, 3 / 8]
    candidate = gate_saturation(2 * gate - 1, None, least=-1)
    assert float(candidate["saturated_low"]) == 3 / 8  # below -0.95: 0.04 is above it
    assert math.isnan(gate_saturation(gate, np.zeros((2, 2), bool))["saturated_low"])


def test_dead_units_are_silent_everywhere():
    value = np.abs(normal(3, 4, 5))
    value[..., 1] = 0
    value[:2, :, 3] = 0  # one example still wakes it
    assert float(dead_units(value)) == pytest.approx(1 / 5)


def test_entropy_of_one_key_and_of_all():
    weights = np.array([[[1, 0, 0, 0], [0.25] * 4], [[0.5, 0.5, 0, 0], [0] * 4]], "float32")
    wanted = (0 + math.log(4) + math.log(2) + 0) / 4
    assert float(attention_entropy(weights)) == pytest.approx(wanted, rel=1e-6)


def test_update_ratio_and_angle():
    before = np.array([3.0, 4.0], "float32")
    assert float(update_ratio(before, 1.01 * before)) == pytest.approx(0.01, rel=1e-4)
    assert float(update_ratio(np.zeros(2), before)) == math.inf
    assert float(gradient_angle(before, [4.0, -3.0])) == pytest.approx(90, abs=1e-3)
    assert float(gradient_angle(before, -2 * before)) == pytest.approx(180, abs=0.1)
    assert float(gradient_angle(before, 5 * before)) == pytest.approx(0, abs=0.1)
    assert math.isnan(gradient_angle(before, [0.0, 0.0]))


@pytest.mark.parametrize(
    "clipping",
    [{rule: c} for rule in ("clipnorm", "global_clipnorm", "clipvalue") for c in (0.3, 0.9, 1e6)],
    ids=str,
)
def test_clipping_is_measured_as_the_optimizer_does_it(clipping):
    repeated = tf.constant([2, 0, 2, 2])  # of an embedding: words, one of them three times
    embedding = tf.IndexedSlices(tf.constant(normal(4, 6)), repeated, tf.constant([3, 6]))
    gradients = [tf.constant(normal(3, 4)), embedding, tf.constant(normal(5))]
    weights = [keras.Variable(np.zeros(g.shape)) for g in gradients]
    optimizer = keras.optimizers.SGD(1.0, **clipping)
    optimizer.apply(gradients, weights)  # from 0, by the clipped gradients
    moved = np.sqrt(sum(np.sum(np.square(w)) for w in weights))
    np.testing.assert_allclose(clipped_norm(gradients, optimizer), moved, rtol=1e-5)
    scaled = keras.optimizers.LossScaleOptimizer(optimizer)
    np.testing.assert_allclose(clipped_norm(gradients, scaled), moved, rtol=1e-5)
    for none in ({}, {"clipnorm": -1.0}, {"clipnorm": 1.0, "gradient_accumulation_steps": 2}):
        assert clipped_norm(gradients, keras.optimizers.SGD(**none)) is None
    assert float(global_norm([])) == 0


def test_noise_scale_of_a_known_distribution():
    """Gradients of examples ~ N(g, s^2 I): B_simple = tr(s^2 I) / |g|^2."""
    g, spread, small, large = normal(50), 3.0, 8, 16
    scale = NoiseScale(decay=0.999)
    for _ in range(4000):
        examples = g + spread * normal(large, 50)
        norms = [np.linalg.norm(examples[:n].mean(0)) for n in (small, large)]
        estimate = scale.update(*noise_and_signal(*norms, small, large))
    assert estimate == pytest.approx(50 * spread**2 / np.sum(g**2), rel=0.1)
    assert math.isnan(NoiseScale().update(1.0, -1.0))


def test_histogram_counts_the_finite_entries():
    entries = normal(1000)
    rows = histogram(entries).numpy()
    counts, edges = np.histogram(entries, 30)
    np.testing.assert_allclose(rows[:, 0], edges[:-1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(rows[:, 1], edges[1:], rtol=1e-4, atol=1e-5)
    assert np.abs(rows[:, 2] - counts).sum() <= 2  # an entry on an edge
    entries[:10] = np.nan
    entries[10:15] = np.inf
    assert histogram(entries).numpy()[:, 2].sum() == 985
    many = histogram(normal(300, 1000)).numpy()  # every seventh is counted, for seven
    assert many[:, 2].sum() == pytest.approx(300_000, rel=1e-4)
    assert many[12:18, 2].sum() > 150_000
    for alike in (np.zeros(7), np.full(7, 3.0)):
        rows = histogram(alike).numpy()
        assert rows[:, 2].sum() == 7
        assert rows[0, 0] < alike[0] < rows[-1, 1]
    assert histogram(np.full(3, np.nan)).numpy()[:, 2].sum() == 0


def test_all_tags_of_a_recording():
    """Which measure is taken of what; their values are the tests' above."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 3))
    states = custom_layers.LSTM(2, return_sequences=True, name="lstm")(inputs)
    attended = custom_layers.MultiHeadAttention(1, 2, name="attention")(states, states)
    model = keras.Model(inputs, custom_layers.Dense(1, name="dense")(attended))
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(normal(5, 4, 3)) ** 2) * 8
    recording = trace.read(tape, loss)
    once, scaled = measure(recording), measure(recording, 8.0, histograms=True)
    for tag, value in scaled.scalars.items():
        if tag.endswith("first_not_finite_step"):
            assert math.isnan(value)
            continue
        factor = 1 if not tag.endswith(("_norm", "_mean", "_largest")) else 8
        np.testing.assert_allclose(factor * value, once.scalars[tag], rtol=1e-5, err_msg=tag)
    last = {tag.rpartition("/")[2] for tag in once.scalars}
    assert last == {
        *("gradient_norm", "gradient_mean", "gradient_largest", "gradient_zeros"),
        *("gradient_not_finite", "not_finite", "dead_units", "vanishing_ratio"),
        *("saturated_low", "saturated_high", "entropy", "first_not_finite_step"),
    }
    assert set(once.series) == {
        *(f"lstm/{state}/gradient_norm_by_step" for state in "ifgoch"),
        *(f"lstm/{state}/gradient_norm_by_steps_back" for state in "ch"),
        "attention/attention_scores/gradient_norm_by_step",
    }
    assert not once.histograms
    assert set(scaled.histograms) == {f"{path}/gradient" for path in recording.weights}
    np.testing.assert_allclose(
        8 * scaled.series["lstm/h/gradient_norm_by_step"],
        recording["lstm/h"].gradient_norms(),
        rtol=1e-5,
    )
    assert float(once.scalars["lstm/g/saturated_low"]) <= 1
