r"""Which position each step of a sequence has, and how a code of positions meets its inputs.

p_t = start + t      (1)  t = 0, ..., steps - 1, where no positions are given
"""

import operator
from typing import Any

from keras import ops

from custom_layers.core.protocols import Tensor
from custom_layers.core.shape_check import require


def known_integer(value: Any) -> int | None:
    """The value of an integer or of an eager integer tensor; None while a graph is traced."""
    try:
        return operator.index(value)
    except TypeError:
        return None


def positions_of_steps(
    steps: Any, start_index: Any, positions: Tensor | None, dtype: str
) -> Tensor:
    """Equation (1), or the positions as given, in this dtype: (steps,) or (batch, steps)."""
    if positions is not None:
        return ops.cast(positions, dtype)
    return ops.arange(steps, dtype=dtype) + ops.cast(start_index, dtype)


def require_positions(positions: Tensor | None, batch: Any, steps: Any, *, owner: str) -> None:
    """Positions are (steps,) or (batch, steps), as far as sizes are known; a batch of 1 serves all."""
    if positions is None:
        return
    shape = tuple(positions.shape)
    fits = len(shape) in (1, 2) and _agree(shape[-1], steps)
    if len(shape) == 2:
        fits = fits and (shape[0] == 1 or _agree(shape[0], batch))
    require(
        fits,
        owner,
        f"`positions` must be (steps,) or (batch, steps) of inputs with batch={batch}, steps={steps}",
        f"positions.shape={shape}",
        "Give one position for each step.",
    )


def lay_over(code: Tensor, shape: Any) -> Tensor:
    """A code ((batch,) steps, features), repeated to the shape (batch, ..., steps, features)."""
    if len(code.shape) == 3:
        for _ in range(len(shape) - 3):
            code = ops.expand_dims(code, axis=1)
    return ops.broadcast_to(code, shape)


def _agree(actual: Any, expected: Any) -> bool:
    """Whether two sizes may be the same: a size that is no int is not known yet."""
    return not (isinstance(actual, int) and isinstance(expected, int)) or actual == expected
