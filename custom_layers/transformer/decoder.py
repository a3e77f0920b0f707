r"""Decoder block of a Transformer: each position looks back, then at the sentence to be translated.

    a = residual(x, causal self_attention)                (1) position t sees the positions s <= t
    b = residual(a, cross_attention to the encoding)      (2) where there is one
    y = residual(b, feed_forward)                         (3)

`residual` is equation (1) or (2) of `residual.py`, `feed_forward` equation (1) of `feed_forward.py`. In
decoding x is the newest position alone; the keys and values of the others are in a cache, see
`attention/cached_multi_head.py`.
Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.1 and figure 1.
"""

from typing import Any

import keras
from keras import ops

from custom_layers.attention.cached_multi_head import CachedMultiHeadAttention
from custom_layers.attention.masks import both, causal_mask
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require
from custom_layers.transformer.block import TransformerBlock


@keras.saving.register_keras_serializable(package="custom_layers")
class TransformerDecoder(TransformerBlock):
    """Causal self-attention, attention to an encoding, and a feed-forward network.

    Called with one sequence it has no cross attention, as in GPT; called with two it has. Once built,
    it stays with the one or the other.

    Args:
        intermediate_dim: int >= 1, units between the two maps of the feed-forward network.
        num_heads: int >= 1, a divisor of the inputs' features.
        dropout: probability in [0, 1), of attention weights and of what each part adds.
        activation: name or function, of the feed-forward network.
        layer_norm_epsilon: float >= 0, added to the variance.
        kernel_initializer, bias_initializer: of each projection and of the feed-forward network.
        normalize_first: False is post-norm, as in the paper; True is pre-norm.
    Call arguments:
        decoder_sequence: (batch, steps, features).
        encoder_sequence: (batch, words, encoder features), or None.
        decoder_padding_mask: (batch, steps), True = a word. None takes the mask that Keras attached.
        decoder_attention_mask: (batch, steps, steps), True = attend.
        encoder_padding_mask, encoder_attention_mask: (batch, words) and (batch, steps, words).
        self_attention_cache: (batch, 2, most_steps, heads, features / heads), see
            `CachedMultiHeadAttention`; `decoder_sequence` then holds the new steps alone.
        self_attention_cache_update_index: position of the first new step, an int or a scalar tensor.
        cross_attention_cache: (batch, 2, words, heads, features / heads).
        cross_attention_cache_update_index: 0 fills the cache from `encoder_sequence`; None reads it.
        use_causal_mask: whether position t is kept from seeing later ones.
        training: whether to drop.
    Returns: like `decoder_sequence`; with caches also the self-attention's, and the cross attention's.
    Weights: `self_attention`, `self_attention_layer_norm`, (`cross_attention`,
        `cross_attention_layer_norm`), `feedforward_intermediate_dense`, `feedforward_output_dense`,
        `feedforward_layer_norm`.
    Raises: ValueError when an argument cannot be, the features are no multiple of `num_heads`, a mask or
        a cache has another shape, one cache is missing, or the encoding comes or goes.
    Source: Vaswani et al. 2017, section 3.1.
    Differs from keras_hub.layers.TransformerDecoder: features that are no multiple of `num_heads` are
        refused, where KerasHub rounds down and leaves some out; a mask of a wrong shape is named;
        symbolic calls with caches return all that a call returns.
    """

    owner = "transformer_decoder"

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float = 0,
        activation: Any = "relu",
        layer_norm_epsilon: float = 1e-05,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        normalize_first: bool = False,
        **kwargs: Any,
    ) -> None:
        # A configuration holds the shapes that the layer was built for.
        self._decoder_sequence_shape = kwargs.pop("decoder_sequence_shape", None)
        self._encoder_sequence_shape = kwargs.pop("encoder_sequence_shape", None)
        super().__init__(
            intermediate_dim,
            num_heads,
            dropout,
            activation,
            layer_norm_epsilon,
            kernel_initializer,
            bias_initializer,
            normalize_first,
            **kwargs,
        )
        if self._decoder_sequence_shape:
            self.build(self._decoder_sequence_shape, self._encoder_sequence_shape)

    def build(
        self, decoder_sequence_shape: Shape, encoder_sequence_shape: Shape | None = None
    ) -> None:
        steps = self._decoder_sequence_shape = decoder_sequence_shape
        words = self._encoder_sequence_shape = encoder_sequence_shape
        head_dim = self._head_dim(steps)
        self._self_attention_layer = self._attention(
            CachedMultiHeadAttention, "self_attention", head_dim, steps, steps
        )
        self._self_attention_layer_norm = self._norm("self_attention_layer_norm", steps)
        self._self_attention_dropout = self._dropout("self_attention_dropout")
        self._cross_attention_layer: Any = None
        if words:
            self._cross_attention_layer = self._attention(
                CachedMultiHeadAttention, "cross_attention", head_dim, steps, words
            )
            self._cross_attention_layer_norm = self._norm("cross_attention_layer_norm", steps)
            self._cross_attention_dropout = self._dropout("cross_attention_dropout")
        self._build_feed_forward(steps)
        self._feedforward_layer_norm = self._norm("feedforward_layer_norm", steps)
        self._feedforward_dropout = self._dropout("feedforward_dropout")
        self.built = True

    def call(
        self,
        decoder_sequence: Tensor,
        encoder_sequence: Tensor | None = None,
        decoder_padding_mask: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_padding_mask: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        self_attention_cache: Tensor | None = None,
        self_attention_cache_update_index: Any = None,
        cross_attention_cache: Tensor | None = None,
        cross_attention_cache_update_index: Any = None,
        use_causal_mask: bool = True,
        training: bool | None = None,
    ) -> Any:
        self._check_sequences(encoder_sequence, self_attention_cache, cross_attention_cache)
        mask = self._mask_of_keys(
            decoder_sequence, decoder_padding_mask, decoder_attention_mask, "decoder_"
        )
        if use_causal_mask:
            index, cache = self_attention_cache_update_index, self_attention_cache
            steps = ops.shape(decoder_sequence)[1]
            key_steps = steps if cache is None else ops.shape(cache)[2]
            first = 0 if index is None else ops.cast(index, "int32")
            mask = both(mask, causal_mask(steps, key_steps, first))

        def look_back(x: Tensor) -> tuple[Tensor, Tensor | None]:
            attended = self._self_attention_layer(
                query=x,
                value=x,
                attention_mask=mask,
                cache=self_attention_cache,
                cache_update_index=self_attention_cache_update_index,
                training=training,
            )
            return (attended, None) if self_attention_cache is None else attended

        def look_across(x: Tensor) -> tuple[Tensor, Tensor | None]:
            attended = self._cross_attention_layer(
                query=x,
                value=encoder_sequence,
                attention_mask=words_mask,
                cache=cross_attention_cache,
                cache_update_index=cross_attention_cache_update_index,
                training=training,
            )
            return (attended, None) if cross_attention_cache is None else attended

        norm, dropout = self._self_attention_layer_norm, self._self_attention_dropout
        y, cache = self._residual(decoder_sequence, look_back, norm, dropout, training)  # (1)
        caches = [cache]
        if self._cross_attention_layer is not None:
            words_mask = self._mask_of_keys(
                encoder_sequence, encoder_padding_mask, encoder_attention_mask, "encoder_"
            )
            norm, dropout = self._cross_attention_layer_norm, self._cross_attention_dropout
            y, cache = self._residual(y, look_across, norm, dropout, training)  # (2)
            caches.append(cache)
        norm, dropout = self._feedforward_layer_norm, self._feedforward_dropout
        y, _ = self._residual(y, self._feed_forward, norm, dropout, training)  # (3)
        return y if caches[0] is None else (y, *caches)

    def compute_output_shape(self, decoder_sequence_shape: Shape) -> Shape:
        return decoder_sequence_shape

    def compute_output_spec(
        self,
        decoder_sequence: Any,
        encoder_sequence: Any = None,
        decoder_padding_mask: Any = None,
        decoder_attention_mask: Any = None,
        encoder_padding_mask: Any = None,
        encoder_attention_mask: Any = None,
        self_attention_cache: Any = None,
        self_attention_cache_update_index: Any = None,
        cross_attention_cache: Any = None,
        cross_attention_cache_update_index: Any = None,
        use_causal_mask: bool = True,
        training: bool | None = None,
    ) -> Any:
        self._check_sequences(encoder_sequence, self_attention_cache, cross_attention_cache)
        caches = [c for c in (self_attention_cache, cross_attention_cache) if c is not None]
        shapes = [decoder_sequence.shape, *(cache.shape for cache in caches)]
        specs = [keras.KerasTensor(shape, dtype=self.compute_dtype) for shape in shapes]
        return tuple(specs) if caches else specs[0]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "decoder_sequence_shape": self._decoder_sequence_shape,
            "encoder_sequence_shape": self._encoder_sequence_shape,
        }

    def _check_sequences(
        self,
        encoder_sequence: Tensor | None,
        self_attention_cache: Tensor | None,
        cross_attention_cache: Tensor | None,
    ) -> None:
        crosses = self._cross_attention_layer is not None
        require(
            crosses == (encoder_sequence is not None),
            self.owner,
            "the number of sequences must stay as it was in the first call",
            f"{1 + (encoder_sequence is not None)}, first {1 + crosses}",
            "Make another layer for the other use.",
        )
        require(
            not crosses or (self_attention_cache is None) == (cross_attention_cache is None),
            self.owner,
            "`self_attention_cache` and `cross_attention_cache` should both be set or both be `None`",
            f"self_attention_cache={_kind(self_attention_cache)}, "
            f"cross_attention_cache={_kind(cross_attention_cache)}",
            "Begin both with zeros.",
        )


def _kind(cache: Tensor | None) -> str:
    return "None" if cache is None else f"a tensor of shape {tuple(cache.shape)}"
