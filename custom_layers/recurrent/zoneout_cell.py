r"""Zoneout: at each step some units keep the state that they had.

    s~_t = cell(x_t, s_{t-1})                            (1) what the cell would go on with
    s_t  = d_t * s_{t-1} + (1 - d_t) * s~_t              (2) d_t ~ Bernoulli(z), drawn anew at each step
    s_t  = z * s_{t-1} + (1 - z) * s~_t                  (3) the same in expectation, in inference

for each state s of the cell (h and c of an LSTM) with a rate z of its own. What is computed inside the
step, such as the LSTM's h~_t from c~_t, does not see (2).
Source: Krueger et al. 2017, arXiv:1606.01305, section 3.
Differs from keras.layers.LSTM and its dropout: a unit that is left out keeps its state and does not
become zero, and there is a mask for each step.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Tensor
from custom_layers.core.shape_check import require, require_rate
from custom_layers.recurrent.cell_wrapper import CellWrapper
from custom_layers.recurrent.recurrent_cell import RecurrentCell, is_plain


def zoneout(new: Tensor, old: Tensor, rate: float, noise: Tensor | None = None) -> Tensor:
    """Equation (2), or without noise (3).

    Args:
        new, old: s~_t and s_{t-1}, (batch, units).
        rate: z.
        noise: uniform in [0, 1), (batch, units).
    """
    if noise is None:
        return rate * old + (1 - rate) * new  # (3)
    return ops.where(noise < rate, old, new)  # (2)


@keras.saving.register_keras_serializable(package="custom_layers")
class ZoneoutCell(CellWrapper):
    """A recurrent cell whose states are zoned out.

    Args:
        cell: a cell of custom_layers: `LSTMCell`, `GRUCell`, `SimpleRNNCell` or one of their variants.
        rate: probability in [0, 1) of keeping the old state; a list has one for each state, h first.
        seed: of the masks.

    Call arguments:
        inputs: (batch, features).
        states: as the cell has them.
        training: whether (2) or (3); it is handed on to the cell.

    Returns:
        The new h, and the new states.

    Raises:
        ValueError: `cell` is none of ours, or has an activity regularizer; `rate` holds another number
            of rates than the cell has states, or one outside [0, 1).

    In `RNN` the masks of all steps are drawn before the loop. In a stack of cells they are drawn inside
    of it, which JAX cannot compile: put one `RNN` on the other there.

    >>> import keras, custom_layers
    >>> cell = custom_layers.ZoneoutCell(custom_layers.LSTMCell(4), rate=[0.05, 0.5])
    >>> tuple(custom_layers.RNN(cell)(keras.ops.ones((2, 5, 3))).shape)
    (2, 4)
    """

    statistic_names, state_shape, slots_axis = (), None, -1  # as `RecurrentCell`

    def __init__(
        self,
        cell: Any,
        rate: float | Sequence[float] = 0.1,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(cell, **kwargs)
        require(
            isinstance(cell, RecurrentCell) and is_plain(cell) and not cell.statistic_names,
            self.name,
            "`cell` must be a cell of custom_layers without an activity regularizer, and not "
            "BatchNormLSTMCell",
            f"cell={cell!r}",
            "Use LSTMCell, GRUCell, SimpleRNNCell or one of their variants.",
        )
        self.units = cell.units
        self.gate_names, self.state_names = cell.gate_names, cell.state_names
        count = len(self.state_names)
        rates = list(rate) if isinstance(rate, (list, tuple)) else [rate] * count
        require(
            len(rates) == count,
            self.name,
            f"`rate` must be one probability, or {count}, one for each of {self.state_names}",
            f"rate={rate!r}",
            "An LSTM has two states, [h, c].",
        )
        self.rate = [require_rate(r, owner=self.name, name="rate") for r in rates]
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed=seed)

    @property
    def may_be_stepped(self) -> bool:
        """See `is_plain`."""
        return type(self).call is ZoneoutCell.call and self.activity_regularizer is None

    def project_inputs(self, inputs: Tensor, training: bool = False) -> Any:
        """The cell's projection (..., batch, gates x units); in training, and noise for each state.

        Args:
            inputs: (..., batch, features): the time axis, if any, comes before the batch.
            training: whether to draw noise, uniform in [0, 1), (..., batch, units of all states).
        """
        projected = self.wrapped_cell.project_inputs(inputs, training)
        if not training:
            return projected
        width = sum(keras.tree.flatten(self.state_size))
        shape = (*ops.shape(projected)[:-1], width)
        return projected, keras.random.uniform(
            shape, dtype=self.compute_dtype, seed=self.seed_generator
        )

    def step(
        self, projected: Any, states: Sequence[Tensor], training: bool = False, **probes: Tensor
    ) -> Any:
        """The cell's record of one step with its states zoned out, (2) or (3).

        Arguments: as `RecurrentCell.step`. A probe is added to the state that goes on.
        """
        projected, noise = projected if isinstance(projected, tuple) else (projected, None)
        record = self.wrapped_cell.step(projected, states, training)  # (1)
        new = self._zoned_out(self.wrapped_cell.states_of(record), states, noise)
        for index, name in enumerate(self.state_names):
            if f"{name}_probe" in probes:
                new[index] = new[index] + probes[f"{name}_probe"]
        return record._replace(**dict(zip(self.state_names, new, strict=True)))

    def states_of(self, record: Any) -> list[Tensor]:
        """The states that a step record leaves to the next step."""
        return self.wrapped_cell.states_of(record)

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> tuple[Tensor, Any]:
        is_nested = isinstance(states, (list, tuple))
        before = list(states) if is_nested else [states]
        _, after = self.run_cell(inputs, before, training)  # (1)
        noise = None
        if training:
            shape = (ops.shape(inputs)[0], sum(keras.tree.flatten(self.state_size)))
            noise = keras.random.uniform(shape, dtype=self.compute_dtype, seed=self.seed_generator)
        new = self._zoned_out(after, before, noise)
        return new[0], new if is_nested else new[0]

    def _zoned_out(
        self, new: Sequence[Tensor], old: Sequence[Tensor], noise: Tensor | None
    ) -> list[Tensor]:
        sizes = keras.tree.flatten(self.state_size)
        noises: list[Tensor | None] = [None] * len(sizes)
        if noise is not None:
            begins = [sum(sizes[:i]) for i in range(len(sizes))]
            noises = [noise[:, b : b + size] for b, size in zip(begins, sizes, strict=True)]
        return [zoneout(*each) for each in zip(new, old, self.rate, noises, strict=True)]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": list(self.rate), "seed": self.seed}
