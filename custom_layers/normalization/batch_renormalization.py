r"""Batch renormalization: a training step that normalizes as inference will.

A batch's own mean mu_B and deviation sigma_B make its examples depend on each other. Moving ones, mu
and sigma, would not, and are what inference uses. The normalized batch is therefore corrected,

    r = clip(sigma_B / sigma, rmin, rmax)                (1)
    d = clip((mu_B - mu) / sigma, -dmax, dmax)           (2)
    y = gamma * (x_hat * r + d) + beta                   (3)
      = (gamma r) x_hat + (gamma d + beta)               (4)

so that without clipping x_hat * r + d = (x - mu) / sigma. No gradient flows through r and d.

Source: Ioffe 2017, arXiv:1702.03275, section 3 and algorithm 1. A lower bound of r that is not
1 / rmax is Keras's.
"""

from collections.abc import Mapping
from typing import NamedTuple

from keras import ops

from custom_layers.core.protocols import Tensor
from custom_layers.core.shape_check import require

BOUNDS = ("rmax", "rmin", "dmax")


class Renormalization(NamedTuple):
    """The correction of a batch, each (channels,)."""

    r: Tensor
    d: Tensor


def renormalization(
    mean: Tensor,
    deviation: Tensor,
    moving_mean: Tensor,
    moving_deviation: Tensor,
    epsilon: float,
    clipping: Mapping[str, float | None],
) -> Renormalization:
    """Equations (1) and (2); sigma is at least sqrt(epsilon), as every deviation of a batch is."""
    sigma = ops.maximum(moving_deviation, ops.sqrt(ops.cast(epsilon, mean.dtype)))
    r = deviation / sigma
    d = (mean - moving_mean) / sigma
    rmin, rmax, dmax = (clipping.get(name) for name in ("rmin", "rmax", "dmax"))
    if rmin is not None:
        r = ops.maximum(r, rmin)
    if rmax is not None:
        r = ops.minimum(r, rmax)  # (1)
    if dmax is not None:
        d = ops.clip(d, -dmax, dmax)  # (2)
    return Renormalization(ops.stop_gradient(r), ops.stop_gradient(d))


def corrected(
    correction: Renormalization, gamma: Tensor | None, beta: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The gain and the bias of (4), which stand for gamma and beta."""
    r, d = correction
    if gamma is not None:
        r, d = r * gamma, d * gamma
    return r, d if beta is None else d + beta


def require_clipping(clipping: Mapping[str, float | None], owner: str) -> None:
    """Raise ValueError for an unknown bound, crossed bounds of r or a negative bound of d."""
    received = f"renorm_clipping={dict(clipping)}"
    require(
        set(clipping) <= set(BOUNDS),
        owner,
        "Received invalid keys in `renorm_clipping`",
        received,
        f"Choose from {', '.join(BOUNDS)}.",
    )
    rmin, rmax, dmax = (clipping.get(name) for name in ("rmin", "rmax", "dmax"))
    require(
        rmin is None or rmax is None or rmin <= rmax,
        owner,
        "rmax should be at least rmin in `renorm_clipping`",
        received,
        "The paper starts from rmax=1 and lets it grow to 3.",
    )
    require(
        dmax is None or dmax >= 0,
        owner,
        "dmax should be non-negative in `renorm_clipping`",
        received,
        "The paper starts from dmax=0 and lets it grow to 5.",
    )
