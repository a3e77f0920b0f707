"""The split: deterministic, complete, and nothing held out is seen in training."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_layers.data import SentencePairs, demo_pairs, split_pairs

rows = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xyz")), min_size=2).filter(
    lambda rows: len({source for source, _ in rows}) > 1
)


def as_rows(pairs):
    return list(zip(pairs.source, pairs.target, strict=True))


@given(rows=rows, held_out=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_split_is_complete_disjoint_and_deterministic(rows, held_out, seed):
    sources, targets = map(list, zip(*rows, strict=True))
    pairs = SentencePairs(sources, targets)
    training, held = split_pairs(pairs, held_out=held_out, seed=seed)
    assert Counter(as_rows(training)) + Counter(as_rows(held)) == Counter(rows)
    assert not set(training.source) & set(held.source)
    assert training.source
    assert held.source
    assert (training, held) == split_pairs(pairs, held_out=held_out, seed=seed)


def test_demo_split_keeps_its_share_and_no_held_out_pair_in_training():
    pairs = demo_pairs(5000)
    training, held = split_pairs(pairs, held_out=0.1, seed=1)
    assert len(held.source) == 500
    assert not set(as_rows(training)) & set(as_rows(held))
    assert not set(training.source) & set(held.source)
    assert split_pairs(pairs, held_out=0.1, seed=2)[1] != held


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_a_share_outside_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match=f"split_pairs: `held_out` must be.*held_out={share}"):
        split_pairs(demo_pairs(10), held_out=share, seed=0)


def test_one_source_sentence_cannot_be_split():
    with pytest.raises(ValueError, match="at least 2 different source sentences"):
        split_pairs(SentencePairs(["a", "a"], ["b", "c"]), held_out=0.5, seed=0)
