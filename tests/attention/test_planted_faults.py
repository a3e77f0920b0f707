"""Planted faults in every score function and all that follows: the comparison notices each."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from custom_layers.attention import (
    additive,
    attention,
    attention_in_heads,
    bahdanau,
    cross_attention,
    group_query_attention,
    luong,
    masks,
    multi_head,
    projection,
    scaled_dot_product,
)
from tests.attention import cases
from tests.mutants import Fault, mutant_of
from tests.parity import harness, pairs_attention, pairs_group_query
from tests.parity.harness import assert_close, precision

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="the faults are in lines that all backends share; not all settings exist on each",
)

ATTEND = (attention, "attend")
DOT = (attention, "dot_scores")
CONCAT = (attention, "concat_scores")
SCORE_MASK = (attention.Attention, "_calculate_score_mask")
KERAS_CALL = (attention.Attention, "call")
ADDITIVE = (additive, "additive_scores")

LIST_LAYERS = [
    Fault(*DOT, "ops.swapaxes(key, -2, -1)", "ops.swapaxes(ops.flip(key, -2), -2, -1)"),
    Fault(*DOT, "ops.swapaxes(key, -2, -1)", "ops.swapaxes(ops.flip(key, -1), -2, -1)"),
    Fault(*DOT, "scores if scale is None else ops.multiply(scores, scale)", "scores"),
    Fault(*DOT, "ops.multiply(scores, scale)", "ops.divide(scores, scale)"),
    Fault(*CONCAT, "query, axis=-2) +", "query, axis=-2) -"),
    Fault(*CONCAT, "scale * summed", "summed"),
    Fault(*CONCAT, "ops.tanh(", "("),
    Fault(*CONCAT, "weight * ops.sum", "ops.sum"),
    Fault(*CONCAT, "ops.sum(", "ops.mean("),
    Fault(*ADDITIVE, "scale * hidden", "hidden"),
    Fault(*ADDITIVE, "scale * hidden", "ops.flip(scale) * hidden"),
    Fault(*ADDITIVE, "query, axis=-2) +", "query, axis=-2) -"),
    Fault(*ADDITIVE, "ops.tanh(", "ops.sigmoid("),
    Fault(*ATTEND, "if mask is not None", "if False"),
    Fault(*ATTEND, "ops.where(mask", "ops.where(~mask"),
    Fault(*ATTEND, "scores - masked)", "-masked)"),
    Fault(*ATTEND, "ops.softmax(scores, axis=-1)", "ops.softmax(scores, axis=-2)"),
    Fault(*ATTEND, "ops.softmax(scores, axis=-1)", "scores"),
    Fault(*ATTEND, "weights, kept, ops.matmul(kept", "weights, weights, ops.matmul(kept"),
    Fault(*ATTEND, "ops.matmul(kept, value)", "ops.matmul(weights, value)"),
    Fault(*ATTEND, "ops.matmul(kept, value)", "ops.matmul(kept, ops.flip(value, 1))"),
    Fault(*ATTEND, "if dropout > 0", "if False"),
    Fault(
        *SCORE_MASK,
        "return both(v_mask, causal_mask(query_steps, key_steps))",
        "return causal_mask(query_steps, key_steps)",
    ),
    Fault(*SCORE_MASK, "return both(v_mask, causal_mask(query_steps, key_steps))", "return v_mask"),
    Fault(*SCORE_MASK, "if not use_causal_mask", "if True"),
    Fault(*KERAS_CALL, "inputs[2] if", "ops.flip(inputs[2], 1) if"),
    Fault(*KERAS_CALL, "if query_mask is not None", "if False"),
    Fault(*KERAS_CALL, "context, 0)", "0 * context, context)"),
    Fault(*KERAS_CALL, "self.dropout if training else 0.0", "0.0"),
    Fault(
        *KERAS_CALL,
        "self._calculate_scores(query, key)",
        "self._calculate_scores(query, ops.flip(key, 1))",
    ),
    Fault(attention, "causal_mask", "t >= s", "t > s"),
    Fault(attention, "causal_mask", "t >= s", "t <= s"),
]

FUSED = (attention_in_heads, "fused_order")
WRITTEN = (attention_in_heads, "written_order")
PROJECT = (projection, "project")
ATTEND_IN_HEADS = (attention_in_heads.AttentionInHeads, "attend")
POSITIONS = (attention_in_heads.AttentionInHeads, "positional_mask")
CALL = (multi_head.MultiHeadAttention, "call")
MASK_OF_SCORES = (multi_head, "mask_of_scores")

MULTI_HEAD = [
    Fault(*FUSED, "scale * ops.cast", "ops.cast"),
    Fault(*FUSED, "equations.scores, key, query)", "equations.scores, key, ops.flip(query, 2))"),
    Fault(*FUSED, "equations.scores, key, query)", "equations.scores, key, ops.flip(query, -1))"),
    Fault(*FUSED, "if mask is not None", "if False"),
    Fault(*FUSED, "scores, -1e38)", "-1e38, scores)"),
    Fault(*FUSED, "seen, attended)", "ops.flip(seen, -2), attended)"),
    Fault(*FUSED, "softmax_over(seen, attended)", "softmax_over(seen, 2)"),
    Fault(*FUSED, "weights, value)", "weights, ops.flip(value, 2))"),
    Fault(*FUSED, "weights, value)", "weights, ops.flip(value, 1))"),
    Fault(*WRITTEN, "query * ops.cast(scale, query.dtype)", "query"),
    Fault(*WRITTEN, "if mask is None", "if True"),
    Fault(*WRITTEN, "scores, masked), attended", "scores, masked), 2"),
    Fault(*WRITTEN, "ops.where(mask, weights, 0.0)", "weights"),
    Fault(*WRITTEN, "weights if drop is None else drop(weights)", "weights"),
    Fault(*WRITTEN, "kept, value)", "weights, value)"),
    Fault(scaled_dot_product, "softmax_over", "range(-attended, 0)", "range(-attended, -1)"),
    Fault(scaled_dot_product, "softmax_over", "attended == 1", "True"),
    Fault(*WRITTEN, "key, query *", "ops.flip(key, -2), query *"),
    Fault(scaled_dot_product, "broadcast_to_heads", "return ops.cast", "return ~ops.cast"),
    Fault(*PROJECT, "y = ops.add(y, bias)", "pass"),
    Fault(*PROJECT, "if activation is None", "if True"),
    Fault(*PROJECT, "x, kernel)", "x, ops.flip(kernel, 0))"),
    Fault(*PROJECT, "x, kernel)", "x, ops.flip(kernel, 1))"),
    Fault(*CALL, "self._query_dense(query)", "self._key_dense(query)"),
    Fault(
        *CALL, "value if key is None else key", "value if key is None else keras.ops.flip(key, 1)"
    ),
    Fault(*CALL, "if self._use_gate", "if False"),
    Fault(*CALL, "context * self._gate_dense(query)", "context + self._gate_dense(query)"),
    Fault(
        *CALL,
        "mask_of_scores(query_mask, value_mask, key_mask)",
        "mask_of_scores(query_mask, None, key_mask)",
    ),
    Fault(
        *CALL,
        "mask_of_scores(query_mask, value_mask, key_mask)",
        "mask_of_scores(query_mask, value_mask, None)",
    ),
    Fault(*CALL, "both(attention_mask, ", "both(None, "),
    Fault(*CALL, "self.positional_mask(query, value, causal, self._attention_axes)", "None"),
    Fault(attention_in_heads, "sliding_window_mask", "ops.abs(t - s)", "(t - s)"),
    Fault(attention_in_heads, "sliding_window_mask", ") < window", ") <= window"),
    Fault(attention_in_heads, "causal_mask", "t >= s", "t > s"),
    Fault(masks, "both", "ops.logical_and", "ops.logical_or"),
    Fault(*ATTEND_IN_HEADS, "self._dropout == 0", "True"),
]

GROUP_CALL = (group_query_attention.GroupedQueryAttention, "call")
GROUP_MASKS = "mask_of_scores(query_mask, value_mask, key_mask)"

GROUP_QUERY = [
    Fault(
        group_query_attention,
        "repeat_for_queries",
        "ops.repeat(heads, repeats, axis=2)",
        "ops.tile(heads, [1, 1, repeats, 1])",
    ),
    Fault(group_query_attention, "repeat_for_queries", "(heads,", "(ops.flip(heads, 2),"),
    Fault(*GROUP_CALL, "if key is None else key", "if key is None else ops.flip(key, 1)"),
    Fault(*GROUP_CALL, "self._key_dense(key)", "self._value_dense(key)"),
    Fault(*GROUP_CALL, "self._value_dense(value)", "self._key_dense(value)"),
    Fault(*GROUP_CALL, "if self._use_gate", "if False"),
    Fault(*GROUP_CALL, "context * self._gate_dense(query)", "context + self._gate_dense(query)"),
    Fault(*GROUP_CALL, "both(attention_mask, ", "both(None, "),
    Fault(*GROUP_CALL, GROUP_MASKS, "mask_of_scores(None, value_mask, key_mask)"),
    Fault(*GROUP_CALL, GROUP_MASKS, "mask_of_scores(query_mask, None, key_mask)"),
    Fault(*GROUP_CALL, GROUP_MASKS, "mask_of_scores(query_mask, value_mask, None)"),
    Fault(*GROUP_CALL, "self.positional_mask(query, value, causal, STEPS)", "None"),
    Fault(*GROUP_CALL, "value, causal, STEPS", "value, False, STEPS"),
    Fault(*GROUP_CALL, "training=training", "training=False"),
    Fault(*GROUP_CALL, "if return_attention_scores else {}", "if False else {}"),
    Fault(*ATTEND_IN_HEADS, "self._dropout == 0", "True"),
    Fault(*ATTEND_IN_HEADS, "arguments = (query, key, value", "arguments = (query, key, key"),
    Fault(*POSITIONS, "causal_mask(*steps) if causal else None", "None"),
    Fault(*POSITIONS, "None if window is None else", "None if True else"),
]

TO_KEPT = (cross_attention, "attend_to_kept")
PAPER_CALL = (cross_attention.CrossAttention, "call")
BAHDANAU = (bahdanau, "bahdanau_scores")
GENERAL = (luong, "luong_general_scores")
LUONG_CONCAT = (luong, "luong_concat_scores")

PAPERS = [
    Fault(*BAHDANAU, "query, W_query", "query, ops.flip(W_query, 0)"),
    Fault(
        *BAHDANAU,
        "ops.matmul(query, W_query)",
        "ops.matmul(query, ops.reshape(ops.transpose(W_query), W_query.shape))",
    ),
    Fault(*BAHDANAU, "key, W_key", "key, W_query[:2]"),
    Fault(*BAHDANAU, "query, W_query", "query, ops.concatenate([W_key, W_query[2:]], 0)"),
    Fault(*BAHDANAU, "ops.tanh(q + k)", "ops.tanh(q - k)"),
    Fault(*BAHDANAU, "ops.tanh(q + k)", "ops.tanh(q * k)"),
    Fault(*BAHDANAU, "ops.tanh(q + k)", "q + k"),
    Fault(*BAHDANAU, "hidden * v", "hidden"),
    Fault(*BAHDANAU, "hidden * v", "hidden * ops.flip(v)"),
    Fault(luong, "luong_dot_scores", "query, ops.swapaxes(key", "query / 2, ops.swapaxes(key"),
    Fault(luong, "luong_dot_scores", "key, -2, -1)", "ops.flip(key, -1), -2, -1)"),
    Fault(*GENERAL, "query, W", "query, ops.reshape(ops.transpose(W), W.shape)"),
    Fault(*GENERAL, "query, W", "query, ops.flip(W, 0)"),
    Fault(*LUONG_CONCAT, "ops.split(W,", "ops.split(ops.roll(W, 1, axis=0),"),
    Fault(*LUONG_CONCAT, "query, W_q", "query, ops.concatenate([W_k, W_q[2:]], 0)"),
    Fault(*LUONG_CONCAT, "ops.tanh(q + k)", "ops.tanh(q - k)"),
    Fault(*LUONG_CONCAT, "ops.tanh(q + k)", "(q + k)"),
    Fault(*LUONG_CONCAT, " * v,", ","),
    Fault(*TO_KEPT, "if mask is None", "if True"),
    Fault(*TO_KEPT, "ops.where(mask, attention_scores,", "ops.where(~mask, attention_scores,"),
    Fault(*TO_KEPT, "ops.where(mask, weights, 0.0)", "weights"),
    Fault(
        *TO_KEPT, "ops.softmax(attention_scores, axis=-1)", "ops.softmax(attention_scores, axis=-2)"
    ),
    Fault(*TO_KEPT, "-3e4 if half else -1e9), axis=-1)", "-1e9), axis=-2)"),
    Fault(*TO_KEPT, "ops.matmul(kept, value)", "ops.matmul(kept, ops.flip(value, 1))"),
    Fault(*PAPER_CALL, "key = value if key is None else key", "key = value[..., :2]"),
    Fault(*PAPER_CALL, "self._checked_mask(mask, query, key)", "None"),
    Fault(*PAPER_CALL, "if query_mask is not None", "if False"),
    Fault(
        *PAPER_CALL, "query_mask, value_mask, key_mask, query", "query_mask, None, key_mask, query"
    ),
    Fault(*PAPER_CALL, "value_mask, key_mask, query", "value_mask, None, query"),
]


PAIRS = {
    "ATTENTION": pairs_attention.ATTENTION,
    "MULTI_HEAD": pairs_attention.MULTI_HEAD,
    "GROUP_QUERY": pairs_group_query.PAIRS,
}


@functools.cache
def beside_keras(name):
    """Of each pair: our layer, its arguments, its states, and what Keras's layer returns."""
    prepared = []
    for pair in filter(harness.runs_here, PAIRS[name]):
        own, builtin = harness.build_with_same_random_weights(pair, "float64")
        args, kwargs = harness.draw_call(pair, "float64", seed=8)
        states = [ops.convert_to_numpy(variable) for variable in own.non_trainable_variables]
        wanted = outputs(builtin(*args, **kwargs))
        prepared.append((own, args, kwargs, states, pair.tolerance["float64"], wanted))
    return prepared


def outputs(tensors):
    return {
        f"output/{i}": ops.convert_to_numpy(y) for i, y in enumerate(keras.tree.flatten(tensors))
    }


def agree_with_keras(name):
    """Outputs of each pair, in float64; raises where they differ from Keras's."""
    with precision("float64"):
        for own, args, kwargs, states, tolerance, wanted in beside_keras(name):
            for variable, state in zip(own.non_trainable_variables, states, strict=True):
                variable.assign(state)
            assert_close(outputs(own(*args, **kwargs)), wanted, relative=tolerance)


@functools.cache
def beside_loops():
    """Of each paper's layer and setting: the layer, its arguments, and what the loops return."""
    prepared = []
    of_keys, of_scores = cases.masks()
    of_rows = of_keys[:, None].repeat(cases.T, axis=1)
    query_mask = np.arange(cases.T) < np.array([[4], [3], [2]])
    settings = [
        ({}, None),
        ({"mask": of_keys}, of_rows),
        ({"mask": of_scores}, of_scores),
        ({"value_mask": of_keys, "query_mask": query_mask}, of_rows),
        ({"key_mask": of_keys}, of_rows),
    ]
    for case in cases.CASES:
        layer, arguments = cases.build(case), cases.draw(case)
        for keywords, keep in settings:
            context, weights = cases.expected(case, layer, arguments, keep)
            if "query_mask" in keywords:
                context[~query_mask] = 0
            prepared.append((layer, arguments, keywords, (context, weights)))
    return prepared


def agree_with_loops():
    """Contexts and weights of the papers' layers; raises where they differ from the loops'."""
    with precision("float64"):
        for layer, arguments, keywords, expected in beside_loops():
            got = layer(*arguments, **keywords, return_attention_scores=True)
            for array, wanted in zip(got, expected, strict=True):
                np.testing.assert_allclose(ops.convert_to_numpy(array), wanted, atol=1e-12)


@pytest.fixture(autouse=True)
def sound_layers(fresh_keras_state):
    """What faults are compared with is made before any is planted."""
    with precision("float64"):
        [beside_keras(name) for name in PAIRS], beside_loops()


def test_the_comparisons_pass_without_a_fault():
    for name in PAIRS:
        agree_with_keras(name)
    agree_with_loops()


def notices(comparison, fault, monkeypatch):
    monkeypatch.setattr(fault.owner, fault.name, mutant_of(fault))
    try:
        comparison()
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("fault", LIST_LAYERS, ids=str)
def test_faults_in_attention_and_additive_attention_are_noticed(fault, monkeypatch):
    assert notices(lambda: agree_with_keras("ATTENTION"), fault, monkeypatch)


@pytest.mark.parametrize("fault", MULTI_HEAD, ids=str)
def test_faults_in_multi_head_attention_are_noticed(fault, monkeypatch):
    assert notices(lambda: agree_with_keras("MULTI_HEAD"), fault, monkeypatch)


@pytest.mark.parametrize("fault", GROUP_QUERY, ids=str)
def test_faults_in_grouped_query_attention_are_noticed(fault, monkeypatch):
    assert notices(lambda: agree_with_keras("GROUP_QUERY"), fault, monkeypatch)


@pytest.mark.parametrize("fault", PAPERS, ids=str)
def test_faults_in_the_papers_attention_are_noticed(fault, monkeypatch):
    assert notices(agree_with_loops, fault, monkeypatch)
