r"""Multi-head attention that remembers the keys and values of earlier steps.

Decoding adds one position t at a time. Its query attends to all positions up to t, whose keys and values
do not change any more; so they are kept, and a step costs one position's work:

    K[t] = k_t,  V[t] = v_t                                (1) updated cache, t = `cache_update_index`
    c_t  = attention(q_t, K, V)                            (2) equation (2) of `multi_head.py`

In cross attention K and V are those of the encoded sentence: (1) is done once for all its positions, and
every later step reads them. A single query is answered by `one_query.py`.
Source: Shazeer 2019, arXiv:1911.02150, section 2.4, as incremental attention.
"""

from typing import Any

import keras
from keras import ops

from custom_layers.attention.multi_head import MultiHeadAttention
from custom_layers.attention.multi_head_arguments import check_shapes
from custom_layers.attention.one_query import one_query_context, updated
from custom_layers.core.protocols import Tensor
from custom_layers.core.shape_check import require, require_shape
from custom_layers.core.taps import listener_of


@keras.saving.register_keras_serializable(package="custom_layers")
class CachedMultiHeadAttention(MultiHeadAttention):
    """`MultiHeadAttention` with a cache of keys and values, for decoding; constructed as it is.

    Call arguments:
        query: (batch, query_steps, query_features).
        value, key: (batch, new_steps, features); key is value where it is not given. Without a cache
            they are what is attended; with one and an index they are written into it; with one and no
            index they are not read.
        attention_mask: bool (batch, query_steps, key_steps), True = attend; key_steps is the cache's
            where there is one. Positions that no step has written yet must be masked.
        cache: (batch, 2, key_steps, heads, key_dim), keys and values.
        cache_update_index: int or scalar int tensor, the position of the first of the new steps.
        return_attention_scores: whether to return the weights, too.
        training: whether to drop.
    Returns: y (batch, query_steps, output_shape); then the attention weights (batch, heads,
        query_steps, key_steps) where asked for; then the cache, with the new steps in it, where one
        was given.
    Weights: as `MultiHeadAttention`.
    Raises: ValueError for an index without a cache, for a cache of another shape, and as
        `MultiHeadAttention`.
    Differs from keras_hub.layers.CachedMultiHeadAttention: a cache of a wrong shape is named in one
        line; symbolic calls know the shapes of all that is returned; no paged attention for serving.
        As there, masks that Keras has attached to the inputs are neither used nor taken off.
    """

    owner = "cached_multi_head_attention"

    def call(  # type: ignore[override]  # KerasHub's arguments, not MultiHeadAttention's
        self,
        query: Tensor,
        value: Tensor,
        key: Tensor | None = None,
        attention_mask: Tensor | None = None,
        cache: Tensor | None = None,
        cache_update_index: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> Any:
        self._check_cache(cache, cache_update_index)
        key = value if key is None else key
        check_shapes(query.shape, value.shape, key.shape, owner=self.owner)
        if cache is None:
            keys, values = self._key_dense(key), self._value_dense(value)
        else:
            if cache_update_index is not None:
                new = ops.stack((self._key_dense(key), self._value_dense(value)), axis=1)
                cache = updated(cache, new, cache_update_index)  # (1)
            keys, values = cache[:, 0], cache[:, 1]
        context, weights = self._compute_attention(
            query=self._query_dense(query),
            key=keys,
            value=values,
            attention_mask=attention_mask,
            training=training,
            return_attention_scores=return_attention_scores,
        )  # (2)
        output = self._output_dense(context)
        returned = [output]
        if return_attention_scores:
            returned.append(weights)
        if cache is not None:
            returned.append(cache)
        return tuple(returned) if len(returned) > 1 else output

    def compute_output_spec(  # type: ignore[override]
        self,
        query: Any,
        value: Any,
        key: Any = None,
        attention_mask: Any = None,
        cache: Any = None,
        cache_update_index: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
    ) -> Any:
        if cache is None:
            return super().compute_output_spec(
                query, value, key, return_attention_scores=return_attention_scores
            )
        returned = [super().compute_output_spec(query, value, key)]
        if return_attention_scores:
            shape = (query.shape[0], self._num_heads, query.shape[1], cache.shape[2])
            returned.append(keras.KerasTensor(shape, dtype=self.compute_dtype))
        return (*returned, keras.KerasTensor(cache.shape, dtype=self.compute_dtype))

    def _compute_attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        kernel = self._fused or self._flash_attention
        watched = return_attention_scores or listener_of(self, query) is not None
        if query.shape[1] != 1 or training or kernel or watched or use_causal_mask:
            return super()._compute_attention(
                query,
                key,
                value,
                attention_mask,
                training,
                return_attention_scores,
                use_causal_mask,
            )
        zero_rows = self._dropout > 0
        return one_query_context(query, key, value, attention_mask, self._scale, zero_rows), None

    def _check_cache(self, cache: Tensor | None, cache_update_index: Any) -> None:
        if cache is None:
            require(
                cache_update_index is None,
                self.owner,
                "`cache_update_index` should not be set if `cache` is `None`",
                f"cache=None, cache_update_index={cache_update_index}",
                "Give the cache, or leave out the index.",
            )
            return
        require_shape(
            cache,
            (None, 2, None, self._num_heads, self._key_dim),
            owner=self.owner,
            name="cache",
            layout="(batch, 2, key_steps, heads, key_dim)",
            way_out="Begin with zeros of this shape, one for each layer.",
        )
