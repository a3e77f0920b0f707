"""Grouped-query attention: every ratio of heads, and the settings in which it could differ."""

from tests.parity.differentiate import BACKEND
from tests.parity.harness import Pair, ragged_mask
from tests.parity.pairs_attention import (
    BATCH,
    FLOAT32,
    KEY_DIM,
    VALUES,
    WIDE,
    S,
    T,
    attention_mask,
    causal_alone,
    everything,
    mask_of_rows,
    number_mask,
    query_value,
    rows_and_training,
    self_attention,
    step_masks,
    with_scores,
)

# With four heads of query: "multi query" (1), between (2), and as many as the query has (4).
GROUPS = (1, 2, 4)


def query_value_and_narrow_key(rng):
    return *query_value(rng), rng.standard_normal((BATCH, S, VALUES))


def query_mask(rng):
    """Rows without any True: one path averages in them, the other gives zero."""
    return {"query_mask": ragged_mask(BATCH, T), "value_mask": ragged_mask(BATCH, S)}


def attention_mask_and_masks(rng):
    return {**attention_mask(rng), **step_masks(rng), "return_attention_scores": True}


def mask_for_each_head(rng):
    mask = rng.random((BATCH, 4, T, S)) < 0.6
    mask[..., 0] = True
    return {"attention_mask": mask}


def group_query(name, groups=2, keywords=None, inputs=query_value, **config):
    options = {} if keywords is None else {"keywords": keywords}
    config = {"num_query_heads": 4, "num_key_value_heads": groups, **config}
    # Torch's fused kernel has a gradient of its own in rows without any True, which some settings have
    rows = name.endswith(("without-key", "all-masks", "query-mask"))
    return Pair(
        f"group-query{name}",
        lambda layers: layers.GroupQueryAttention(KEY_DIM, **config),
        inputs,
        smooth="dropout" not in config and (WIDE or "use_gate" not in config),
        tolerance=FLOAT32,
        second_order=BACKEND != "torch",
        backends=("tensorflow", "jax") if rows else ("tensorflow", "jax", "torch"),
        **options,
    )


PAIRS = [
    *(group_query(f"-of-{groups}", groups) for groups in GROUPS),
    *(group_query(f"-of-{n}-scores", n, with_scores(attention_mask)) for n in GROUPS),
    *(
        group_query(f"-of-{n}-dropout", n, rows_and_training, dropout=0.4, seed=3, use_gate=n == 1)
        for n in GROUPS
    ),
    group_query("-of-3-in-6", 3, step_masks, num_query_heads=6),
    group_query("-self", 1, inputs=self_attention, num_query_heads=2, use_bias=False),
    group_query("-gate", 1, step_masks, use_gate=True),
    group_query("-gate-scores", 2, attention_mask_and_masks, use_gate=True, use_bias=False),
    group_query("-key", 2, step_masks, inputs=query_value_and_narrow_key),
    group_query("-query-mask", 2, query_mask),
    group_query("-query-mask-scores", 2, with_scores(query_mask)),
    group_query("-mask-without-batch", 2, number_mask),
    group_query("-mask-of-heads", 2, mask_for_each_head),
    group_query("-rows-without-key", 2, mask_of_rows),
    group_query("-rows-with-scores", 2, with_scores(mask_of_rows)),
    group_query("-all-masks", 2, everything, sliding_window=3),
    group_query("-all-masks-scores", 1, with_scores(everything), sliding_window=3),
    group_query("-causal", 2, causal_alone),
    group_query("-causal-scores", 2, with_scores(causal_alone)),
    group_query("-causal-dropout", 1, causal_alone, dropout=0.2, seed=5),
    group_query("-causal-window", 1, causal_alone, sliding_window=2),
    group_query("-window", 2, sliding_window=2),
    group_query("-window-scores", 4, with_scores(attention_mask), sliding_window=3),
    group_query(
        "-regularized",
        1,
        kernel_initializer="he_normal",
        bias_initializer="random_normal",
        kernel_regularizer="l2",
        bias_regularizer="l1",
        activity_regularizer="l2",
        kernel_constraint="non_neg",
        bias_constraint="max_norm",
        use_gate=True,
    ),
]
