r"""The two blocks of the Transformer, written once for any namespace of layers.

    encoder   a = LayerNorm(x + Dropout(SelfAttention(x)))            (1)
              y = LayerNorm(a + Dropout(FeedForward(a)))              (2)
    decoder   a = LayerNorm(x + Dropout(CausalSelfAttention(x)))      (3)
              b = LayerNorm(a + Dropout(CrossAttention(a, context)))  (4)
              y = LayerNorm(b + Dropout(FeedForward(b)))              (5)
    FeedForward(x) = relu(x W_1 + b_1) W_2 + b_2                      (6)

They take the arguments of `keras_hub.layers.TransformerEncoder` and `TransformerDecoder`, and have their
weights in the same order, so that these may stand in for them (`blocks=keras_hub.layers`).
Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.1 and figure 1.
Differs from TensorFlow's tutorial "Neural machine translation with a Transformer and Keras": the size
of a head is d_model / num_heads, as in the paper (128 / 8 = 16, there it is 128); dropout reaches every
part of a block, the feed-forward network too; the decoder keeps keys and values in a cache.
"""

from typing import Any

import keras
from keras import ops

from tutorials.transformer.namespaces import cached_attention_of


class EncoderBlock(keras.layers.Layer):
    """Equations (1) and (2): (batch, words, d_model) to the same."""

    def __init__(
        self, d_model: int, num_heads: int, dff: int, dropout: float, layers: Any, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(num_heads, d_model // num_heads, dropout=dropout)
        self.attention_norm = layers.LayerNormalization(epsilon=1e-5)
        self.attention_dropout = layers.Dropout(dropout)
        self.feed_forward_norm = layers.LayerNormalization(epsilon=1e-5)
        self.widen = layers.Dense(dff, activation="relu")
        self.narrow = layers.Dense(d_model)
        self.feed_forward_dropout = layers.Dropout(dropout)

    def call(
        self,
        inputs: Any,
        padding_mask: Any = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
    ) -> Any:
        """Like `inputs`; with the weights (batch, heads, words, words) where they are asked for."""
        attended = self.attention(
            query=inputs,
            value=inputs,
            attention_mask=None if padding_mask is None else padding_mask[:, None, :],
            return_attention_scores=return_attention_scores,
            training=training,
        )
        attended, weights = attended if return_attention_scores else (attended, None)
        dropped = self.attention_dropout(attended, training=training)
        a = self.attention_norm(inputs + dropped)  # (1)
        dropped = self.feed_forward_dropout(self.narrow(self.widen(a)), training=training)  # (6)
        y = self.feed_forward_norm(a + dropped)  # (2)
        return (y, weights) if return_attention_scores else y


class DecoderBlock(keras.layers.Layer):
    """Equations (3) to (5): (batch, steps, d_model) and a context to (batch, steps, d_model)."""

    def __init__(
        self, d_model: int, num_heads: int, dff: int, dropout: float, layers: Any, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        attention = cached_attention_of(layers)
        self.self_attention = attention(num_heads, d_model // num_heads, dropout=dropout)
        self.self_attention_norm = layers.LayerNormalization(epsilon=1e-5)
        self.self_attention_dropout = layers.Dropout(dropout)
        self.cross_attention = attention(num_heads, d_model // num_heads, dropout=dropout)
        self.cross_attention_norm = layers.LayerNormalization(epsilon=1e-5)
        self.cross_attention_dropout = layers.Dropout(dropout)
        self.widen = layers.Dense(dff, activation="relu")
        self.narrow = layers.Dense(d_model)
        self.feed_forward_norm = layers.LayerNormalization(epsilon=1e-5)
        self.feed_forward_dropout = layers.Dropout(dropout)

    def call(
        self,
        decoder_sequence: Any,
        encoder_sequence: Any,
        encoder_padding_mask: Any = None,
        self_attention_cache: Any = None,
        self_attention_cache_update_index: Any = None,
        cross_attention_cache: Any = None,
        cross_attention_cache_update_index: Any = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
    ) -> Any:
        """y; then both caches where they are given, (batch, 2, steps, heads, d_model / heads); then the
        weights of both attentions, (batch, heads, steps, steps or words), where they are asked for.
        """
        cache, index = self_attention_cache, self_attention_cache_update_index
        steps = ops.shape(decoder_sequence)[1]
        key_steps = steps if cache is None else ops.shape(cache)[2]
        t = ops.arange(steps, dtype="int32") + (0 if index is None else index)
        causal = t[:, None] >= ops.arange(key_steps, dtype="int32")[None]
        shared = {"return_attention_scores": return_attention_scores, "training": training}
        attended = self.self_attention(
            query=decoder_sequence,
            value=decoder_sequence,
            attention_mask=causal[None],
            cache=cache,
            cache_update_index=index,
            **shared,
        )
        attended, *more_of_self = attended if isinstance(attended, tuple) else (attended,)
        dropped = self.self_attention_dropout(attended, training=training)
        a = self.self_attention_norm(decoder_sequence + dropped)  # (3)
        mask = None if encoder_padding_mask is None else encoder_padding_mask[:, None, :]
        attended = self.cross_attention(
            query=a,
            value=encoder_sequence,
            attention_mask=mask,
            cache=cross_attention_cache,
            cache_update_index=cross_attention_cache_update_index,
            **shared,
        )
        attended, *more_of_cross = attended if isinstance(attended, tuple) else (attended,)
        dropped = self.cross_attention_dropout(attended, training=training)
        b = self.cross_attention_norm(a + dropped)  # (4)
        dropped = self.feed_forward_dropout(self.narrow(self.widen(b)), training=training)  # (6)
        y = self.feed_forward_norm(b + dropped)  # (5)
        returned = [y]
        if cache is not None:
            returned += [more_of_self[-1], more_of_cross[-1]]
        if return_attention_scores:
            returned += [more_of_self[0], more_of_cross[0]]
        return tuple(returned) if len(returned) > 1 else y
