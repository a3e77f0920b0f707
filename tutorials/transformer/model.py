r"""The Transformer, from strings to strings, around the blocks of `blocks.py`.

    x_t = sqrt(d_model) E[token_t] + P_t                     (1) embedding and place
    context = encoder blocks(x)                              (2)
    logits_t = W decoder blocks(y_1 ... y_t, context) + b    (3) next token

P is fixed: sines and cosines of wave lengths from 2 pi to 10,000 x 2 pi.
Source: Vaswani et al. 2017, arXiv:1706.03762, sections 3.1 to 3.5; the sizes are those of TensorFlow's
tutorial "Neural machine translation with a Transformer and Keras".
Differs from it: `blocks.py` says what differs inside; decoding is one loop in the graph for a whole
batch, in which a step costs one position and not the whole prefix.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from custom_layers.core.shape_check import require, require_positive_integer
from custom_layers.training import masked_accuracy, masked_loss
from tutorials.transformer.blocks import DecoderBlock, EncoderBlock
from tutorials.transformer.namespaces import blocks_namespace, name_of, positions_of
from tutorials.transformer.subwords import Subwords
from tutorials.translation.text_translator import TextTranslator, namespace_of, searched

FORMAT = 1  # of the saved configuration: a file of another one is refused


class Attended(NamedTuple):
    """One sentence, its translation, and every attention between them.

    context_pieces, target_pieces: sub-words, "[START]" and "[END]" among them; the target's are those
        that were read, from "[START]" on.
    encoder, decoder, cross: (blocks, heads, rows, columns), rows sum to 1.
    """

    context_pieces: list[str]
    target_pieces: list[str]
    encoder: np.ndarray
    decoder: np.ndarray
    cross: np.ndarray


@keras.saving.register_keras_serializable(package="transformer")
class Transformer(TextTranslator):
    """Encoder and decoder of attention alone, with the sub-words inside.

    Args:
        context_vocabulary, target_vocabulary: pieces, as `subwords.learn_subwords` returns them.
        num_layers: int >= 1, blocks of the encoder, and of the decoder. Default 4.
        d_model: int >= 1, width of every position. Default 128.
        num_heads: int >= 1, a divisor of `d_model`. Default 8.
        dff: int >= 1, width inside the feed-forward networks. Default 512.
        dropout: probability in [0, 1). Default 0.1.
        layers: namespace to build from, keras.layers (default) or custom_layers, or its name.
        blocks: None builds the blocks of this tutorial; or a namespace with `TransformerEncoder` and
            `TransformerDecoder`, keras_hub.layers or custom_layers, or its name.
        max_tokens: the longest sentence, and the longest translation, in sub-words. Default 128.
    Call arguments:
        inputs: pair of token numbers, (batch, words) to translate and (batch, steps), the
            translation without its last token. 0 is padding.
        training: whether to drop.

    Returns:
        logits (batch, steps, target vocabulary).
    Raises: ValueError for a size below 1, `d_model` that is no multiple of `num_heads`, an unknown
        namespace, or a vocabulary that is none of sub-words.
    """

    def __init__(
        self,
        context_vocabulary: Sequence[str],
        target_vocabulary: Sequence[str],
        num_layers: int = 4,
        d_model: int = 128,
        num_heads: int = 8,
        dff: int = 512,
        dropout: float = 0.1,
        layers: Any = keras.layers,
        blocks: Any = None,
        max_tokens: int = 128,
        saved_format: int = FORMAT,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require(
            saved_format == FORMAT,
            "Transformer",
            f"a saved translator must be of format {FORMAT}, that of this version of the project",
            f"saved_format={saved_format!r}",
            "Load it with the version that saved it, or train again.",
        )
        sizes = {"num_layers": num_layers, "d_model": d_model, "num_heads": num_heads, "dff": dff}
        for name, size in {**sizes, "max_tokens": max_tokens}.items():
            require_positive_integer(size, owner="Transformer", name=name)
        require(
            d_model % num_heads == 0,
            "Transformer",
            "`d_model` must be a multiple of `num_heads`",
            f"d_model={d_model}, num_heads={num_heads}",
            "Each head gets d_model / num_heads features.",
        )
        layers = namespace_of(layers, "Transformer") if isinstance(layers, str) else layers
        blocks = blocks_namespace(blocks) if isinstance(blocks, str) else blocks
        self.config = {
            "context_vocabulary": list(context_vocabulary),
            "target_vocabulary": list(target_vocabulary),
            **sizes,
            "dropout": dropout,
            "layers": layers.__name__,
            "blocks": None if blocks is None else name_of(blocks),
            "max_tokens": max_tokens,
            "saved_format": FORMAT,
        }
        self.max_tokens, self.d_model, self.num_heads = max_tokens, d_model, num_heads
        self.context_text = Subwords(context_vocabulary)
        self.target_text = Subwords(target_vocabulary)
        self.context_embedding = layers.Embedding(len(context_vocabulary), d_model)
        self.target_embedding = layers.Embedding(len(target_vocabulary), d_model)
        self.place = positions_of(layers)()
        self.dropout = layers.Dropout(dropout)
        parts = (d_model, num_heads, dff, dropout, layers)
        self.encoder_blocks, self.decoder_blocks = [], []
        for _ in range(num_layers):
            self.encoder_blocks.append(
                EncoderBlock(*parts)
                if blocks is None
                else blocks.TransformerEncoder(dff, num_heads, dropout)
            )
        for _ in range(num_layers):
            self.decoder_blocks.append(
                DecoderBlock(*parts)
                if blocks is None
                else blocks.TransformerDecoder(dff, num_heads, dropout)
            )
        self.output_layer = layers.Dense(len(target_vocabulary))
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Create the weights by a symbolic call, so that a new translator can load a file."""
        if not self.output_layer.built:
            tokens = keras.Input((None,), dtype="int32")
            self.call((tokens, tokens))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        context_tokens, target_tokens = inputs
        words = ops.not_equal(context_tokens, 0)
        context = self.encode(context_tokens, words, training)
        y = self._embed(self.target_embedding, target_tokens, training)
        for block in self.decoder_blocks:
            y = block(y, context, encoder_padding_mask=words, training=training)
        return self.output_layer(y)  # (3)

    def encode(self, tokens: Any, words: Any, training: bool | None = None) -> Any:
        """Equation (2): tokens (batch, words), bool `words` False at padding, to (batch, words, d)."""
        x = self._embed(self.context_embedding, tokens, training)
        for block in self.encoder_blocks:
            x = block(x, padding_mask=words, training=training)
        return x

    def _embed(
        self, embedding: Any, tokens: Any, training: bool | None = None, first: Any = 0
    ) -> Any:
        """Equation (1); the first token stands at place `first`."""
        x = embedding(tokens) * self.d_model**0.5
        return self.dropout(x + self.place(x, start_index=first), training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.config}

    # -- decoding --------------------------------------------------------------------------------

    def decode(
        self,
        texts: Any,
        temperature: Any = 1.0,
        seed: Any = 0,
        *,
        method: str = "greedy",
        beam_width: int = 4,
        cached: bool = True,
        **options: Any,
    ) -> tuple[Any, Any]:
        """See `TextTranslator`; a translation ends at twice the longest sentence and ten tokens more.

        Args:
            cached: False computes the whole prefix anew at each step: the same tokens, more slowly.
        """
        context_tokens = self.context_text.tokens_of(texts).to_tensor()[:, : self.max_tokens]
        limit = tf.minimum(2 * tf.shape(context_tokens)[1] + 10, self.max_tokens)
        words = context_tokens != 0
        context = self.encode(context_tokens, words)
        beams = beam_width if method == "beam" else 1
        rows_context, rows_words = (tf.repeat(x, beams, axis=0) for x in (context, words))
        step, state = (self.cached_step if cached else self.whole_prefix_step)(
            rows_context, rows_words, tf.shape(context)[0], limit
        )
        decoded = searched(
            step,
            state,
            method=method,
            temperature=temperature,
            seed=seed,
            beam_width=beam_width,
            **options,
            start=Subwords.start,
            end=Subwords.end,
            max_steps=limit,
            forbidden=(0, 1, Subwords.start),  # padding, unknown, start: never emitted
        )
        has_words = tf.reduce_sum(tf.cast(words, tf.int32), axis=-1) > 2
        return tf.where(has_words, self.target_text.texts_of(decoded.tokens), ""), decoded.tokens

    def cached_step(self, context: Any, words: Any, batch: Any, limit: Any) -> tuple[Any, Any]:
        """A step function and its first state: one position a step, the keys and values kept.

        Args:
            context: (rows, words, d_model); `words`: bool (rows, words). A row is a hypothesis.
            batch: number of rows of the first state.
            limit: the most steps, for which the cache has room.
        """
        heads, size = self.num_heads, self.d_model // self.num_heads
        crosses = []
        rows = tf.shape(context)[0]
        for block in self.decoder_blocks:  # keys and values of the context: once for all steps
            shape = tf.stack([rows, 2, tf.shape(context)[1], heads, size])
            nothing = tf.zeros((rows, 1, self.d_model))
            *_, cross = block(
                nothing,
                context,
                self_attention_cache=tf.zeros((rows, 2, 2, heads, size)),
                self_attention_cache_update_index=0,
                cross_attention_cache=tf.zeros(shape),
                cross_attention_cache_update_index=0,
            )[:3]
            crosses.append(cross)

        def step(tokens: Any, state: Any) -> tuple[Any, Any]:
            t = state["t"][0]
            y = self._embed(self.target_embedding, tokens[:, None], first=t)
            caches = []
            for block, cache, cross in zip(
                self.decoder_blocks, state["caches"], crosses, strict=True
            ):
                y, cache, _ = block(
                    y,
                    context,
                    encoder_padding_mask=words,
                    self_attention_cache=cache,
                    self_attention_cache_update_index=t,
                    cross_attention_cache=cross,
                )
                caches.append(tf.ensure_shape(cache, (None, 2, None, heads, size)))
            return self.output_layer(y)[:, 0], {"t": state["t"] + 1, "caches": caches}

        cache = tf.zeros(tf.stack([batch, 2, limit, heads, size]))
        state = {"t": tf.zeros([batch], tf.int32), "caches": [cache for _ in self.decoder_blocks]}
        return step, state

    def whole_prefix_step(
        self, context: Any, words: Any, batch: Any, limit: Any
    ) -> tuple[Any, Any]:
        """The same without a cache: the whole prefix at each step. What the cache must equal."""

        def step(tokens: Any, state: Any) -> tuple[Any, Any]:
            t = state["t"][0]
            here = tf.range(tf.shape(state["prefix"])[1]) == t
            prefix = tf.where(here, tokens[:, None], state["prefix"])
            y = self._embed(self.target_embedding, prefix[:, : t + 1])
            for block in self.decoder_blocks:
                y = block(y, context, encoder_padding_mask=words)
            logits = self.output_layer(y[:, -1:])[:, 0]
            return logits, {"t": state["t"] + 1, "prefix": prefix}

        prefix = tf.zeros(tf.stack([batch, limit]), tf.int32)
        return step, {"t": tf.zeros([batch], tf.int32), "prefix": prefix}

    # -- looking ---------------------------------------------------------------------------------

    def attention_of(self, texts: Sequence[str], translations: Sequence[str]) -> list[Attended]:
        """Every attention of every block and head while `translations` are read, whatever wrote them.

        Raises: ValueError for a translator of other blocks than this tutorial's, which show none.
        """
        require(
            self.config["blocks"] is None,
            "attention_of",
            "the blocks must be those of this tutorial",
            f"blocks={self.config['blocks']!r}",
            "Build Transformer(..., blocks=None) and hand it these weights: set_weights(get_weights()).",
        )
        context_tokens = self.context_text.tokens_of(tf.constant(list(texts)))
        target_tokens = self.target_text.tokens_of(tf.constant(list(translations)))[:, :-1]
        padded = context_tokens.to_tensor()
        words = padded != 0
        x = self._embed(self.context_embedding, padded)
        encoder, decoder, cross = [], [], []
        for block in self.encoder_blocks:
            x, weights = block(x, padding_mask=words, return_attention_scores=True)
            encoder.append(np.asarray(weights))
        y = self._embed(self.target_embedding, target_tokens.to_tensor())
        for block in self.decoder_blocks:
            y, own, across = block(y, x, encoder_padding_mask=words, return_attention_scores=True)
            decoder.append(np.asarray(own))
            cross.append(np.asarray(across))
        found = []
        for i, (source, target) in enumerate(zip(context_tokens, target_tokens, strict=True)):
            s, t = len(source), len(target)
            found.append(
                Attended(
                    self.context_text.pieces_of(source),
                    self.target_text.pieces_of(target),
                    np.stack([weights[i, :, :s, :s] for weights in encoder]),
                    np.stack([weights[i, :, :t, :t] for weights in decoder]),
                    np.stack([weights[i, :, :t, :s] for weights in cross]),
                )
            )
        return found

    def check_sentences(self, texts: Sequence[str]) -> None:
        """Raises for an empty sentence and for one that is too long; warns of unknown words."""
        tokens = self.context_text.tokens_of(tf.constant(list(texts)))
        for text, row in zip(texts, tokens, strict=True):
            shown = repr(text if len(text) <= 60 else text[:57] + "...")
            pieces = np.asarray(row)
            require(
                len(pieces) > 2,
                "translate",
                "a sentence must hold a letter a-z or punctuation",
                shown,
                "Leave it out.",
            )
            require(
                len(pieces) <= self.max_tokens,
                "translate",
                f"a sentence must have at most {self.max_tokens} sub-words, [START] and [END] among "
                "them",
                f"{shown}, {len(pieces)} of them",
                "Split it, or train with a larger `max_tokens`.",
            )
            if np.all(pieces[1:-1] == 1):
                warnings.warn(
                    f"translate: no word of {shown} can be put together from the vocabulary; its "
                    "translation is a guess.",
                    stacklevel=3,
                )


def build_transformer(
    layers: Any,
    context_vocabulary: Sequence[str],
    target_vocabulary: Sequence[str],
    learning_rate: Any,
    blocks: Any = None,
    **sizes: Any,
) -> Transformer:
    """A compiled Transformer: the paper's Adam, masked loss and accuracy, graph mode.

    But for its epsilon: 1e-9 makes full steps of gradients that are nothing but rounding (a key's
    bias has no other), and two runs that differ by a rounding part within 50 steps; Keras's 1e-7 keeps
    them together.
    """
    transformer = Transformer(
        context_vocabulary, target_vocabulary, layers=layers, blocks=blocks, **sizes
    )
    transformer.compile(
        optimizer=keras.optimizers.Adam(learning_rate, beta_1=0.9, beta_2=0.98, epsilon=1e-7),
        loss=masked_loss,
        metrics=[masked_accuracy],
        jit_compile=False,  # every batch has its own length: XLA would compile each anew
    )
    return transformer
