r"""Scaled dot-product attention over heads, for any number of attended axes.

    e_hts = q_ht . k_hs / sqrt(key_dim)                   (1)
    a_hts = softmax over s of e_hts, where m_ts is True   (2)
    c_ht  = sum_s a_hts v_hs                              (3)

t runs over the query's positions and s over the key's (several axes at once, if attention is over
several), h over heads. q: (batch, *query_axes, heads, key_dim), k: (batch, *key_axes, heads,
key_dim), v: (batch, *key_axes, heads, value_dim).
Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1, equation (1).

`written_order` and `fused_order` differ in three places, where Keras's own paths do: in half
precision `fused_order` scores in float32; it scales the scores and not the query; and in a row
without any True it averages over all keys, where `written_order` yields zero. `kernel_order` is
`fused_order` left to the backend: the same numbers, and nothing to see on the way.
"""

import string
from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
from keras import ops

from custom_layers.attention.masks import both, causal_mask
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.taps import Tap, untapped


class MultiHeadStep(NamedTuple):
    """Every named quantity from the scores on; scores and weights are (batch, heads, t, s)."""

    attention_scores: Tensor  # before mask and softmax
    attention_weights: Tensor  # after the softmax; rows sum to 1, or to 0 where nothing is kept
    kept_weights: Tensor  # after dropout
    context: Tensor  # (batch, *query_axes, heads, value_dim)


class Equations(NamedTuple):
    """The two sums, as einsum writes them."""

    scores: str  # key, query -> scores
    context: str  # weights, value -> context


def attention_equations(rank: int, attention_axes: Sequence[int]) -> Equations:
    """For projected tensors of this rank, (batch, axes ..., heads, size).

    Axes that are not attended count as batch. With rank 4 and axis 1, as usual:
    "aecd,abcd->acbe" and "acbe,aecd->abcd".
    """
    query = string.ascii_lowercase[:rank]
    fresh = iter(string.ascii_lowercase[rank:])
    key = "".join(next(fresh) if axis in attention_axes else query[axis] for axis in range(rank))
    batch = "".join(query[axis] for axis in range(rank - 1) if axis not in attention_axes)
    t = "".join(query[axis] for axis in attention_axes)
    s = "".join(key[axis] for axis in attention_axes)
    return Equations(f"{key},{query}->{batch}{t}{s}", f"{batch}{t}{s},{key}->{query}")


def shape_of_scores(
    query: Shape, key: Shape, heads: int, attention_axes: Sequence[int]
) -> tuple[int | None, ...]:
    """(batch, other axes ..., heads, query's axes ..., key's axes ...), before projection."""
    other = [query[axis] for axis in range(len(query) - 1) if axis not in attention_axes]
    t, s = [query[axis] for axis in attention_axes], [key[axis] for axis in attention_axes]
    return (*other, heads, *t, *s)


def broadcast_to_heads(mask: Tensor, rank_of_scores: int, attended: int) -> Tensor:
    """Insert the axes that the mask lacks before its (t, s), such as that of the heads."""
    for _ in range(rank_of_scores - len(mask.shape)):
        mask = ops.expand_dims(mask, axis=-2 * attended - 1)
    return ops.cast(mask, "bool")


def softmax_over(scores: Tensor, attended: int) -> Tensor:
    """Softmax over the last `attended` axes together."""
    if attended == 1:
        return ops.softmax(scores, axis=-1)
    along = tuple(range(-attended, 0))
    return ops.exp(scores - ops.logsumexp(scores, axis=along, keepdims=True))


def written_order(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scale: float,
    attention_axes: Sequence[int],
    drop: Callable[[Tensor], Tensor] | None = None,
    tap: Tap = untapped,
) -> MultiHeadStep:
    """Equations (1) to (3). A row without any True has zero weights and a zero context."""
    attended = len(attention_axes)
    equations = attention_equations(len(query.shape), attention_axes)
    scores = ops.einsum(equations.scores, key, query * ops.cast(scale, query.dtype))  # (1)
    scores = tap("attention_scores", scores)
    if mask is None:
        weights = softmax_over(scores, attended)
    else:
        mask = broadcast_to_heads(mask, len(scores.shape), attended)
        masked = -3e4 if keras.backend.standardize_dtype(scores.dtype) == "float16" else -1e9
        weights = softmax_over(ops.where(mask, scores, masked), attended)  # (2)
        weights = ops.where(mask, weights, 0.0)
    weights = tap("attention_weights", weights)
    kept = weights if drop is None else drop(weights)
    context = ops.einsum(equations.context, kept, value)  # (3)
    return MultiHeadStep(scores, weights, kept, context)


def fused_order(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scale: float,
    attention_axes: Sequence[int],
    tap: Tap = untapped,
) -> MultiHeadStep:
    """Equations (1) to (3), in the order of `keras.ops.dot_product_attention`."""
    attended = len(attention_axes)
    equations = attention_equations(len(query.shape), attention_axes)
    half = keras.backend.standardize_dtype(query.dtype) in ("float16", "bfloat16")
    precise = "float32" if half else query.dtype
    scores = scale * ops.cast(ops.einsum(equations.scores, key, query), precise)  # (1)
    scores = tap("attention_scores", scores)
    seen = scores
    if mask is not None:
        seen = ops.where(broadcast_to_heads(mask, len(scores.shape), attended), scores, -1e38)
    weights = ops.cast(softmax_over(seen, attended), key.dtype)  # (2)
    weights = tap("attention_weights", weights)
    context = ops.einsum(equations.context, weights, value)  # (3)
    return MultiHeadStep(scores, weights, weights, context)


def kernel_order(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scale: float,
    causal: bool = False,
    flash: bool | None = None,
) -> Tensor:
    """Equations (1) to (3) by `keras.ops.dot_product_attention`: the context alone.

    For four axes, of which axis 1 is attended. A mask that is causal and nothing else is left to the
    kernel. `flash` is True where no kernel but that one will do.
    """
    if keras.backend.standardize_dtype(query.dtype) == "float64":
        query, scale = query * scale, 1.0  # TensorFlow's kernel rounds `scale` to float32
    if causal and mask is not None:
        mask = both(mask, causal_mask(ops.shape(query)[1], ops.shape(key)[1]))
    mask = None if mask is None else broadcast_to_heads(mask, 4, 1)
    is_causal = causal and mask is None
    return ops.dot_product_attention(
        query, key, value, mask=mask, scale=scale, is_causal=is_causal, flash_attention=flash
    )
