"""Several cells on top of each other, run as one cell."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor, accepts, output_size_of
from custom_layers.core.shape_check import require


@keras.saving.register_keras_serializable(package="custom_layers")
class StackedRNNCells(keras.layers.Layer):
    """Feed each cell's output to the next cell, within one time step.

        y^0_t = x_t,   y^l_t, s^l_t = cell_l(y^{l-1}_t, s^l_{t-1}),   output y^L_t

    Args:
        cells: the cells, the first one nearest to the input.

    Call arguments:
        inputs: (batch, features).
        states: one entry for each cell, nested as that cell has its states.

    Returns:
        The last cell's output (batch, output_size), and the new states.

    Source: Graves 2013, arXiv:1308.0850, section 2, equation (2) without its skip connections.
    Differs from keras.layers.StackedRNNCells: an empty list raises; called by itself, a stack of one
    cell returns its states nested like any other stack.
    """

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        require(
            len(cells) > 0,
            self.name,
            "`cells` must hold at least one cell",
            f"cells={cells!r}",
            "Pass a list such as [LSTMCell(32), LSTMCell(32)].",
        )
        for cell in cells:
            for attribute in ("call", "state_size"):
                require(
                    hasattr(cell, attribute),
                    self.name,
                    f"each of `cells` must have `{attribute}`",
                    f"cell={cell!r}",
                    "See custom_layers.core.protocols.Cell.",
                )
        self.cells = cells

    @property
    def state_size(self) -> list[Any]:
        """The state sizes of the cells, one entry for each."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> int:
        """How wide the last cell's output is."""
        return output_size_of(self.cells[-1])

    def build(self, input_shape: Shape) -> None:
        batch = input_shape[0]
        for cell in self.cells:
            if isinstance(cell, keras.layers.Layer) and not cell.built:
                cell.build(input_shape)
                cell.built = True
            input_shape = (batch, output_size_of(cell))
        self.built = True

    def get_initial_state(self, batch_size: int | None = None) -> list[Any]:
        """The states of all cells before the first step."""
        return [self._initial_state_of(cell, batch_size) for cell in self.cells]

    def _initial_state_of(self, cell: Any, batch_size: int | None) -> Any:
        if hasattr(cell, "get_initial_state"):
            return cell.get_initial_state(batch_size=batch_size)
        return keras.tree.map_structure(
            lambda size: ops.zeros((batch_size, size), dtype=self.compute_dtype), cell.state_size
        )

    def call(
        self, inputs: Tensor, states: Sequence[Any], training: bool = False, **kwargs: Any
    ) -> tuple[Tensor, Any]:
        new_states = []
        for cell, cell_states in zip(self.cells, states, strict=True):
            is_nested = isinstance(cell_states, (list, tuple))
            options = {"training": training} if accepts(cell.call, "training") else {}
            run = cell if callable(cell) else cell.call
            before = list(cell_states) if is_nested else [cell_states]
            inputs, after = run(inputs, before, **options, **kwargs)
            after = list(after) if isinstance(after, (list, tuple)) else [after]
            new_states.append(after if is_nested else after[0])
        return inputs, new_states

    def get_config(self) -> dict[str, Any]:
        cells = [keras.saving.serialize_keras_object(cell) for cell in self.cells]
        return {**super().get_config(), "cells": cells}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "StackedRNNCells":
        rest = dict(config)
        cells = [
            keras.saving.deserialize_keras_object(cell, custom_objects=custom_objects)
            for cell in rest.pop("cells")
        ]
        return cls(cells, **rest)
