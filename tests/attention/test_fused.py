"""`fused=True`: the numbers of the written path, from a kernel that shows nothing."""

import keras
import numpy as np
import pytest
from keras import ops

from custom_layers import GroupQueryAttention, MultiHeadAttention
from custom_layers.attention import attention_in_heads, group_query_attention, multi_head
from tests.mutants import Fault, mutant_of
from tests.parity.differentiate import BACKEND, MODES, outputs_and_gradients
from tests.parity.harness import assert_close, precision, ragged_mask

BATCH, T, S, FEATURES = 3, 6, 5, 4
SIZE = 3  # its root is not exact: a kernel that rounds the scale to float32 would differ by 1e-8
LAYERS = {
    "multi-head": lambda **options: MultiHeadAttention(2, SIZE, **options),
    "group-query": lambda **options: GroupQueryAttention(SIZE, 4, 2, **options),
    "multi-query": lambda **options: GroupQueryAttention(SIZE, 4, 1, use_gate=True, **options),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def mask_of_scores():
    """Every query sees a key; key 0 of the second sequence is seen by the first query alone."""
    mask = np.random.default_rng(6).random((BATCH, T, S)) < 0.6
    mask[1, 1:, 0] = False
    mask[:, :, 2] = True
    return mask


def mask_of_heads():
    return np.stack([mask_of_scores(), np.ones((BATCH, T, S), dtype=bool)] * 2, axis=1)


VALUE_MASK = ragged_mask(BATCH, S)
RIGHT_PADDED = np.arange(S) < np.array([[5], [3], [1]])
SETTINGS = {
    "plain": ({}, {}),
    "causal": ({}, {"use_causal_mask": True}),
    "value-mask": ({}, {"value_mask": VALUE_MASK}),
    "value-mask-causal": ({}, {"value_mask": RIGHT_PADDED, "use_causal_mask": True}),
    "attention-mask": ({}, {"attention_mask": mask_of_scores()}),
    "all-masks": ({}, {"attention_mask": mask_of_scores() | VALUE_MASK[:, None]}),
    "window": ({"sliding_window": 2}, {}),
    "window-causal": ({"sliding_window": 2}, {"use_causal_mask": True}),
    "no-bias": ({"use_bias": False}, {"training": True}),
}


def both(name, options, dtype):
    """The written and the fused layer, with the same random weights."""
    keras.utils.clear_session(free_memory=False)
    layers = [LAYERS[name](fused=fused, dtype=dtype, **options) for fused in (False, True)]
    rng = np.random.default_rng(2)
    for layer in layers:
        layer.build((BATCH, T, FEATURES), (BATCH, S, FEATURES))
    values = [rng.standard_normal(weight.shape) for weight in layers[0].get_weights()]
    for layer in layers:
        layer.set_weights(values)
    return layers


def compared(name, setting, dtype, mode="eager"):
    options, keywords = SETTINGS[setting]
    args = [normal(BATCH, n, FEATURES, seed=n).astype(dtype) for n in (T, S)]
    with precision(dtype):
        written, fused = (
            outputs_and_gradients(layer, args, keywords, mode=mode)
            for layer in both(name, options, dtype)
        )
        assert_close(fused, written, {"float64": 1e-12, "float32": 1e-5}[dtype])


@pytest.mark.skipif(BACKEND != "tensorflow", reason="elsewhere float64 is computed in float32")
@every_layer
@pytest.mark.parametrize("setting", SETTINGS)
def test_outputs_and_gradients_are_those_of_the_written_path(name, setting):
    compared(name, setting, "float64")


@every_layer
@pytest.mark.parametrize("setting", SETTINGS)
def test_also_in_float32(name, setting):
    compared(name, setting, "float32")


@pytest.mark.slow
@every_layer
@pytest.mark.parametrize("setting", ["causal", "attention-mask"])
@pytest.mark.parametrize("mode", MODES)
def test_also_in_a_graph(name, setting, mode):
    compared(name, setting, "float32", mode)


def test_a_mask_of_heads():
    query, value = normal(BATCH, T, FEATURES), normal(BATCH, S, FEATURES, seed=1)
    written, fused = both("group-query", {}, "float32")
    mask = mask_of_heads()
    got, wanted = (
        ops.convert_to_numpy(layer(query, value, attention_mask=mask)) for layer in (fused, written)
    )
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    assert np.abs(got - ops.convert_to_numpy(fused(query, value))).max() > 1e-2


@every_layer
def test_rows_without_any_true_average_as_in_the_written_path(name):
    written, fused = both(name, {}, "float32")
    mask = mask_of_scores()
    mask[0, 2] = mask[1] = False
    query, value = normal(BATCH, T, FEATURES), normal(BATCH, S, FEATURES, seed=1)
    got, wanted = (
        ops.convert_to_numpy(layer(query, value, attention_mask=mask)) for layer in (fused, written)
    )
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@every_layer
def test_the_kernel_computes_it_and_makes_the_causal_mask_itself(name, monkeypatch):
    seen = []
    kernel = ops.dot_product_attention

    def watched(*args, **kwargs):
        seen.append((kwargs["is_causal"], kwargs["mask"] is None))
        return kernel(*args, **kwargs)

    monkeypatch.setattr(ops, "dot_product_attention", watched)
    written, fused = both(name, {}, "float32")
    query, value = normal(BATCH, T, FEATURES), normal(BATCH, S, FEATURES, seed=1)
    written(query, value, use_causal_mask=True)
    assert seen == []
    fused(query, value)
    fused(query, value, use_causal_mask=True)
    fused(query, value, use_causal_mask=True, value_mask=VALUE_MASK)
    assert seen == [(False, True), (True, True), (False, False)]


@every_layer
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision(name, policy):
    query, value = normal(BATCH, T, FEATURES), normal(BATCH, S, FEATURES, seed=1)
    written, fused = both(name, {}, policy)
    got, wanted = (
        ops.convert_to_numpy(ops.cast(layer(query, value, use_causal_mask=True), "float32"))
        for layer in (fused, written)
    )
    unit = 2.0 ** (-8 if policy == "mixed_bfloat16" else -11)
    np.testing.assert_allclose(got, wanted, atol=32 * unit * np.abs(wanted).max())


@every_layer
def test_the_choice_is_saved_only_where_it_was_made(name, tmp_path):
    written, fused = LAYERS[name](), LAYERS[name](fused=True)
    assert "fused" not in written.get_config()
    assert fused.get_config()["fused"] is True
    query, value = keras.Input((T, FEATURES)), keras.Input((S, FEATURES))
    model = keras.Model([query, value], fused(query, value, use_causal_mask=True))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.layers[-1].get_config()["fused"] is True
    inputs = [normal(BATCH, n, FEATURES) for n in (T, S)]
    got, wanted = (ops.convert_to_numpy(m(inputs)) for m in (again, model))
    np.testing.assert_array_equal(got, wanted)


@every_layer
def test_what_a_kernel_cannot_do_is_refused_in_one_line(name):
    owner = "multi_head_attention" if name == "multi-head" else "group_query_attention"
    line = rf"{owner}: `fused=True` leaves .*\. Received: .*{{}}.*\. [SM].*\."
    with pytest.raises(ValueError, match=line.format("dropout=0.1, fused=True")):
        LAYERS[name](fused=True, dropout=0.1)
    layer, x = LAYERS[name](fused=True), normal(BATCH, T, FEATURES)
    for argument in (x, keras.Input((T, FEATURES))):
        with pytest.raises(ValueError, match=line.format("return_attention_scores=True")):
            layer(argument, argument, return_attention_scores=True)


def test_more_axes_than_a_kernel_attends_to_are_refused():
    x = normal(2, 3, 4, FEATURES)
    with pytest.raises(ValueError, match=r"multi_head_attention: `fused=True`.*\(2, 3, 4, 4\)"):
        MultiHeadAttention(2, SIZE, fused=True, attention_axes=1)(x, x)


KERNEL = (attention_in_heads, "kernel_order")
FAULTS = [
    Fault(*KERNEL, "query * scale, 1.0", "query, scale"),
    Fault(*KERNEL, "query * scale, 1.0", "query, 1.0"),
    Fault(*KERNEL, "causal and mask is not None", "False"),
    Fault(*KERNEL, "causal_mask(ops.shape", "True | causal_mask(ops.shape"),
    Fault(*KERNEL, "causal and mask is None", "False"),
    Fault(*KERNEL, "causal and mask is None", "mask is None"),
    Fault(*KERNEL, "None if mask is None else broadcast_to_heads(mask, 4, 1)", "None"),
    Fault(*KERNEL, "broadcast_to_heads(mask, 4, 1)", "~broadcast_to_heads(mask, 4, 1)"),
    Fault(attention_in_heads.AttentionInHeads, "attend", "value, mask, self", "value, None, self"),
    Fault(attention_in_heads.AttentionInHeads, "attend", "_scale, causal, flash", "_scale"),
    Fault(
        multi_head.MultiHeadAttention, "call", "use_causal_mask and not kernel", "False and kernel"
    ),
    *(
        Fault(owner, "_compute_attention", "use_causal_mask,\n    )", ")")
        for owner in (multi_head.MultiHeadAttention, group_query_attention.GroupedQueryAttention)
    ),
]


@pytest.mark.skipif(
    BACKEND != "tensorflow", reason="the faults are in lines that all backends share"
)
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_planted_faults_are_noticed(fault, monkeypatch):
    monkeypatch.setattr(fault.owner, fault.name, mutant_of(fault))
    with pytest.raises(AssertionError):
        compare_all()


def compare_all():
    for name in LAYERS:
        for setting in SETTINGS:
            compared(name, setting, "float64")
