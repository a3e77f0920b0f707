"""What the recurrent layers expect of a cell, Keras's or a user's."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

Tensor: TypeAlias = Any  # a tensor of whichever backend Keras runs on
Shape: TypeAlias = Sequence[int | None]


class Cell(Protocol):
    """One step of a recurrent network.

    `output_size` and `get_initial_state` may be missing: then the output is as wide as the first
    state, and the initial state is zero.
    """

    state_size: int | Sequence[int]

    def call(self, inputs: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, Sequence[Tensor]]:
        """(batch, features) and the states, to (batch, output_size) and the new states."""


@runtime_checkable
class DropsOut(Protocol):
    """A cell that keeps one dropout mask for all steps of a sequence, as Keras's cells and ours do."""

    dropout: float
    recurrent_dropout: float

    def get_dropout_mask(self, step_input: Tensor) -> Tensor:
        """The mask of the inputs, drawn at the first call after a reset."""

    def get_recurrent_dropout_mask(self, step_input: Tensor) -> Tensor:
        """The mask of the state, drawn at the first call after a reset."""

    def reset_dropout_mask(self) -> None:
        """Forget the mask of the inputs."""

    def reset_recurrent_dropout_mask(self) -> None:
        """Forget the mask of the state."""


def accepts(function: Callable, argument: str) -> bool:
    """Whether a function takes this argument by keyword."""
    parameters = inspect.signature(function).parameters
    return argument in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def output_size_of(cell: Any) -> int:
    """How wide the cell's output is: `cell.output_size`, or else its first state."""
    declared = getattr(cell, "output_size", None)
    if declared is not None:
        return declared
    state_size = cell.state_size
    return state_size[0] if isinstance(state_size, (list, tuple)) else state_size
