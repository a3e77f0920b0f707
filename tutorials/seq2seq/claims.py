"""What the page claims of trained networks, and the figures that its report shows."""

from collections.abc import Mapping, Sequence

import numpy as np

from tutorials.seq2seq.pictures import PATIENT, WITH, WITHOUT

Shares = Mapping[str, Mapping[str, Sequence[float]]]  # way of feeding -> kind -> by seed


def figures_of(
    apart: Mapping[str, float],
    scores: Mapping[str, float],
    lengths: Sequence[int],
    right: Mapping[str, np.ndarray],
    longest: int,
    run_free: Mapping[str, float],
) -> dict[str, object]:
    """The figures of the report, by what was measured."""
    at = lengths.index(longest)
    return {
        "largest difference of the losses, built-in and custom": max(apart.values()),
        **{f"right, {shape}": score for shape, score in scores.items()},
        **{
            f"{longest} letters backwards, {name}": float(right[name][:, at].mean())
            for name in right
        },
        "tokens right in a free run, taught by the truth": run_free["teacher forcing"],
        "tokens right in a free run, scheduled sampling (linear)": run_free["linear"],
    }


def check_what_was_learnt(
    scores: Mapping[str, float],
    lengths: Sequence[int],
    right: Mapping[str, np.ndarray],
    longest: int,
    shares: Shares,
) -> None:
    """Raise AssertionError for the first claim that does not hold, of every seed."""
    assert min(scores[shape] for shape in ("many to one", "aligned", "one to many")) > 0.95, scores
    assert scores["not aligned"] > 0.85, scores
    fixed, attentive, patient = (
        dict(zip(lengths, right[name].T, strict=True)) for name in (WITHOUT, WITH, PATIENT)
    )
    assert min(attentive[n].min() for n in range(1, longest + 1)) > 0.85, "attention keeps all"
    assert min(fixed[n].min() for n in range(1, 5)) > 0.9, "short ones a vector soon holds"
    assert fixed[longest].max() < 0.2, "long ones not yet"
    assert min(patient[n].min() for n in range(1, longest + 1)) > 0.85, "later it holds all"
    assert max(*attentive[longest + 2], *fixed[longest + 2]) < 0.05, "lost two letters on,"
    assert patient[longest + 4].max() < 0.1 < patient[longest + 2].min(), "or four"
    forced, free = (
        {way: np.array(each[kind]) for way, each in shares.items()}
        for kind in ("fed the truth", "running free")
    )
    lost = {way: forced[way] - free[way] for way in shares}
    truth, linear, sigmoid, own = lost.values()
    assert min(truth / forced["teacher forcing"]) > 0.25, "without the truth it says less"
    assert min(truth) > max(linear) > max(sigmoid), lost
    assert min(sigmoid) > max(own), lost
    truth, linear, sigmoid, own = free.values()
    assert min(truth) > max(own), free
    assert min(own) > max(*linear, *sigmoid), free
