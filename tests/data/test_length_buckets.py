"""Batches of like lengths: every pair once an epoch, by the seed alone, with little padding."""

import numpy as np
import pytest
import tensorflow as tf

from custom_layers.data import length_buckets
from custom_layers.data.length_buckets import quantiles_of

BATCH, PAIRS = 16, 1003  # 62 batches an epoch, 11 pairs left out
EPOCH = PAIRS // BATCH


def sentences(pairs=PAIRS, seed=0, dtype="int64"):
    """Ragged context and target; a word tells its pair and its side, so that no mix-up hides."""
    random = np.random.default_rng(seed)
    words = np.clip(random.lognormal(2, 0.6, pairs), 1, 60).astype(int)
    others = np.maximum(1, words + random.integers(-3, 4, pairs))
    return tuple(
        tf.cast(
            tf.RaggedTensor.from_row_lengths(np.repeat(sign * np.arange(1, pairs + 1), n), n), dtype
        )
        for sign, n in ((1, words), (-1, others))
    )


def lengths_of(context, target):
    return np.maximum(context.row_lengths(), target.row_lengths())


def taken(dataset, batches, skip=0):
    return list(dataset.skip(skip).take(batches).as_numpy_iterator())


def pairs_of(batch):
    """Numbers of the pairs of a batch, checked against its target and its padding."""
    context, target = batch
    np.testing.assert_array_equal(context[:, 0], -target[:, 0])
    for side in batch:
        assert np.all((side == side[:, :1]) | (side == 0))
        assert np.all(np.diff((side != 0).astype(int), axis=1) <= 0)  # padding comes last
    return context[:, 0] - 1


def padding_share(batches):
    return np.mean(np.concatenate([(side == 0).ravel() for batch in batches for side in batch]))


@pytest.mark.parametrize("options", [{}, {"pad_to_boundary": True}, {"boundaries": [9, 70]}])
def test_an_epoch_has_every_pair_once_but_the_remainder(options):
    context, target = sentences()
    batches = taken(length_buckets(context, target, BATCH, seed=3, **options), 3 * EPOCH)
    left_out = []
    for epoch in range(3):
        seen = np.concatenate([pairs_of(b) for b in batches[epoch * EPOCH : (epoch + 1) * EPOCH]])
        assert len(set(seen)) == len(seen) == EPOCH * BATCH
        left_out.append(set(range(PAIRS)) - set(seen))
    assert [len(pairs) for pairs in left_out] == [PAIRS % BATCH] * 3
    assert not left_out[0] & left_out[1] & left_out[2]
    whole = np.concatenate([(side != 0).sum(1) for side in batches[0]])
    rows = pairs_of(batches[0])
    words = np.concatenate([x.row_lengths().numpy()[rows] for x in (context, target)])
    np.testing.assert_array_equal(whole, words)


def test_the_remainder_is_drawn_evenly_over_the_lengths():
    """Were the longest left out, some pairs would never be trained on."""
    context, target = sentences(37)
    dataset = length_buckets(context, target, BATCH, seed=0)
    seen = np.concatenate([pairs_of(batch) for batch in taken(dataset, 2 * 200)])
    times = np.bincount(seen, minlength=37)
    assert np.all(np.abs(times - 200 * 32 / 37) < 5 * np.sqrt(200 * 32 / 37 * 5 / 37))


def test_without_a_remainder_nothing_is_left_out():
    context, target = sentences(4 * BATCH)
    for epoch in range(2):
        dataset = length_buckets(context, target, BATCH, seed=5)
        seen = np.concatenate([pairs_of(batch) for batch in taken(dataset, 4, skip=4 * epoch)])
        assert sorted(seen) == list(range(4 * BATCH))


def test_the_order_is_a_function_of_seed_and_epoch():
    data = sentences()

    def order(seed, epoch):
        batches = taken(length_buckets(*data, BATCH, seed), EPOCH, skip=epoch * EPOCH)
        return np.stack([pairs_of(batch) for batch in batches])

    first = order(seed=1, epoch=0)
    tf.random.set_seed(77)
    np.random.seed(77)  # noqa: NPY002
    np.testing.assert_array_equal(order(seed=1, epoch=0), first)
    others = [order(seed=2, epoch=0), order(seed=1, epoch=1), order(seed=0, epoch=1)]
    for other in others:
        assert np.mean(other == first) < 0.1
        together = {frozenset(batch) for batch in first} & {frozenset(batch) for batch in other}
        assert len(together) <= 1  # other company, not only another order


@pytest.mark.parametrize("skip", [1, EPOCH - 1, EPOCH + 7])
def test_skipping_resumes(skip):
    data = sentences()
    whole = taken(length_buckets(*data, BATCH, seed=4, pad_to_boundary=True), skip + 5)
    rest = taken(length_buckets(*data, BATCH, seed=4, pad_to_boundary=True), 5, skip=skip)
    for expected, batch in zip(whole[skip:], rest, strict=True):
        for side, other in zip(expected, batch, strict=True):
            np.testing.assert_array_equal(side, other)


def test_there_is_less_padding_than_in_random_batches():
    context, target = sentences()
    order = np.random.default_rng(0).permutation(PAIRS)[: EPOCH * BATCH].reshape(EPOCH, BATCH)
    at_random = [
        tuple(tf.gather(side, rows).to_tensor().numpy() for side in (context, target))
        for rows in order
    ]
    bucketed = taken(length_buckets(context, target, BATCH, seed=0), EPOCH)
    to_boundary = taken(length_buckets(context, target, BATCH, 0, pad_to_boundary=True), EPOCH)
    shares = [padding_share(batches) for batches in (bucketed, to_boundary, at_random)]
    assert shares[0] < shares[1] < shares[2]
    assert shares[0] < 0.5 * shares[2]


def test_widths_are_the_boundaries_and_no_more():
    context, target = sentences()
    bounds = quantiles_of(lengths_of(context, target))
    batches = taken(length_buckets(context, target, BATCH, seed=0, pad_to_boundary=True), 2 * EPOCH)
    assert {context.shape for context, _ in batches} == {(BATCH, bound) for bound in bounds}
    for context, target in batches:
        assert context.shape == target.shape
        longest = max((context != 0).sum(1).max(), (target != 0).sum(1).max())
        assert context.shape[1] == bounds[np.searchsorted(bounds, longest)]
    assert 3 <= len(bounds) <= 6


def test_own_boundaries_bound_the_widths_and_the_lengths_of_a_batch():
    context, target = sentences()
    lengths = lengths_of(context, target)
    bounds = [5, 8, 12, 80]
    dataset = length_buckets(context, target, BATCH, 1, boundaries=bounds, pad_to_boundary=True)
    mixed = 0
    for batch in taken(dataset, EPOCH):
        buckets = np.searchsorted(bounds, lengths[pairs_of(batch)])
        assert batch[0].shape == batch[1].shape == (BATCH, bounds[buckets.max()])
        mixed += len(set(buckets)) > 1
    assert mixed <= len(bounds) - 1


def test_each_side_has_its_own_width_without_pad_to_boundary():
    context, target = sentences()
    for batch in taken(length_buckets(context, target, BATCH, seed=0), EPOCH):
        for side in batch:
            assert np.any(side[:, -1] != 0)


def test_the_batches_come_in_random_order_over_the_lengths():
    data = sentences()
    batches = taken(length_buckets(*data, BATCH, seed=0, pad_to_boundary=True), EPOCH)
    widths = np.array([context.shape[1] for context, _ in batches])
    assert abs(np.corrcoef(widths, np.arange(EPOCH))[0, 1]) < 0.4
    assert np.mean(widths[1:] == widths[:-1]) < 0.5  # sorted batches would give nearly 1


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_dtypes_are_kept(dtype):
    context, target = sentences(20, dtype=dtype)
    dataset = length_buckets(context, target, BATCH, seed=0)
    assert [spec.dtype.name for spec in dataset.element_spec] == [dtype, dtype]
    assert dataset.element_spec[0].shape.as_list() == [BATCH, None]


def test_default_boundaries():
    assert list(quantiles_of(np.arange(1, 61))) == [11, 21, 31, 41, 51, 60]
    assert list(quantiles_of(np.full(9, 4))) == [4]
    assert list(quantiles_of(np.zeros(3, int))) == [1]
    assert list(quantiles_of(np.array([1, 1, 1, 1, 1, 1, 50]))) == [1, 50]


def refused(rule, *data, batch_size=BATCH, **options):
    with pytest.raises(ValueError, match=rule) as caught:
        length_buckets(*data, batch_size, seed=0, **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("length_buckets: ")


def test_what_cannot_be_batched_is_refused():
    context, target = sentences(40)
    refused("one full batch.*40 pairs, batch_size=41", context, target, batch_size=41)
    refused("`batch_size` must be a positive", context, target, batch_size=0)
    refused("same number of rows.*40 and 39", context, target[:-1])
    refused("`context` must be a ragged.*EagerTensor", context.to_tensor(), target)
    refused("`target` must be a ragged tensor of integers", context, tf.cast(target, tf.float32))
    for wrong in ([], [0, 90], [9, 9, 90], [90, 9], [2.5, 90], [[9, 90]]):
        refused("`boundaries` must be integers of 1 or more", context, target, boundaries=wrong)
    refused(r"longest sentence or more.*boundaries=\[2, 3\]", context, target, boundaries=[2, 3])
    for other in ({"pad_to_boundary": True}, {"boundaries": [90]}):
        refused("`equal_words` excludes", context, target, equal_words=True, **other)


def words_of(batch):
    return int((batch[1] != 0).sum())


def test_batches_of_equal_words_hold_as_many_words_and_every_pair_once():
    context, target = sentences()
    average = BATCH * target.row_lengths().numpy().mean()
    longest = target.row_lengths().numpy().max()
    count = int(target.row_lengths().numpy().sum() // round(average))
    dataset = length_buckets(context, target, BATCH, seed=3, equal_words=True)
    left_out = []
    for epoch in range(3):
        batches = taken(dataset, count, skip=epoch * count)
        apart = sorted(abs(words_of(batch) - average) for batch in batches)
        assert apart[-2] <= longest
        assert apart[-1] <= 2 * longest  # the last one has what is left
        seen = np.concatenate([pairs_of(batch) for batch in batches])
        assert len(set(seen)) == len(seen)
        left_out.append(set(range(PAIRS)) - set(seen))
        assert sum(target.row_lengths().numpy()[list(left_out[-1])]) <= average + longest
        rows = [len(pairs_of(batch)) for batch in batches]
        assert max(rows) > 2 * BATCH > BATCH > 2 * min(rows)  # more sentences, the shorter they are
    assert not left_out[0] & left_out[1] & left_out[2]


def test_batches_of_equal_words_have_pairs_of_like_lengths_on_both_sides():
    """A batch that begins a new length may be wide; all others pad next to nothing."""
    words = np.random.default_rng(1).integers(2, 9, [2, 4000])  # 49 pairs of lengths
    data = [tf.RaggedTensor.from_row_lengths(tf.ones(sum(n), tf.int64), n) for n in words]
    dataset = length_buckets(*data, 20, seed=0, equal_words=True)
    shares = [[np.mean(side == 0) for side in batch] for batch in taken(dataset, 190)]
    assert np.all(np.mean(np.equal(shares, 0), axis=0) > 0.5)
    assert np.all(np.mean(shares, axis=0) < 0.1)  # a bucket for each longer sentence: 0.25


def test_what_equal_words_leave_out_is_drawn_evenly_over_the_lengths():
    context, target = sentences(37)
    dataset = length_buckets(context, target, BATCH, seed=0, equal_words=True)
    seen = np.concatenate([pairs_of(batch) for batch in taken(dataset, 2 * 200)])
    times = np.bincount(seen, minlength=37)
    assert np.all(np.abs(times / times.mean() - 1) < 0.3)


def test_a_sentence_longer_than_a_batch_shares_it_with_none_or_one():
    lengths = [5] * 200 + [99]
    ragged = tf.RaggedTensor.from_row_lengths(np.repeat(np.arange(1, 202), lengths), lengths)
    dataset = length_buckets(ragged, ragged, 4, seed=0, equal_words=True)
    batches = [set(context[:, 0]) for context, _ in taken(dataset, 50)]
    of_the_long = [batch for batch in batches if 201 in batch]
    assert of_the_long
    assert all(len(batch) <= 5 for batch in batches)
    assert all(batches)  # none is empty, though the long one fills several


def test_batches_of_equal_words_resume():
    data = sentences()
    whole = taken(length_buckets(*data, BATCH, seed=4, equal_words=True), 80)
    rest = taken(length_buckets(*data, BATCH, seed=4, equal_words=True), 10, skip=70)
    for expected, batch in zip(whole[70:], rest, strict=True):
        np.testing.assert_array_equal(pairs_of(expected), pairs_of(batch))
