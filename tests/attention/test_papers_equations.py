"""Bahdanau's and Luong's attention against loops, central differences and their own promises."""

import keras
import numpy as np
import pytest
from keras import ops

from custom_layers.attention.bahdanau import BahdanauAttention
from tests.attention.cases import (
    BATCH,
    CASES,
    UNITS,
    Arguments,
    S,
    T,
    V,
    build,
    draw,
    expected,
    masks,
)
from tests.parity.differentiate import MODES, outputs_and_gradients
from tests.parity.harness import precision

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
# Measured: 1e-15; on JAX Keras's promotion takes the hyperbolic tangent in float32.
ON_JAX = keras.backend.backend() == "jax"
EXACT = {"rtol": 0, "atol": 2e-6 if ON_JAX else 1e-12}


@pytest.fixture(autouse=True)
def float64(fresh_keras_state):
    """Keras takes NumPy's float64 for its float type on Torch, unless that is float64."""
    with precision("float64"):
        yield


def numbers(tensors):
    return [ops.convert_to_numpy(tensor) for tensor in tensors]


@every_case
def test_equals_the_loops(case):
    layer, arguments = build(case), draw(case)
    context, weights = numbers(layer(*arguments, return_attention_scores=True))
    wanted_context, wanted_weights = expected(case, layer, arguments)
    np.testing.assert_allclose(context, wanted_context, **EXACT)
    np.testing.assert_allclose(weights, wanted_weights, **EXACT)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(*arguments)), wanted_context, **EXACT)


@every_case
@pytest.mark.parametrize("which", [0, 1], ids=["mask-of-keys", "mask-of-scores"])
def test_masked_equals_the_loops_and_rows_without_key_are_zero(case, which):
    layer, arguments, mask = build(case), draw(case), masks()[which]
    keep = mask if which else np.repeat(mask[:, None, :], T, axis=1)
    got = numbers(layer(*arguments, mask=mask, return_attention_scores=True))
    for array, wanted in zip(got, expected(case, layer, arguments, keep), strict=True):
        np.testing.assert_allclose(array, wanted, **EXACT)
    empty = ~keep.any(axis=-1)
    assert empty.any()
    assert not got[0][empty].any()
    assert not got[1][empty].any()


@every_case
def test_value_stands_in_for_a_missing_key(case):
    rng = np.random.default_rng(1)
    query, value = rng.standard_normal((BATCH, T, 5)), rng.standard_normal((BATCH, S, 5))
    layer = case.make(dtype="float64")
    np.testing.assert_array_equal(
        *numbers([layer(query, value), layer(query, value, key=value.copy())])
    )


@every_case
@pytest.mark.parametrize("mode", MODES)
def test_gradients_match_central_differences(case, mode):
    """One random direction per argument and weight; step 1e-5, measured error below 1e-9."""
    layer, arguments = build(case), draw(case)
    keywords = {"mask": masks()[1]}
    if ON_JAX and case.name in ("bahdanau", "luong-concat"):
        pytest.skip("Keras takes the hyperbolic tangent in float32 on JAX")
    exact = outputs_and_gradients(layer, arguments, keywords, mode=mode)
    draws = np.random.default_rng(11).standard_normal
    cotangent = draws(exact["output/0"].shape)  # the first that `outputs_and_gradients` draws

    def scalar(arguments):
        return np.sum(ops.convert_to_numpy(layer(*arguments, **keywords)) * cotangent)

    for position, array in enumerate(arguments):
        direction = draws(array.shape)
        ends = []
        for step in (1e-5, -1e-5):
            moved = [a + step * direction if i == position else a for i, a in enumerate(arguments)]
            ends.append(scalar(Arguments(*moved)))
        slope = np.sum(exact[f"gradient/input/{position}"] * direction)
        assert abs((ends[0] - ends[1]) / 2e-5 - slope) < 1e-7
    for weight in layer.trainable_variables:
        start, direction = ops.convert_to_numpy(weight), draws(weight.shape)
        ends = []
        for step in (1e-5, -1e-5):
            weight.assign(start + step * direction)
            ends.append(scalar(arguments))
        weight.assign(start)
        slope = np.sum(exact[f"gradient/{weight.path.split('/', 1)[-1]}"] * direction)
        assert abs((ends[0] - ends[1]) / 2e-5 - slope) < 1e-7


@every_case
def test_a_row_without_key_has_finite_gradients(case):
    found = outputs_and_gradients(build(case), draw(case), {"mask": np.zeros((BATCH, S), bool)})
    assert all(np.isfinite(array).all() for array in found.values())
    assert not found["output/0"].any()


@every_case
def test_dropout_acts_on_the_context_and_not_on_the_weights_returned(case):
    layer, arguments = build(case, dropout=0.5, seed=3), draw(case)
    idle, idle_weights = numbers(layer(*arguments, return_attention_scores=True))
    again, weights = numbers(layer(*arguments, return_attention_scores=True, training=True))
    np.testing.assert_array_equal(weights, idle_weights)
    assert np.abs(again - idle).max() > 1e-3
    kept = ops.convert_to_numpy(
        keras.random.dropout(
            ops.convert_to_tensor(weights), 0.5, seed=keras.random.SeedGenerator(3)
        )
    )
    np.testing.assert_allclose(again, kept @ arguments.value, **EXACT)


@every_case
def test_masks_found_on_the_tensors_are_used_and_the_querys_is_carried_on(case):
    of_keys, _ = masks()
    query_mask = np.ones((BATCH, T), dtype=bool)
    query_mask[1, 2:] = False

    class Marked(keras.layers.Layer):
        """The identity, with a mask of its own."""

        def __init__(self, mark):
            super().__init__(dtype="float64")
            self.mark = mark

        def call(self, inputs):
            return inputs

        def compute_mask(self, inputs, mask=None):
            return ops.convert_to_tensor(self.mark)

    class Seen(keras.layers.Layer):
        def call(self, inputs, mask=None):
            self.seen = mask
            return inputs

        def compute_mask(self, inputs, mask=None):
            return mask

    layer, arguments = build(case), draw(case)
    query, value = Marked(query_mask)(arguments.query), Marked(of_keys)(arguments.value)
    context, weights = layer(query, value, arguments.key, return_attention_scores=True)
    seen = Seen(dtype="float64")
    seen(context)
    np.testing.assert_array_equal(ops.convert_to_numpy(seen.seen), query_mask)
    keep = np.repeat(of_keys[:, None, :], T, axis=1)
    wanted, wanted_weights = expected(case, layer, arguments, keep)
    wanted[~query_mask] = 0
    np.testing.assert_allclose(ops.convert_to_numpy(context), wanted, **EXACT)
    np.testing.assert_allclose(ops.convert_to_numpy(weights), wanted_weights, **EXACT)
    seen(layer(query, value, arguments.key, mask=masks()[1]))  # an explicit mask is the keys'
    np.testing.assert_array_equal(ops.convert_to_numpy(seen.seen), query_mask)
    seen(layer(arguments.query, value, arguments.key, mask=of_keys))
    assert seen.seen is None


@every_case
def test_saves_loads_and_tells_its_shapes(case, tmp_path):
    inputs = [keras.Input(array.shape[1:], dtype="float64") for array in draw(case)]
    outputs = case.make(dtype="float64", dropout=0.25, seed=4)(
        *inputs, return_attention_scores=True
    )
    assert [tuple(y.shape) for y in outputs] == [(None, T, V), (None, T, S)]
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.layers[-1].get_config() == model.layers[-1].get_config()
    wanted, got = (numbers(m([a.copy() for a in draw(case)])) for m in (model, again))
    for array, other in zip(wanted, got, strict=True):
        np.testing.assert_array_equal(array, other)
    assert tuple(wanted[0].shape) == model.layers[-1].compute_output_shape(
        (BATCH, T, 5), (BATCH, S, V), (BATCH, S, case.key_features)
    )


@every_case
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_keeps_float32_weights(case, policy):
    layer, arguments = build(case, dtype=policy), draw(case)
    context, weights = layer(*arguments, mask=masks()[0], return_attention_scores=True)
    half = policy.removeprefix("mixed_")
    assert {keras.backend.standardize_dtype(y.dtype) for y in (context, weights)} == {half}
    assert all(weight.dtype == "float32" for weight in layer.weights)
    rows = ops.convert_to_numpy(ops.cast(ops.sum(weights, axis=-1), "float32"))
    np.testing.assert_allclose(rows[:2], 1, atol=0.02)
    assert not rows[2].any()


def test_no_two_weights_begin_alike():
    layer = BahdanauAttention(UNITS)
    layer.build((BATCH, T, 4), (BATCH, S, 4))
    assert np.abs(ops.convert_to_numpy(layer.W_query - layer.W_key)).max() > 1e-3
