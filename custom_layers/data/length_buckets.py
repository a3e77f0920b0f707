r"""Endless batches whose sentences have like lengths, so that little of a batch is padding.

    l_i     = max(words of context i, words of target i)                                 (1)
    b_i     = index of the first boundary that is l_i or more; with equal_words, the
              rank of (l_i, words of target i, words of context i)                       (2)
    w_i     = 1; with equal_words, the words of target i                                 (3)
    n       = batch_size * mean of w, rounded: what a batch holds                        (4)
    kept_e  = the first pairs of permutation_e, their w at most floor(sum w / n) * n     (5)
    rows_e  = kept_e, sorted by b, in the order of kept_e within a bucket                (6)
    epoch_e = rows_e cut wherever the sum of w passes a multiple of n, the batches shuffled   (7)

permutation_e and the shuffle of (7) are drawn statelessly from (seed, e). An epoch has every pair
once, except the few that (5) leaves out: others each epoch, drawn evenly. They are dropped, not
carried over: a pair is never twice in an epoch. Where a bucket does not fill its last batch, its last
pairs share one with the next longer ones.

With `equal_words`, a batch has more sentences the shorter they are, so that every step is as long and
a mean over the words of a batch gives each word of an epoch the same weight. Else the words of short
sentences, of which a batch has few, weigh more than those of long ones.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from custom_layers.core.shape_check import require, require_positive_integer

OWNER = "length_buckets"
DEFAULT_BUCKETS = 6


def length_buckets(
    context: Any,
    target: Any,
    batch_size: int,
    seed: int,
    boundaries: Sequence[int] | None = None,
    *,
    pad_to_boundary: bool = False,
    equal_words: bool = False,
) -> tf.data.Dataset:
    """Return an endless dataset of batches (context, target), padded with 0.

    Args:
        context, target: ragged integer tensors (pairs, words), row i of one belongs to row i of
            the other.
        batch_size: int >= 1, at most the number of pairs.
        seed: int. Same seed: same batches in the same order, so `.skip(n)` resumes after n.
        boundaries: increasing integers >= 1, the longest sentence (1) of each bucket; the last
            holds the longest of all. Default: at most six, from the quantiles of (1).
        pad_to_boundary: pad both tensors to the boundary of the batch's longest pair, so that
            there are no more shapes than boundaries (XLA compiles each shape anew). Default: pad
            each tensor to its own longest sentence in the batch.
        equal_words: batches of about as many target words as `batch_size` pairs have on average,
            instead of as many pairs. They have many shapes and share what a bucket leaves over, so
            that each pair of lengths is a bucket.

    Returns: dataset of (context (pairs, words), target (pairs, words)), in their dtypes; pairs is
    `batch_size`, or with `equal_words` about that on average.

    Raises: ValueError when `context` and `target` are no ragged matrices of as many rows, there
    are fewer pairs than `batch_size`, `boundaries` do not increase to the longest sentence, or
    `equal_words` comes with `boundaries` or `pad_to_boundary`.
    """
    batch_size = require_positive_integer(batch_size, owner=OWNER, name="batch_size")
    lengths = _lengths(context, target)
    count = len(lengths[0])
    require(
        count >= batch_size,
        OWNER,
        "there must be at least one full batch of pairs",
        f"{count} pairs, batch_size={batch_size}",
        "Give more pairs, or a smaller batch.",
    )
    require(
        not (equal_words and (pad_to_boundary or boundaries is not None)),
        OWNER,
        "`equal_words` excludes `boundaries` and `pad_to_boundary`",
        f"equal_words=True, boundaries={boundaries!r}, pad_to_boundary={pad_to_boundary}",
        "Batches of equal words have as many shapes as pairs of lengths: leave out the others.",
    )
    longer = np.maximum(*lengths)  # (1)
    bounds = quantiles_of(longer) if boundaries is None else _checked(boundaries, longer)
    bucket_of = np.searchsorted(bounds, longer)  # (2)
    if equal_words:
        bucket_of = np.unique([longer, *lengths[::-1]], axis=1, return_inverse=True)[1].ravel()
    weights = target.row_lengths() if equal_words else tf.ones([count], tf.int64)  # (3)
    total = int(tf.reduce_sum(weights))
    per_batch = max(1, round(batch_size * total / count))  # (4)
    most = total // per_batch * per_batch

    def one_epoch(epoch: Any) -> tf.data.Dataset:
        keys = tf.random.split(tf.stack([tf.constant(seed, tf.int64), epoch]), 2)
        shuffle = tf.random.experimental.stateless_shuffle
        kept = shuffle(tf.range(count), seed=keys[0])
        kept = kept[tf.cumsum(tf.gather(weights, kept)) <= most]  # (5)
        kept = tf.gather(kept, tf.argsort(tf.gather(bucket_of, kept), stable=True))  # (6)
        before = tf.cumsum(tf.gather(weights, kept), exclusive=True)
        batch_of = tf.unique(before // per_batch).idx  # unique: one pair may be more than a batch
        batches = tf.RaggedTensor.from_value_rowids(kept, batch_of)
        order = shuffle(tf.range(batches.nrows()), seed=keys[1])
        return tf.data.Dataset.from_tensor_slices(tf.gather(batches, order))  # (7)

    def padded(rows: Any) -> tuple[Any, Any]:
        if not equal_words:
            rows = tf.ensure_shape(rows, [batch_size])
        bucket = tf.reduce_max(tf.gather(bucket_of, rows))
        width = tf.gather(bounds, bucket) if pad_to_boundary else tf.constant(-1, tf.int64)
        shape = tf.stack([tf.size(rows, tf.int64), width])  # -1: the longest row
        return (
            tf.gather(context, rows).to_tensor(shape=shape),
            tf.gather(target, rows).to_tensor(shape=shape),
        )

    rows = tf.data.Dataset.counter().flat_map(one_epoch)
    batches = rows.map(padded, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(tf.data.AUTOTUNE)


def quantiles_of(lengths: Any, buckets: int = DEFAULT_BUCKETS) -> Any:
    """At most `buckets` boundaries, int64, with about as many sentences between each two.

    Args:
        lengths: (pairs,) integers >= 0; the last boundary is the largest, and at least 1.
    """
    shares = np.arange(1, buckets + 1) / buckets
    return np.unique(np.maximum(np.quantile(lengths, shares, method="higher"), 1)).astype("int64")


def _lengths(context: Any, target: Any) -> list[Any]:
    """Words of each context, and of each target: two arrays (pairs,)."""
    for name, tensor in (("context", context), ("target", target)):
        require(
            isinstance(tensor, tf.RaggedTensor)
            and tensor.shape.rank == 2
            and tensor.dtype.is_integer,
            OWNER,
            f"`{name}` must be a ragged tensor of integers (pairs, words)",
            f"{name} of type {type(tensor).__name__}, shape {getattr(tensor, 'shape', '?')}, "
            f"{getattr(tensor, 'dtype', '?')!r}",
            "Use tf.ragged.constant, or tokenise without padding.",
        )
    words = [tensor.row_lengths().numpy() for tensor in (context, target)]
    require(
        len(words[0]) == len(words[1]),
        OWNER,
        "`context` and `target` must have the same number of rows",
        f"{len(words[0])} and {len(words[1])} rows",
        "Row i of one is the translation of row i of the other.",
    )
    return words


def _checked(boundaries: Sequence[int], longer: Any) -> Any:
    bounds = np.asarray(boundaries)
    longest = int(longer.max())
    require(
        bounds.ndim == 1
        and bounds.size > 0
        and np.issubdtype(bounds.dtype, np.integer)
        and bounds[0] >= 1
        and bool(np.all(np.diff(bounds) > 0)),
        OWNER,
        "`boundaries` must be integers of 1 or more that increase",
        f"boundaries={boundaries!r}",
        "Say [10, 20, 40], the longest sentence of each bucket.",
    )
    require(
        bounds[-1] >= longest,
        OWNER,
        f"the last of `boundaries` must be the longest sentence or more, {longest}",
        f"boundaries={boundaries!r}",
        f"Add {longest}, or leave out longer pairs.",
    )
    return bounds.astype("int64")
