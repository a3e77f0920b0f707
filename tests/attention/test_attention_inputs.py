"""What does not fit raises one line that names layer, rule, value and way out."""

import re

import numpy as np
import pytest

from custom_layers.attention.additive import AdditiveAttention
from custom_layers.attention.attention import Attention
from custom_layers.attention.bahdanau import BahdanauAttention
from custom_layers.attention.group_query_attention import (
    GroupedQueryAttention as GroupQueryAttention,
)
from custom_layers.attention.luong import LuongAttention
from custom_layers.attention.multi_head import MultiHeadAttention


def zeros(*shape):
    return np.zeros(shape, dtype="float32")


def true(*shape):
    return np.ones(shape, dtype=bool)


Q, K = zeros(2, 4, 3), zeros(2, 7, 3)

WRONG = {
    "bahdanau-units": (lambda: BahdanauAttention(0), r"bahdanau: `units`.*units=0"),
    "bahdanau-dropout": (lambda: BahdanauAttention(3, dropout=1.0), r"bahdanau: `dropout`.*=1.0"),
    "bahdanau-rank": (
        lambda: BahdanauAttention(3)(zeros(2, 3), K),
        r"bahdanau: .*\(batch, steps, features\).*query.shape=\(2, 3\).*\(batch, 1, features\)",
    ),
    "bahdanau-key-steps": (
        lambda: BahdanauAttention(3)(Q, K, key=zeros(2, 5, 3)),
        r"bahdanau: .*key_steps.*key.shape=\(2, 5, 3\)",
    ),
    "bahdanau-batch": (lambda: BahdanauAttention(3)(Q, zeros(3, 7, 3)), r"bahdanau: .*one batch"),
    "bahdanau-mask": (
        lambda: BahdanauAttention(3)(Q, K, mask=true(2, 5)),
        r"bahdanau: `mask` must be \(batch, key_steps\) = \(2, 7\). "
        r"Received: mask.shape=\(2, 5\). Slice or pad it to `key`.",
    ),
    "bahdanau-mask-of-scores": (
        lambda: BahdanauAttention(3)(Q, K, mask=true(2, 7, 4)),
        r"bahdanau: `mask` must broadcast.*\(2, 4, 7\).*\(2, 7, 4\)",
    ),
    "bahdanau-value-mask": (
        lambda: BahdanauAttention(3)(Q, K, value_mask=true(2, 4)),
        r"bahdanau: `value_mask`.*\(2, 7\).*\(2, 4\)",
    ),
    "luong-score": (lambda: LuongAttention("add"), r"luong: `score`.*'dot'.*'add'"),
    "luong-units-missing": (lambda: LuongAttention("concat"), r"luong: `units`.*None"),
    "luong-units-idle": (lambda: LuongAttention("dot", 3), r"luong: `units`.*units=3"),
    "luong-dot-features": (
        lambda: LuongAttention("dot")(zeros(2, 4, 5), K),
        r"luong: score='dot'.*\(2, 4, 5\).*general",
    ),
    "luong-mask": (lambda: LuongAttention()(Q, K, mask=true(2, 5)), r"luong: `mask` .*\(2, 5\)"),
    "attention-list": (lambda: Attention()(Q), r"attention: .*must be called on a list"),
    "attention-one": (lambda: Attention()([Q]), r"attention: .*length 2 or 3.*=1"),
    "attention-mode": (lambda: Attention(score_mode="add"), r"attention: .*score_mode='add'"),
    "attention-dropout": (lambda: Attention(dropout=2), r"attention: `dropout`.*dropout=2"),
    "attention-rank": (lambda: Attention()([zeros(2, 3), K]), r"attention: .*query=\(2, 3\)"),
    "attention-features": (
        lambda: Attention()([zeros(2, 4, 5), K]),
        r"attention: .*equally many features.*Dense",
    ),
    "attention-steps": (
        lambda: Attention()([Q, K, zeros(2, 6, 3)]),
        r"attention: .*equally many steps.*\(2, 6, 3\)",
    ),
    "attention-mask": (
        lambda: Attention()([Q, K], mask=[None, true(2, 5)]),
        r"attention: `value_mask`.*\(2, 7\).*\(2, 5\)",
    ),
    "attention-query-mask": (
        lambda: Attention()([Q, K], mask=[true(2, 5), None]),
        r"attention: `query_mask`.*\(2, 4\).*\(2, 5\)",
    ),
    "additive-mode": (
        lambda: AdditiveAttention(score_mode="dot"),
        r"additive_attention: .*score_mode='dot'",
    ),
    "additive-features": (
        lambda: AdditiveAttention()([zeros(2, 4, 5), K]),
        r"additive_attention: .*equally many features",
    ),
    "multi-head-heads": (lambda: MultiHeadAttention(0, 2), r"multi_head_.*`num_heads`.*=0"),
    "multi-head-dropout": (lambda: MultiHeadAttention(1, 2, dropout=-1), r"`dropout`.*-1"),
    "multi-head-rank": (lambda: MultiHeadAttention(1, 2)(zeros(2, 3), zeros(2, 3)), r"\(2, 3\)"),
    "multi-head-ranks": (
        lambda: MultiHeadAttention(1, 2)(zeros(2, 4, 5, 3), K),
        r"multi_head_attention: query and value must have equally many axes",
    ),
    "multi-head-steps": (
        lambda: MultiHeadAttention(1, 2)(Q, K, zeros(2, 6, 3)),
        r"multi_head_attention: .*must be equal.*\(2, 6, 3\)",
    ),
    "multi-head-axes": (
        lambda: MultiHeadAttention(1, 2, attention_axes=2)(Q, K),
        r"multi_head_attention: `attention_axes`.*\(2,\)",
    ),
    "multi-head-mask": (
        lambda: MultiHeadAttention(1, 2)(Q, K, attention_mask=true(2, 7)),
        r"multi_head_attention: `attention_mask`.*\(2, 4, 7\).*\(2, 7\).*\(batch, 1, key_steps\)",
    ),
    "multi-head-value-mask": (
        lambda: MultiHeadAttention(1, 2)(Q, K, value_mask=true(2, 4)),
        r"multi_head_attention: `value_mask`.*\(2, 7\).*\(2, 4\)",
    ),
    "multi-head-mask-rank": (
        lambda: MultiHeadAttention(1, 2)(Q, K, attention_mask=true(1, 2, 1, 4, 7)),
        r"multi_head_attention: `attention_mask`",
    ),
    "group-query-size": (lambda: GroupQueryAttention(0, 2, 1), r"group_query_.*`head_dim`.*=0"),
    "group-query-heads": (lambda: GroupQueryAttention(2, 2.0, 1), r"`num_query_heads`.*=2.0"),
    "group-query-groups": (lambda: GroupQueryAttention(2, 2, -1), r"`num_key_value_heads`.*=-1"),
    "group-query-ratio": (
        lambda: GroupQueryAttention(2, 4, 3),
        r"group_query_attention: .*divisible.*num_query_heads=4, num_key_value_heads=3",
    ),
    "group-query-dropout": (
        lambda: GroupQueryAttention(2, 2, 1, dropout=2),
        r"group_query_attention: `dropout`.*dropout=2",
    ),
    "group-query-window": (
        lambda: GroupQueryAttention(2, 2, 1, sliding_window=0),
        r"group_query_attention: .*`sliding_window`.*sliding_window=0",
    ),
    "group-query-flash": (
        lambda: GroupQueryAttention(2, 2, 1, dropout=0.1, flash_attention=True),
        r"group_query_attention: Dropout is not supported",
    ),
    "group-query-rank": (
        lambda: GroupQueryAttention(2, 2, 1)(zeros(2, 3, 4, 5), zeros(2, 3, 4, 5)),
        r"group_query_attention: .*\(batch, steps, features\).*MultiHeadAttention",
    ),
    "group-query-steps": (
        lambda: GroupQueryAttention(2, 2, 1)(Q, K, zeros(2, 6, 3)),
        r"group_query_attention: .*must be equal.*\(2, 6, 3\)",
    ),
    "group-query-features": (
        lambda: GroupQueryAttention(2, 2, 1).compute_output_shape((2, 4, 5), (2, 7, 3)),
        r"group_query_attention: .*must be equal.*\(2, 7, 3\).*MultiHeadAttention",
    ),
    "group-query-mask": (
        lambda: GroupQueryAttention(2, 2, 1)(Q, K, attention_mask=true(2, 7)),
        r"group_query_attention: `attention_mask`.*\(2, 4, 7\).*\(2, 7\)",
    ),
    "group-query-key-mask": (
        lambda: GroupQueryAttention(2, 2, 1)(Q, K, key_mask=true(2, 4)),
        r"group_query_attention: `key_mask`.*\(2, 7\).*\(2, 4\)",
    ),
    "multi-head-causal-axes": (
        lambda: MultiHeadAttention(1, 2)(
            zeros(2, 3, 4, 5), zeros(2, 3, 4, 5), use_causal_mask=True
        ),
        r"multi_head_attention: `use_causal_mask`.*one attended axis",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_named_in_one_line(name):
    act, pattern = WRONG[name]
    with pytest.raises(ValueError, match=pattern) as caught:
        act()
    bold_off = re.sub(r"\x1b\[\dm", "", str(caught.value))  # Keras prints what `call` raises so
    assert re.search(r"(?m)^[a-z_]+: .*Received: .*\.$", bold_off)


@pytest.mark.parametrize("act", ["quantize", "enable_lora"])
@pytest.mark.parametrize("make", [MultiHeadAttention, lambda *n: GroupQueryAttention(*n, 1)])
def test_lora_and_quantization_point_to_keras(make, act):
    layer = make(1, 2)
    layer(Q, K)
    arguments = {"quantize": ("int8",), "enable_lora": (2,)}[act]
    with pytest.raises(NotImplementedError, match=r"keras\.layers\.MultiHeadAttention"):
        getattr(layer._query_dense, act)(*arguments)
