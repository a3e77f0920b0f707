r"""Mean, spread and range of each feature of a data set, gathered batch by batch in float64.

    mu      = mean(x)                                          (1)
    s       = sum((x - mu)^2)                                  (2)
    lo, hi  = min(x), max(x)                                   (3)

Of two batches A and B with d = mu_B - mu_A and n = n_A + n_B,

    mu = mu_A + d n_B / n,   s = s_A + s_B + d^2 n_A n_B / n   (4)

(4) is of Chan, Golub and LeVeque 1983, The American Statistician 37(3).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from custom_layers.core.shape_check import require


class Moments(NamedTuple):
    """What is known of the rows so far; all but `rows` float64, with the kept axes."""

    rows: int
    mean: np.ndarray
    squares: np.ndarray
    least: np.ndarray
    largest: np.ndarray

    @property
    def deviation(self) -> np.ndarray:
        """The root of (2) by row; 0, and not a rounding error, where all rows are equal."""
        return np.where(self.least == self.largest, 0.0, np.sqrt(self.squares / self.rows))


def moments_of(rows: np.ndarray) -> Moments:
    """Equations (1) to (3) of (rows, kept axes)."""
    mean = rows.mean(axis=0)
    squares = np.square(rows - mean).sum(axis=0)
    return Moments(len(rows), mean, squares, rows.min(axis=0), rows.max(axis=0))


def merged(a: Moments | None, b: Moments) -> Moments:
    """Equation (4), and the range of both; `a` is None before the first batch."""
    if a is None:
        return b
    rows, d = a.rows + b.rows, b.mean - a.mean
    return Moments(
        rows,
        a.mean + d * b.rows / rows,
        a.squares + b.squares + d**2 * a.rows * b.rows / rows,
        np.minimum(a.least, b.least),
        np.maximum(a.largest, b.largest),
    )


def batches_of(data: Any) -> Iterator[np.ndarray]:
    """Float64 batches: an array, a tensor or a list is one; what else is iterated gives several.

    Of a batch that is a tuple, as a dataset's (x, y), the first entry is taken.
    """
    several = isinstance(data, Iterable) and not hasattr(data, "shape")
    for batch in data if several and not isinstance(data, Sequence) else [data]:
        x = batch[0] if isinstance(batch, tuple) and batch is not data else batch
        x = ops.convert_to_numpy(x) if ops.is_tensor(x) else x
        yield np.asarray(x, dtype="float64")


def rows_of(
    data: np.ndarray, kept: Sequence[int], mask: np.ndarray | None, owner: str
) -> np.ndarray:
    """The data as (rows, kept axes): all other axes are rows, of which a mask keeps some.

    Args:
        data: any rank.
        kept: axes, increasing from 0.
        mask: bool, the first axes of `data`, none of them kept; True = keep. None keeps all.
        owner: the layer that asks.

    Raises: ValueError for a mask of another shape, or for a number that is not finite.
    """
    others = [axis for axis in range(data.ndim) if axis not in kept]
    rows = np.transpose(data, [*others, *kept]).reshape(-1, *(data.shape[axis] for axis in kept))
    if mask is not None:
        fits = mask.shape == data.shape[: mask.ndim] and others[: mask.ndim] == [*range(mask.ndim)]
        require(
            fits,
            owner,
            "`mask` must have the first axes of `data`, without those of `axis`",
            f"mask.shape={mask.shape}, data.shape={data.shape}",
            "Such as (batch, steps) for (batch, steps, features).",
        )
        laid = mask.astype(bool).reshape(mask.shape + (1,) * (len(others) - mask.ndim))
        rows = rows[np.broadcast_to(laid, [data.shape[axis] for axis in others]).reshape(-1)]
    wrong = int(rows.size - np.isfinite(rows).sum())
    require(
        wrong == 0,
        owner,
        "`data` must be finite",
        f"{wrong} of {rows.size} numbers NaN or infinite",
        "Fill them in, take them out, or hide them with `mask`.",
    )
    return rows
