"""The layer that runs a cell over time."""

from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor, output_size_of
from custom_layers.core.shape_check import require, require_shape
from custom_layers.core.taps import listener_of
from custom_layers.recurrent import gradient_choice
from custom_layers.recurrent.cell_step import cell_step
from custom_layers.recurrent.dropout_masks import (
    draw_dropout_masks,
    reset_dropout_masks,
    take_over_dropout_masks,
)
from custom_layers.recurrent.masked_time_loop import CellStep, masked_time_loop
from custom_layers.recurrent.recurrent_cell import RecurrentCell, is_plain
from custom_layers.recurrent.stacked_rnn_cells import StackedRNNCells
from custom_layers.recurrent.time_loop import time_loop, unrolled_time_loop
from custom_layers.recurrent.watched_loop import WatchedLoop, can_be_watched


class Untracked:
    """Holds variables that are neither weights nor saved: a layer's tracker does not look in here."""

    def __init__(self, content: Any) -> None:
        self.content = content


@keras.saving.register_keras_serializable(package="custom_layers")
class RNN(keras.layers.Layer):
    """Run a cell over the steps of a sequence.

    Args:
        cell: what has `call(inputs, states) -> (output, states)` and `state_size`, ours or Keras's or
            a user's; or a list of such cells, which are stacked.
        return_sequences: whether to return the outputs of all steps, or the last one.
        return_state: whether to return the last states as well.
        go_backwards: start at the last step; the outputs come in the order they are computed.
        stateful: begin each batch with the states that the last one ended with.
        unroll: write the loop out step by step; needs a fixed number of steps.
        zero_output_for_mask: whether a masked step puts out zero instead of the output before it.
        gradient: "autodiff", the framework's, or "bptt", ours through time: see `gradient_choice.py`.
        truncate_every: with "bptt", cut the states' gradient every so many steps; int >= 1, or None.

    Call arguments:
        sequences: (batch, steps, features).
        initial_state: list with one (batch, units) for each state; default zeros.
        mask: bool (batch, steps), True = keep. A masked step leaves the states as they are.
        training: whether dropout is applied.

    Returns:
        (batch, steps, output_size) or (batch, output_size), in the layer's compute dtype; with
        `return_state` a tuple of that and the states.

    Raises:
        ValueError: `sequences`, `mask` or `initial_state` disagree about batch, steps or units; an
            unknown number of steps with `unroll`; an unknown or another batch size with `stateful`.

    Differs from keras.layers.RNN: a mask or an initial state of a wrong shape raises, where Keras
    broadcasts it or fails inside the backend, and so does a mask (batch, steps, 1). When the first
    steps are masked the output is 0 on every backend; Keras on JAX puts out the initial state. Our
    cells project the inputs of all steps in one product before the loop, and `inner_loop` returns a
    pair: the outputs that are asked for, and the states.
    """

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        *,
        gradient: str = "autodiff",
        truncate_every: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        for attribute in ("call", "state_size"):
            require(
                hasattr(cell, attribute),
                self.name,
                f"`cell` must have `{attribute}`",
                f"cell={cell!r}",
                "See custom_layers.core.protocols.Cell.",
            )
        state_size = cell.state_size
        require(
            isinstance(state_size, (int, list, tuple)),
            self.name,
            "`cell.state_size` must be an integer, or a list of integers, one for each state",
            f"state_size={state_size!r}",
            "Set it in the cell's constructor.",
        )
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.gradient, self.truncate_every = gradient_choice.checked_gradient(
            self.name, cell, gradient, truncate_every
        )
        self.single_state = isinstance(state_size, int)
        self.state_size = [state_size] if isinstance(state_size, int) else list(state_size)
        self.supports_masking = True
        self._state_variables: Untracked | None = None
        take_over_dropout_masks(cell)

    # -- shapes and masks ------------------------------------------------------------------------

    def build(self, sequences_shape: Shape, initial_state_shape: Any = None) -> None:
        batch, steps, *features = sequences_shape
        require(
            not self.unroll or steps is not None,
            self.name,
            "`unroll=True` needs a fixed number of steps",
            f"sequences.shape={tuple(sequences_shape)}",
            "Give the Input a fixed length, or use unroll=False.",
        )
        if isinstance(self.cell, keras.layers.Layer) and not self.cell.built:
            self.cell.build((batch, *features))
            self.cell.built = True
        if self.stateful:
            self._create_state_variables(batch)
        self.built = True

    def compute_output_shape(self, sequences_shape: Shape, initial_state_shape: Any = None) -> Any:
        batch, steps = sequences_shape[0], sequences_shape[1]
        width = output_size_of(self.cell)
        output = (batch, steps, width) if self.return_sequences else (batch, width)
        if not self.return_state:
            return output
        states = [
            [(batch, s) for s in size] if isinstance(size, (list, tuple)) else (batch, size)
            for size in self.state_size
        ]
        return output, *states

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        mask = keras.tree.flatten(previous_mask)[0]
        output_mask = mask if self.return_sequences else None
        if self.return_state:
            return [output_mask, *(None for _ in self.state_size)]
        return output_mask

    # -- states that outlive a batch -------------------------------------------------------------

    @property
    def states(self) -> Any:
        """The variables that hold the states between batches, nested as the cell has them; or None."""
        return None if self._state_variables is None else self._state_variables.content

    def _create_state_variables(self, batch: int | None) -> None:
        if self._state_variables is not None:
            self.reset_state()
            return
        require(
            batch is not None,
            self.name,
            "`stateful=True` needs a fixed batch size",
            f"batch={batch}",
            "Give the model an Input(batch_size=...), or use stateful=False.",
        )
        variables = keras.tree.map_structure(
            lambda value: keras.Variable(
                value, trainable=False, dtype=self.variable_dtype, name="rnn_state"
            ),
            self.get_initial_state(batch),
        )
        self._state_variables = Untracked(variables)

    def reset_state(self) -> None:
        """Set the states that a stateful layer has kept to zero."""
        for variable in keras.tree.flatten(self.states) if self.states is not None else ():
            variable.assign(ops.zeros_like(variable.value))

    def reset_states(self) -> None:
        """The same under its older name."""
        self.reset_state()

    def get_initial_state(self, batch_size: int | None) -> list[Any]:
        """The states before the first step: the cell's own, or zeros (batch, units)."""
        if hasattr(self.cell, "get_initial_state"):
            states = self.cell.get_initial_state(batch_size=batch_size)
            return list(states) if isinstance(states, (list, tuple)) else [states]
        dtype = getattr(self.cell, "compute_dtype", self.compute_dtype)
        return [ops.zeros((batch_size, size), dtype=dtype) for size in self.state_size]

    # -- computation -----------------------------------------------------------------------------

    def call(
        self,
        sequences: Tensor,
        initial_state: Any = None,
        mask: Tensor | None = None,
        training: bool = False,
    ) -> Any:
        mask = keras.tree.flatten(mask)[0]
        self._check_call(sequences, mask)
        states = self._states_before(sequences, initial_state)
        reset_dropout_masks(self.cell)
        draw_dropout_masks(self.cell, sequences[:, 0], states)
        output, states = self.inner_loop(sequences, states, mask, training)
        reset_dropout_masks(self.cell)
        output = ops.cast(output, self.compute_dtype)
        states = keras.tree.map_structure(lambda s: ops.cast(s, self.compute_dtype), states)
        if self.stateful:
            kept = keras.tree.flatten(self.states)
            for variable, state in zip(kept, keras.tree.flatten(states), strict=True):
                variable.assign(state)
        return (output, *states) if self.return_state else output

    def inner_loop(
        self, sequences: Tensor, initial_state: Any, mask: Tensor | None, training: bool = False
    ) -> tuple[Tensor, Any]:
        """The outputs as the constructor asks for them, and the last states.

        Args:
            sequences: (batch, steps, features).
            initial_state: nested as the cell has its states.
            mask: bool (batch, steps), or None.
            training: whether dropout is applied.
        """
        inputs = _exchange_batch_and_steps(sequences)
        if mask is not None:
            mask = ops.cast(ops.transpose(mask, (1, 0)), "bool")
        listener = listener_of(self, sequences)
        if listener is not None and not can_be_watched(self.cell):
            listener = None
        run = gradient_choice.back_propagated_loop if self.gradient == "bptt" else RNN.autodiff_loop
        outputs, states = run(self, listener, inputs, initial_state, mask, training)
        if self.return_sequences:
            outputs = _exchange_batch_and_steps(outputs)
            if self.go_backwards:
                outputs = ops.flip(outputs, axis=1)
        return outputs, states

    def autodiff_loop(
        self, listener: Any, inputs: Tensor, initial_state: Any, mask: Any, training: bool
    ) -> tuple[Tensor, Any]:
        """The loop that the framework differentiates."""
        if listener is None:
            step, inputs = cell_step(self.cell, inputs, training)
            zero_output = self._zero_output(step, inputs, initial_state)
        else:
            watched = WatchedLoop(self, listener, inputs, training)
            step, inputs = watched.step, watched.inputs
            zero_output = watched.zero_output
        outputs, states, records = masked_time_loop(
            step,
            initial_state,
            inputs,
            mask,
            zero_output=zero_output,
            reverse=self.go_backwards,
            return_sequences=self.return_sequences,
            zero_output_for_mask=self.zero_output_for_mask,
            loop=unrolled_time_loop if self.unroll else time_loop,
        )
        if listener is not None:
            watched.hand_over(records, mask)
        elif records is not None:
            self.cell.take_over(records)
        return outputs, states

    def _zero_output(self, step: CellStep, inputs: Tensor, states: Any) -> Tensor:
        """Zeros like the output of a step, which a foreign cell need not declare."""
        if is_plain(self.cell) or isinstance(self.cell, (RecurrentCell, StackedRNNCells)):
            dtype = getattr(self.cell, "compute_dtype", self.compute_dtype)
            batch = ops.shape(keras.tree.flatten(inputs)[0])[1]
            return ops.zeros((batch, output_size_of(self.cell)), dtype)
        return ops.zeros_like(step(inputs[0], states)[0])

    def _states_before(self, sequences: Tensor, initial_state: Any) -> list[Any]:
        if initial_state is None and self.stateful:
            initial_state = self.states
        if initial_state is None:
            initial_state = self.get_initial_state(ops.shape(sequences)[0])
        if not isinstance(initial_state, (list, tuple)):
            initial_state = [initial_state]
        given, expected = keras.tree.flatten(initial_state), keras.tree.flatten(self.state_size)
        require(
            len(given) == len(expected),
            self.name,
            f"`initial_state` must hold {len(expected)} tensor(s), one for each state",
            f"{len(given)} tensor(s)",
            "Pass what return_state=True returned, as a list.",
        )
        for state, size in zip(given, expected, strict=True):
            require_shape(
                state,
                (sequences.shape[0], size),
                owner=self.name,
                name="initial_state",
                layout="(batch, units)",
                way_out="Use a state of this layer's units and this batch.",
            )
        dtype = getattr(self.cell, "compute_dtype", self.compute_dtype)

        def ready(state: Tensor) -> Tensor:
            state = ops.convert_to_tensor(state, dtype=dtype)
            return ops.copy(state) if self.stateful else state  # Torch assigns to it in place

        structure = self.cell.state_size if not self.single_state else [self.cell.state_size]
        return keras.tree.pack_sequence_as(_as_lists(structure), [ready(state) for state in given])

    def _check_call(self, sequences: Tensor, mask: Tensor | None) -> None:
        shape = tuple(sequences.shape)
        require(
            keras.backend.standardize_dtype(sequences.dtype) != "string",
            self.name,
            "`sequences` must hold numbers",
            "sequences.dtype=string",
            "Turn words into numbers with TextVectorization and Embedding.",
        )
        require(
            len(shape) >= 3,
            self.name,
            "`sequences` must be (batch, steps, features)",
            f"sequences.shape={shape}",
            "Add the missing axis with keras.ops.expand_dims.",
        )
        if mask is not None:
            require_shape(
                mask,
                shape[:2],
                owner=self.name,
                name="mask",
                layout="(batch, steps)",
                way_out="Give one truth value for each step of each sequence.",
            )
        if self.stateful and self.states is not None:
            batch = keras.tree.flatten(self.states)[0].shape[0]
            require(
                shape[0] in (None, batch),
                self.name,
                f"the batch size of a stateful layer is fixed: {batch}",
                f"batch size {shape[0]}",
                "Feed batches of that size, or use stateful=False.",
            )

    # -- files -----------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "cell": keras.saving.serialize_keras_object(self.cell),
            "return_sequences": self.return_sequences,
            "return_state": self.return_state,
            "go_backwards": self.go_backwards,
            "stateful": self.stateful,
            "unroll": self.unroll,
            "zero_output_for_mask": self.zero_output_for_mask,
            **gradient_choice.gradient_config(self),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "RNN":
        rest = dict(config)
        cell = keras.saving.deserialize_keras_object(
            rest.pop("cell"), custom_objects=custom_objects
        )
        return cls(cell, **rest)


def _as_lists(nested: Any) -> Any:
    """The same nesting in plain lists: JAX does not know the lists in which Keras tracks attributes."""
    return [_as_lists(n) for n in nested] if isinstance(nested, (list, tuple)) else nested


def _exchange_batch_and_steps(tensor: Tensor) -> Tensor:
    return ops.transpose(tensor, (1, 0, *range(2, len(tensor.shape))))
