"""One query against the orders for many, and its path through the cached layer."""

import numpy as np
import pytest
import tensorflow as tf

from custom_layers import CachedMultiHeadAttention
from custom_layers.attention import cached_multi_head
from custom_layers.attention.one_query import one_query_context, updated
from custom_layers.attention.scaled_dot_product import fused_order, written_order

BATCH, S, HEADS, SIZE = 3, 5, 2, 4
rng = np.random.default_rng(0)
Q, K, V, G = (rng.standard_normal((BATCH, n, HEADS, SIZE)) for n in (1, S, S, 1))
MASKS = {
    "no mask": None,
    "every sentence its own": rng.random((BATCH, 1, S)) > 0.4,
    "one for all": np.array([[[True, True, False, True, False]]]),
    "every head its own": rng.random((BATCH, HEADS, 1, S)) > 0.4,
    "a row without keys": np.arange(S)[None, None] < np.array([0, 2, 5])[:, None, None],
}


def context_and_gradients(function):
    """Of query, key and value, against one random cotangent."""
    inputs = [tf.constant(t) for t in (Q, K, V)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        context = function(*inputs)
        loss = tf.reduce_sum(context * G)
    return [context, *tape.gradient(loss, inputs)]


@pytest.mark.parametrize("zero_rows", [True, False], ids=["zero rows", "average"])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_it_is_the_order_for_many_queries(mask, zero_rows):
    order = written_order if zero_rows else fused_order
    one = context_and_gradients(lambda *qkv: one_query_context(*qkv, mask, 0.5, zero_rows))
    many = context_and_gradients(lambda *qkv: order(*qkv, mask, 0.5, (1,)).context)
    for got, wanted in zip(one, many, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-12)


def test_large_scores_do_not_overflow():
    far = one_query_context(*(tf.constant(t) for t in (1e3 * Q, 1e3 * K, V)), None, 0.5)
    assert np.isfinite(far).all()


@pytest.mark.parametrize("index", [0, 2, S - 1])
def test_one_position_is_written_and_no_other(index):
    cache = rng.standard_normal((BATCH, 2, S, HEADS, SIZE))
    new = rng.standard_normal((BATCH, 2, 1, HEADS, SIZE))
    wanted = cache.copy()
    wanted[:, :, index : index + 1] = new
    got = updated(tf.constant(cache), tf.constant(new), tf.constant(index))
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(
    ("options", "taken"),
    [({}, True), ({"training": True}, False), ({"return_attention_scores": True}, False)],
    ids=str,
)
def test_the_layer_takes_it_where_nothing_is_dropped_and_nobody_watches(
    options, taken, monkeypatch
):
    calls = []

    def spied(*arguments):
        calls.append(arguments)
        return one_query_context(*arguments)

    monkeypatch.setattr(cached_multi_head, "one_query_context", spied)
    layer = CachedMultiHeadAttention(HEADS, SIZE, dropout=0.5)
    x = tf.constant(rng.standard_normal((BATCH, 1, 6)), tf.float32)
    cache = tf.constant(rng.standard_normal((BATCH, 2, S, HEADS, SIZE)), tf.float32)
    layer(x, x, cache=cache, cache_update_index=2, **options)
    assert bool(calls) == taken
