r"""Scaled dot-product attention of a single query, which decoding asks at every step.

    e_hs = q_h . k_hs / sqrt(key_dim)                        (1)
    a_hs = exp(e_hs) / sum_r exp(e_hr), r where m_r is True  (2)
    c_h  = sum_s a_hs v_hs                                   (3)

These are the equations of `scaled_dot_product.py` for one t. A key is used by one query alone, so that
sums of products, in the order in which the keys lie, do what matrix products and the transpositions
before them do for many: on a CPU, where a small product costs the threads that it wakes, in a third of
the time. The numbers are the same, but for the order of their sums.
"""

from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Tensor


def one_query_context(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scale: float,
    zero_rows: bool = False,
) -> Tensor:
    """Equations (1) to (3): the context (batch, 1, heads, value_dim).

    Args:
        query: (batch, 1, heads, key_dim).
        key, value: (batch, s, heads, key_dim) and (batch, s, heads, value_dim).
        mask: bool (batch, 1, s) or (batch, heads, 1, s), or what broadcasts to one of them.
        scale: 1 / sqrt(key_dim).
        zero_rows: whether a row without any True has zero weights, as in `written_order`; else it
            averages over all keys, as in `fused_order`.
    """
    half = keras.backend.standardize_dtype(query.dtype) in ("float16", "bfloat16")
    precise = "float32" if half else query.dtype
    scores = scale * ops.cast(ops.sum(key * query, axis=-1), precise)  # (1), (batch, s, heads)
    if mask is not None:
        of_heads = mask if len(mask.shape) == 4 else ops.expand_dims(mask, axis=1)
        kept = ops.cast(ops.swapaxes(ops.squeeze(of_heads, axis=2), 1, 2), scores.dtype)
        scores = kept * scores - 1e38 * (1 - kept)  # as `where` would have it, without its cost
    shares = ops.exp(scores - ops.max(scores, axis=1, keepdims=True))
    weights = shares / ops.sum(shares, axis=1, keepdims=True)  # (2)
    if mask is not None and zero_rows:
        weights = kept * weights
    weights = ops.expand_dims(ops.cast(weights, value.dtype), axis=-1)
    return ops.sum(weights * value, axis=1, keepdims=True)  # (3)


def updated(cache: Tensor, new: Tensor, index: Any) -> Tensor:
    """The cache (batch, 2, s, heads, key_dim) with `new`, n steps of it, written from `index` on."""
    if new.shape[2] != 1:
        return ops.slice_update(cache, [0, 0, index, 0, 0], new)
    here = ops.equal(ops.arange(ops.shape(cache)[2], dtype="int32"), index)
    return ops.where(ops.reshape(here, (-1, 1, 1)), new, cache)
