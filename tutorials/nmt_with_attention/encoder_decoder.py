r"""The translator of the official tutorial, written once for any namespace of layers.

    context = BiGRU(E_s x)                                (1) encoder, both directions summed
    s_1 ... s_T = GRU(E_t y)                              (2) decoder, y the words so far
    a_t = attention(query=s_t, values=context)            (3) no weight on padding
    logits_t = W LayerNorm(s_t + a_t) + b                 (4) next word

Source: the architecture of TensorFlow's tutorial "Neural machine translation with attention".
Differs from it: the padding mask is handed to the attention explicitly, because Keras 3 loses it
on the way there; states are tensors, as Keras 3 wants them; decoding is one loop in the graph.
"""

from typing import Any

import keras
from keras import ops

from tutorials.nmt_with_attention import paper_attention

ATTENTIONS = ("multi_head", "bahdanau", "luong")


class Encoder(keras.layers.Layer):
    """Token numbers (batch, words) -> context vectors (batch, words, units), equation (1)."""

    def __init__(self, vocabulary_size: int, units: int, layers: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(vocabulary_size, units, mask_zero=True)
        gru = layers.GRU(units, return_sequences=True, recurrent_initializer="glorot_uniform")
        self.rnn = layers.Bidirectional(gru, merge_mode="sum")

    def call(self, tokens: Any) -> Any:
        return self.rnn(self.embedding(tokens), mask=ops.not_equal(tokens, 0))


class CrossAttention(keras.layers.Layer):
    """Attention from decoder states to context vectors, with residual and normalisation, (3)-(4).

    Args:
        kind: "multi_head" as in the official tutorial (with one head), or the attention of a
            paper: "bahdanau" (additive) or "luong" (multiplicative, the score "general").
    """

    def __init__(self, units: int, kind: str, layers: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self.kind = kind
        if kind == "multi_head":
            self.attention = layers.MultiHeadAttention(num_heads=1, key_dim=units)
        elif kind == "bahdanau":
            source = layers if hasattr(layers, "BahdanauAttention") else paper_attention
            self.attention = source.BahdanauAttention(units)
        elif kind == "luong":
            source = layers if hasattr(layers, "LuongAttention") else paper_attention
            self.attention = source.LuongAttention(score="general")
        else:
            raise ValueError(
                f"CrossAttention: `kind` must be one of {', '.join(ATTENTIONS)}. "
                f"Received: kind={kind!r}."
            )
        self.add = layers.Add()
        self.layernorm = layers.LayerNormalization()

    def call(self, x: Any, context: Any, context_mask: Any, return_weights: bool = False) -> Any:
        weights = None
        if self.kind == "multi_head":
            arguments = {"attention_mask": context_mask[:, None, :]}
        else:
            arguments = {"mask": context_mask}
        attended = self.attention(
            query=x, value=context, return_attention_scores=return_weights, **arguments
        )
        if return_weights:
            attended, weights = attended
            weights = weights[:, 0] if self.kind == "multi_head" else weights  # of the only head
        output = self.layernorm(self.add([x, attended]))
        return (output, weights) if return_weights else output


class Decoder(keras.layers.Layer):
    """Words so far and context -> logits of the next words, equations (2) to (4)."""

    def __init__(
        self, vocabulary_size: int, units: int, attention: str, layers: Any, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.embedding = layers.Embedding(vocabulary_size, units, mask_zero=True)
        self.rnn = layers.GRU(
            units,
            return_sequences=True,
            return_state=True,
            recurrent_initializer="glorot_uniform",
        )
        self.attention = CrossAttention(units, attention, layers)
        self.output_layer = layers.Dense(vocabulary_size)

    def call(
        self,
        tokens: Any,
        context: Any,
        context_mask: Any,
        state: Any = None,
        return_weights: bool = False,
    ) -> Any:
        """Logits (batch, steps, vocabulary) and the state (batch, units) after the last step; with
        `return_weights` also the attention weights (batch, steps, words).
        """
        x, state = self.rnn(
            self.embedding(tokens), mask=ops.not_equal(tokens, 0), initial_state=state
        )
        if return_weights:
            x, weights = self.attention(x, context, context_mask, return_weights=True)
            return self.output_layer(x), state, weights
        return self.output_layer(self.attention(x, context, context_mask)), state
