"""Splitting a corpus so that nothing held out was seen in training."""

import random

from custom_layers.data.parallel_corpus import SentencePairs


def split_pairs(
    pairs: SentencePairs, *, held_out: float, seed: int
) -> tuple[SentencePairs, SentencePairs]:
    """Return the pairs to train on and the pairs held out.

    A source sentence and all its translations go to the same side, repeated ones included, so no
    held-out pair and no held-out source sentence occurs in training. Order is kept within a side.

    Args:
        pairs: the corpus.
        held_out: share in (0, 1) of the distinct source sentences to hold out; at least one is.
        seed: int, the same seed holds out the same sentences.

    Raises: ValueError when `held_out` is outside (0, 1), or there are fewer than two source
        sentences to share out.
    """
    if not 0 < held_out < 1:
        raise ValueError(
            "split_pairs: `held_out` must be greater than 0 and less than 1. Received: "
            f"held_out={held_out}. Use 0.1 to hold out a tenth."
        )
    sentences = list(dict.fromkeys(pairs.source))
    if len(sentences) < 2:
        raise ValueError(
            "split_pairs: `pairs` must hold at least 2 different source sentences. Received: "
            f"{len(sentences)} in {pairs.name!r}. Bring more pairs."
        )
    count = min(max(1, round(held_out * len(sentences))), len(sentences) - 1)
    chosen = set(random.Random(seed).sample(sentences, count))
    kept_in, kept_out = SentencePairs([], [], pairs.name), SentencePairs([], [], pairs.name)
    for source, target in zip(pairs.source, pairs.target, strict=True):
        side = kept_out if source in chosen else kept_in
        side.source.append(source)
        side.target.append(target)
    return kept_in, kept_out
