"""Sub-words: pieces that any word can be put together from, learned from a corpus.

"unhappily" may become "un ##happi ##ly": "##" marks a piece that goes on with a word. A word that cannot
be put together, for want of a letter, is "[UNK]".
Source: WordPiece, Wu et al. 2016, arXiv:1609.08144, section 4.1; the `tokenizers` library learns the
pieces, TensorFlow Text finds them in the graph, longest piece first (Song et al. 2021,
arXiv:2012.15524).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text
import tokenizers

from custom_layers.core.shape_check import require
from tutorials.translation.text import END, START, join_marks, standardize

SPECIAL = ("[PAD]", "[UNK]", START, END)  # tokens 0 to 3
GOES_ON = "##"
BATCH = 8192


def learn_subwords(texts: Sequence[str], size: int) -> list[str]:
    """At most `size` pieces: the special ones, every letter, and what occurs together most often.

    Raises: ValueError when `size` leaves no room for the letters.
    """
    words: dict[str, int] = {}
    for first in range(0, len(texts), BATCH):
        standard = standardize(tf.constant(list(texts[first : first + BATCH]), tf.string))
        found, _, counts = tf.unique_with_counts(tf.strings.split(standard).flat_values)
        for word, count in zip(found.numpy().tolist(), counts.numpy().tolist(), strict=True):
            words[word.decode()] = words.get(word.decode(), 0) + count
    for mark in (START, END):
        words.pop(mark, None)
    signs = sorted({sign for word in words for sign in word})
    letters = [*signs, *(GOES_ON + sign for sign in signs if sign.isalpha())]
    least = len(SPECIAL) + len(letters)
    require(
        size > least,
        "learn_subwords",
        f"`size` must be more than {least}, the special tokens and the letters of these texts",
        f"size={size}",
        "The official tutorial has 8,000.",
    )
    learner = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token=SPECIAL[1]))
    learner.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=size,
        special_tokens=[*SPECIAL, *letters],  # in this order: by their numbers ties are decided
        continuing_subword_prefix=GOES_ON,
        show_progress=False,
    )
    # Each word as often as it occurs, in an order of its own: equal texts give equal pieces.
    lines = (" ".join([word] * count) for word, count in sorted(words.items()))
    learner.train_from_iterator(lines, trainer)
    return [piece for piece, _ in sorted(learner.get_vocab().items(), key=lambda item: item[1])]


class Subwords:
    """Strings to token numbers and back, in the graph.

    Args:
        vocabulary: pieces, `SPECIAL` first, as `learn_subwords` returns them.

    Raises: ValueError for a vocabulary that does not begin with `SPECIAL`.
    """

    start, end = 2, 3

    def __init__(self, vocabulary: Sequence[str]) -> None:
        require(
            tuple(vocabulary[: len(SPECIAL)]) == SPECIAL,
            "Subwords",
            f"`vocabulary` must begin with {', '.join(SPECIAL)}",
            f"vocabulary[:4]={list(vocabulary[:4])}",
            "Take one of learn_subwords; that of another tokenizer does not belong to this model.",
        )
        self.vocabulary = list(vocabulary)
        self._tokenizer = tensorflow_text.FastWordpieceTokenizer(
            vocab=self.vocabulary,
            suffix_indicator=GOES_ON,
            unknown_token=SPECIAL[1],
            token_out_type=tf.int32,
            no_pretokenization=True,
            support_detokenization=True,
        )

    def tokens_of(self, texts: Any) -> Any:
        """(batch,) strings -> ragged (batch, tokens) int32, [START] first and [END] last."""
        words = tf.strings.split(standardize(texts))
        return self._tokenizer.tokenize(words).merge_dims(1, 2)

    def texts_of(self, tokens: Any) -> Any:
        """(batch, tokens) int32, padded with 0 -> (batch,) sentences."""
        tokens = tf.cast(tokens, tf.int32)
        kept = tf.ragged.boolean_mask(tokens, tokens >= len(SPECIAL))
        return join_marks(self._tokenizer.detokenize(kept))

    def pieces_of(self, tokens: Any) -> list[str]:
        """The pieces of one row of token numbers, padding left out."""
        return [self.vocabulary[token] for token in np.asarray(tokens) if token != 0]
