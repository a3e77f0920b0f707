"""Attention pooling against loops over its equations, central differences, and its own promises."""

import math

import keras
import numpy as np
import pytest
from keras import ops

import custom_layers
from custom_layers.attention.attention_pooling import AttentionPooling, attention_pooling
from tests.parity.differentiate import MODES, outputs_and_gradients
from tests.parity.harness import precision

BATCH, STEPS, FEATURES, UNITS = 4, 6, 5, 3
ON_JAX = keras.backend.backend() == "jax"
# Measured: 3e-16; on JAX Keras's promotion takes the hyperbolic tangent in float32.
EXACT = {"rtol": 0, "atol": 2e-6 if ON_JAX else 1e-12}


@pytest.fixture(autouse=True)
def float64(fresh_keras_state):
    with precision("float64"):
        yield


def numbers(tensors):
    return [ops.convert_to_numpy(tensor) for tensor in tensors]


def sequences():
    return np.random.default_rng(3).standard_normal((BATCH, STEPS, FEATURES))


def mask():
    """Padding at the end, at the beginning, and a sequence of nothing else."""
    keep = np.ones((BATCH, STEPS), dtype=bool)
    keep[0, -2:] = keep[1, :3] = keep[3] = False
    return keep


def build(units=UNITS, **config):
    """The layer with random weights; b is not 0."""
    layer = AttentionPooling(units, **config)
    layer.build((BATCH, STEPS, FEATURES))
    rng = np.random.default_rng(5)
    for weight in layer.weights:
        weight.assign(rng.standard_normal(weight.shape))
    return layer


def by_loops(h, W, b, u, keep):
    """Equations (5) to (7), number by number: the vectors and the weights."""
    s, a = np.zeros((len(h), h.shape[-1])), np.zeros(h.shape[:2])
    for row in range(len(h)):
        steps = [t for t in range(h.shape[1]) if keep[row, t]]
        worth = {}
        for t in steps:
            hidden = [
                math.tanh(sum(h[row, t, f] * W[f, n] for f in range(len(W))) + b[n])
                for n in range(len(b))
            ]
            worth[t] = math.exp(sum(x * y for x, y in zip(hidden, u, strict=True)))
        for t in steps:
            a[row, t] = worth[t] / sum(worth.values())
            s[row] += a[row, t] * h[row, t]
    return s, a


@pytest.mark.parametrize("units", [UNITS, None], ids=["narrower", "as-wide-as-the-inputs"])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_equals_the_loops(units, masked):
    layer, h = build(units), sequences()
    keep = mask() if masked else np.ones((BATCH, STEPS), dtype=bool)
    given = {"mask": keep} if masked else {}
    pooled, weights = numbers(layer(h, **given, return_attention_scores=True))
    wanted, wanted_weights = by_loops(h, *numbers(layer.weights), keep)
    np.testing.assert_allclose(pooled, wanted, **EXACT)
    np.testing.assert_allclose(weights, wanted_weights, **EXACT)
    np.testing.assert_array_equal(ops.convert_to_numpy(layer(h, **given)), pooled)
    assert [tuple(w.shape) for w in layer.weights] == [
        *((FEATURES, units or FEATURES), (units or FEATURES,), (units or FEATURES,))
    ]


def test_a_sequence_without_a_step_is_zero_and_has_finite_gradients():
    layer, h = build(), sequences()
    found = outputs_and_gradients(layer, [h], {"mask": mask()})
    assert not found["output/0"][3].any()
    assert found["output/0"][:3].all()
    assert not found["gradient/input/0"][3].any()
    assert all(np.isfinite(array).all() for array in found.values())


def test_what_is_masked_does_not_matter():
    layer, h = build(), sequences()
    other = np.where(mask()[..., None], h, 1e3)
    pooled, moved = (ops.convert_to_numpy(layer(x, mask=mask())) for x in (h, other))
    np.testing.assert_array_equal(pooled, moved)
    without = ops.convert_to_numpy(layer(h[:1, :-2]))
    np.testing.assert_allclose(pooled[:1], without, **EXACT)


@pytest.mark.skipif(ON_JAX, reason="Keras takes the hyperbolic tangent in float32 on JAX")
@pytest.mark.parametrize("mode", MODES)
def test_gradients_match_central_differences(mode):
    """One random direction for the inputs and each weight; step 1e-5, measured error below 1e-9."""
    layer, h = build(), sequences()
    exact = outputs_and_gradients(layer, [h], {"mask": mask()}, mode=mode)
    draws = np.random.default_rng(11).standard_normal
    cotangent = draws(exact["output/0"].shape)  # the first that `outputs_and_gradients` draws

    def scalar(h):
        return np.sum(ops.convert_to_numpy(layer(h, mask=mask())) * cotangent)

    direction = draws(h.shape)
    slope = np.sum(exact["gradient/input/0"] * direction)
    assert abs((scalar(h + 1e-5 * direction) - scalar(h - 1e-5 * direction)) / 2e-5 - slope) < 1e-7
    for weight in layer.trainable_variables:
        start, direction = ops.convert_to_numpy(weight), draws(weight.shape)
        ends = []
        for step in (1e-5, -1e-5):
            weight.assign(start + step * direction)
            ends.append(scalar(h))
        weight.assign(start)
        slope = np.sum(exact[f"gradient/{weight.path.split('/', 1)[-1]}"] * direction)
        assert abs(slope) > 1e-3
        assert abs((ends[0] - ends[1]) / 2e-5 - slope) < 1e-7


def test_takes_the_mask_that_the_inputs_carry_and_carries_none_on():
    words = np.array([[5, 2, 7, 0], [3, 0, 0, 0]])
    inputs = keras.Input((None,), dtype="int32")
    states = custom_layers.Bidirectional(custom_layers.LSTM(2, return_sequences=True))(
        custom_layers.Embedding(9, 3, mask_zero=True)(inputs)
    )
    pooled, weights = AttentionPooling()(states, return_attention_scores=True)
    model = keras.Model(inputs, [pooled, weights, states])
    pooled, weights, states = numbers(model(words))
    np.testing.assert_array_equal(weights == 0, words == 0)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, **EXACT)
    np.testing.assert_allclose(pooled, np.einsum("bt,btf->bf", weights, states), **EXACT)
    np.testing.assert_allclose(pooled[1], states[1, 0], **EXACT)
    assert AttentionPooling().compute_mask(None, mask()) is None


def test_the_record_holds_every_quantity_of_the_equations():
    layer, h = build(), ops.convert_to_tensor(sequences())
    step = attention_pooling(h, *(w.value for w in layer.weights), ops.convert_to_tensor(mask()))
    W, b, u = numbers(layer.weights)
    hidden = np.tanh(sequences() @ W + b)
    np.testing.assert_allclose(ops.convert_to_numpy(step.hidden), hidden, **EXACT)
    np.testing.assert_allclose(ops.convert_to_numpy(step.attention_scores), hidden @ u, **EXACT)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the recorder needs TensorFlow")
def test_a_recorder_sees_scores_and_weights_and_their_gradients():
    import tensorflow as tf

    from custom_layers.debugging import record

    layer, h = build(name="pooling"), tf.constant(sequences())
    cotangent = np.random.default_rng(7).standard_normal((BATCH, FEATURES))
    with record(layer) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(h, mask=mask()) * cotangent)
    recording = trace.read(tape, loss)
    weights, scores = recording["pooling/attention_weights"], recording["pooling/attention_scores"]
    _, a = by_loops(sequences(), *numbers(layer.weights), mask())
    np.testing.assert_allclose(weights.value[:, 0], a, **EXACT)
    d_a = np.einsum("bf,btf->bt", cotangent, sequences())  # of (7)
    np.testing.assert_allclose(weights.gradient[:, 0], d_a, **EXACT)
    d_e = a * (d_a - np.sum(a * d_a, axis=-1, keepdims=True))  # of (6)
    np.testing.assert_allclose(scores.gradient[:, 0], d_e, **EXACT)


def test_saves_loads_and_tells_its_shapes(tmp_path):
    inputs = keras.Input((STEPS, FEATURES))
    outputs = AttentionPooling(UNITS, kernel_initializer="he_normal", bias_regularizer="l2")(
        inputs, return_attention_scores=True
    )
    assert [tuple(y.shape) for y in outputs] == [(None, FEATURES), (None, STEPS)]
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.layers[-1].get_config() == model.layers[-1].get_config()
    assert again.layers[-1].get_config()["units"] == UNITS
    for array, other in zip(
        *(numbers(m(sequences(), training=False)) for m in (model, again)), strict=True
    ):
        np.testing.assert_array_equal(array, other)
    pooled, _ = model(sequences())
    assert tuple(pooled.shape) == AttentionPooling().compute_output_shape((BATCH, STEPS, FEATURES))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_keeps_float32_weights(policy):
    layer = AttentionPooling(UNITS, dtype=policy)
    pooled, weights = layer(sequences(), mask=mask(), return_attention_scores=True)
    half = policy.removeprefix("mixed_")
    assert {keras.backend.standardize_dtype(y.dtype) for y in (pooled, weights)} == {half}
    assert all(weight.dtype == "float32" for weight in layer.weights)
    rows = ops.convert_to_numpy(ops.cast(ops.sum(weights, axis=-1), "float32"))
    np.testing.assert_allclose(rows[:3], 1, atol=0.02)
    assert rows[3] == 0


def test_no_two_weights_begin_alike():
    layer = AttentionPooling(FEATURES, kernel_initializer="random_normal")
    layer.build((None, None, FEATURES))
    W, b, u = numbers(layer.weights)
    assert not b.any()
    assert len(set(W.ravel()) | set(u)) == W.size + u.size


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: AttentionPooling(0), r"`units` must be a positive integer. Received: units=0"),
        (
            lambda: AttentionPooling()(np.zeros((2, 3))),
            r"`inputs` must be \(batch, steps, features\). Received: inputs.shape=\(2, 3\)",
        ),
        (
            lambda: build()(sequences(), mask=np.ones((BATCH, STEPS + 1), bool)),
            r"`mask` must be \(batch, steps\) = \(4, 6\). Received: mask.shape=\(4, 7\)",
        ),
        (
            lambda: AttentionPooling()(keras.Input((3, None))),
            r"last axis of `inputs` must have a known size",
        ),
    ],
    ids=["units", "rank", "mask", "features"],
)
def test_a_mistake_is_told_in_one_line(call, said):
    with pytest.raises(ValueError, match=rf"attention_pooling: .*{said}") as caught:
        call()
    assert "\n" not in str(caught.value).split("attention_pooling: ")[1].split("\n\nArg")[0].strip()
