"""What the cells around a cell share: its states, its dropout masks, one call, the configuration."""

from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor, accepts, output_size_of
from custom_layers.core.shape_check import require


class CellWrapper(keras.layers.Layer):
    """A cell that runs another one; subclasses write `call`.

    Args:
        cell: what has `call(inputs, states) -> (output, states)` and `state_size`.

    Raises:
        ValueError: `cell` is no cell.
    """

    def __init__(self, cell: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for attribute in ("call", "state_size"):
            require(
                hasattr(cell, attribute),
                self.name,
                f"`cell` must have `{attribute}`",
                f"cell={cell!r}",
                "Pass a cell such as LSTMCell(32).",
            )
        self.wrapped_cell = cell
        self.state_size: Any = cell.state_size
        self.output_size = output_size_of(cell)

    def build(self, input_shape: Shape) -> None:
        cell = self.wrapped_cell
        if isinstance(cell, keras.layers.Layer) and not cell.built:
            cell.build(input_shape)
            cell.built = True

    def run_cell(self, inputs: Tensor, states: Any, training: bool) -> tuple[Tensor, Any]:
        """The wrapped cell's output and new states."""
        cell = self.wrapped_cell
        options = {"training": training} if accepts(cell.call, "training") else {}
        return (cell if callable(cell) else cell.call)(inputs, states, **options)

    def get_initial_state(self, batch_size: int | None = None) -> Any:
        """The states of the wrapped cell before the first step."""
        if hasattr(self.wrapped_cell, "get_initial_state"):
            return self.wrapped_cell.get_initial_state(batch_size=batch_size)
        return keras.tree.map_structure(
            lambda size: ops.zeros((batch_size, size), dtype=self.compute_dtype), self.state_size
        )

    def get_config(self) -> dict[str, Any]:
        cell = keras.saving.serialize_keras_object(self.wrapped_cell)
        return {**super().get_config(), "cell": cell}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "CellWrapper":
        rest = dict(config)
        cell = keras.saving.deserialize_keras_object(
            rest.pop("cell"), custom_objects=custom_objects
        )
        return cls(cell, **rest)


def require_equal_features(owner: str, features: int | None, output_size: int) -> None:
    """What is added to its input, or mixed with it, is as wide as it; ValueError if not."""
    require(
        features == output_size,
        owner,
        f"`cell` must put out as many features as `inputs` has: {features}",
        f"output_size={output_size}",
        "Choose that many units, or project the inputs with a Dense layer first.",
    )
