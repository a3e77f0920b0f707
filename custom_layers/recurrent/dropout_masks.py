"""Dropout inside a recurrent cell: one mask for all time steps of a sequence.

    x_t' = m_x * x_t,   h_{t-1}' = m_h * h_{t-1},   m ~ Bernoulli(1 - rate) / (1 - rate), at every t

Source: Gal and Ghahramani 2016, arXiv:1512.05287, section 4 (there with one mask for all gates as well).
"""

from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import DropsOut, Tensor, output_size_of
from custom_layers.recurrent.cell_wrapper import CellWrapper
from custom_layers.recurrent.stacked_rnn_cells import StackedRNNCells

Mask = Any  # a tensor, or a list with one tensor for each gate, or None


class RecurrentDropout:
    """Mix-in of a cell that draws its masks once for each sequence and keeps them until it is reset.

    A cell that mixes this in has `dropout`, `recurrent_dropout`, `seed_generator` and
    `dropout_mask_count`: None for one mask, or a count for a list with a mask for each gate. The
    masks are drawn in Keras's order, so that equal seeds give equal masks.
    """

    dropout: float
    recurrent_dropout: float
    dropout_mask_count: int | None = None
    masks_drawn_by_layer: bool = False  # True once a layer of ours runs this cell
    told_of_sequences: bool = False  # True once somebody else has said that a sequence begins
    seed_generator: keras.random.SeedGenerator
    _dropout_mask: Mask = None
    _recurrent_dropout_mask: Mask = None

    def get_dropout_mask(self, step_input: Tensor) -> Mask:
        """Mask of the inputs, shaped like `step_input` (batch, features); None without dropout."""
        if self._dropout_mask is None and self.dropout > 0:
            self._dropout_mask = self._draw(step_input, self.dropout)
        return self._dropout_mask

    def get_recurrent_dropout_mask(self, step_input: Tensor) -> Mask:
        """Mask of the state, shaped like `step_input` (batch, units); None without dropout."""
        if self._recurrent_dropout_mask is None and self.recurrent_dropout > 0:
            self._recurrent_dropout_mask = self._draw(step_input, self.recurrent_dropout)
        return self._recurrent_dropout_mask

    def reset_dropout_mask(self) -> None:
        """Forget the mask of the inputs: the next sequence draws its own."""
        self.told_of_sequences = True
        self._dropout_mask = None

    def reset_recurrent_dropout_mask(self) -> None:
        """Forget the mask of the state: the next sequence draws its own."""
        self._recurrent_dropout_mask = None

    def _draw(self, like: Tensor, rate: float) -> Mask:
        ones = ops.ones_like(like)
        if self.dropout_mask_count is None:
            return keras.random.dropout(ones, rate, seed=self.seed_generator)
        return [
            keras.random.dropout(ones, rate, seed=self.seed_generator)
            for _ in range(self.dropout_mask_count)
        ]


def apply_mask(tensor: Tensor, mask: Mask) -> Tensor | list[Tensor]:
    """The tensor times its mask; a list of one product for each gate where each has its own mask."""
    if mask is None:
        return tensor
    if isinstance(mask, (list, tuple)):
        return [tensor * gate_mask for gate_mask in mask]
    return tensor * mask


def apply_mask_backward(d_dropped: Any, mask: Mask) -> Tensor:
    """Gradient of `apply_mask` by its tensor: each product's gradient times its mask, summed."""
    if mask is None:
        return d_dropped
    if isinstance(mask, (list, tuple)):
        return sum(d_gate * gate_mask for d_gate, gate_mask in zip(d_dropped, mask, strict=True))
    return d_dropped * mask


def is_traced(tensor: Tensor) -> bool:
    """Whether the tensor has no value yet, because a function that holds it is being compiled."""
    try:
        ops.convert_to_numpy(tensor)
    except Exception:  # each backend has its own way to say no
        return True
    return False


STACKS = (StackedRNNCells, keras.layers.StackedRNNCells)


def single_cells(cell: Any) -> Iterator[Any]:
    """The cell itself or the cell that it wraps, or all cells of a stack, of stacks within it too."""
    if isinstance(cell, STACKS):
        for inner in cell.cells:
            yield from single_cells(inner)
    elif isinstance(cell, CellWrapper):
        yield from single_cells(cell.wrapped_cell)
    else:
        yield cell


def take_over_dropout_masks(cell: Any) -> None:
    """Tell our cells, alone or in a stack, that the layer that runs them draws their masks."""
    for inner in single_cells(cell):
        if isinstance(inner, RecurrentDropout):
            inner.masks_drawn_by_layer = True


def draw_dropout_masks(cell: Any, step_input: Tensor, states: Any) -> None:
    """Draw the masks of a cell, or of each cell in a stack, before the time loop begins.

    Outside the loop, because inside it a traced tensor must not outlive its step. They are drawn in
    inference too, as Keras does: the generators of two models stay in step.
    """
    if isinstance(cell, CellWrapper):
        draw_dropout_masks(cell.wrapped_cell, step_input, states)
    elif isinstance(cell, STACKS):
        for inner, inner_states in zip(cell.cells, states, strict=True):
            draw_dropout_masks(inner, step_input, inner_states)
            step_input = ops.zeros(
                (ops.shape(step_input)[0], output_size_of(inner)), step_input.dtype
            )
    elif isinstance(cell, DropsOut):
        cell.get_dropout_mask(step_input)
        cell.get_recurrent_dropout_mask(keras.tree.flatten(states)[0])


def reset_dropout_masks(cell: Any) -> None:
    """Forget the masks of a cell, or of each cell in a stack."""
    for inner in single_cells(cell):
        if isinstance(inner, DropsOut):
            inner.reset_dropout_mask()
            inner.reset_recurrent_dropout_mask()
