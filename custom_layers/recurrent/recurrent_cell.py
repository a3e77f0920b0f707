"""What SimpleRNNCell, LSTMCell and GRUCell share: weights, dropout, configuration, one call.

A cell is cut where time is: `project_inputs` needs no state, so that a layer does it for all steps in
one matrix product; `step` needs the state, and is all that is left inside the time loop.

    projected = project_inputs(x)           (..., features)  ->  (..., gates x units)
    record    = step(projected_t, states)   every intermediate of one step, by name

Each cell writes its step once more backwards, for `gradient="bptt"`: see `back_propagation.py`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require, require_positive_integer, require_rate
from custom_layers.recurrent.dropout_masks import (
    Mask,
    RecurrentDropout,
    apply_mask,
    is_traced,
    reset_dropout_masks,
)
from custom_layers.recurrent.gate_products import multiply


class StepParameters(NamedTuple):
    """What a step reads besides its input and its states: tensors, and no variables.

    kernel: U, (units, gates x units). bias: what is added to the product with U, (gates x units,), or
    None. mask: dropout of the state, (batch, units), or a list with one for each gate, or None.
    others: the weights that only this kind of cell has.
    """

    kernel: Tensor
    bias: Tensor | None
    mask: Mask
    others: tuple[Any, ...] = ()


class CellGradients(NamedTuple):
    """What goes on from a step, backwards.

    projected: dL/d of the projected input. states: dL/d of each state before the step. probes: the
    total derivative of each new state but `h`, by its name.
    """

    projected: Tensor
    states: list[Tensor]
    probes: dict[str, Tensor]


ARGUMENTS_OF_VARIANTS = {  # by the argument, which no other cell takes, the cell's family
    "peephole_initializer": "PeepholeLSTM",
    "projection_units": "ProjectionLSTM",
    "projection_initializer": "ProjectionLSTM",
    "epsilon": "LayerNormLSTM",
    "max_steps": "BatchNormLSTM",
    "momentum": "BatchNormLSTM",
    "gamma_initializer": "BatchNormLSTM",
}


class RecurrentCell(RecurrentDropout, keras.layers.Layer):
    """A cell with a kernel for the inputs, a recurrent kernel for the state, and a bias.

    Subclasses set `gates`, the number of blocks in each kernel, and write `step`.

    Args:
        units: int >= 1, width of the state.
        activation: of the candidate; None is linear.
        use_bias: whether there is a bias.
        kernel_initializer, recurrent_initializer, bias_initializer: of the weights, and likewise the
            regularizers and constraints.
        dropout, recurrent_dropout: probabilities in [0, 1) of dropping an input or a state unit, the
            same units at every step of a sequence.
        seed: of the dropout masks.
        implementation: 1 draws a dropout mask for each gate, 2 one for all; recurrent dropout
            means 1. The numbers are otherwise the same.
        seed_generator: made before the call, where Keras makes it before the initializers: both draw
            from one global stream, and equal models start from equal weights.
        **kwargs: what `keras.layers.Layer` takes.

    Raises:
        ValueError: `units` below 1, a rate outside [0, 1), or an argument of another kind of cell.

    Differs from Keras's cells, inside of `keras.layers.RNN`, which draws masks for its own cells only:
    ours draws its masks when it is asked for the initial state. Where it is not, with `initial_state=`
    or `stateful=True`, training with dropout in a compiled function raises, and eagerly the cell keeps
    the masks of the sequence before; `custom_layers.RNN` has no such limit.
    """

    gates: int
    gate_names: tuple[str, ...] = ()  # fields of the record, in the order of the kernel's slots
    state_names: tuple[str, ...] = ("h",)  # likewise, in the order of the states
    state_shape: Shape | None = None  # of all gates and states, where it is not (units,)
    slots_axis = -1  # where the gates lie beside each other
    statistic_names: tuple[str, ...] = ()  # fields of which a trained loop tells `take_over`
    draws_masks_in_inference = False  # called by itself, outside of a layer
    kernel: Any
    recurrent_kernel: Any
    bias: Any

    def __init__(
        self,
        units: int,
        *,
        activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        recurrent_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        recurrent_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        recurrent_constraint: Any,
        bias_constraint: Any,
        dropout: float,
        recurrent_dropout: float,
        seed: int | None,
        implementation: int = 2,
        seed_generator: keras.random.SeedGenerator | None = None,
        **kwargs: Any,
    ) -> None:
        for name in ARGUMENTS_OF_VARIANTS.keys() & kwargs:
            family = ARGUMENTS_OF_VARIANTS[name]
            require(
                False,
                kwargs.get("name", type(self).__name__),
                f"`{name}` is an argument of {family} and {family}Cell alone",
                f"{name}={kwargs[name]!r} for {type(self).__name__}",
                f"Use custom_layers.{family}, or leave it out.",
            )
        super().__init__(**kwargs)
        self.units = require_positive_integer(units, owner=self.name, name="units")
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.recurrent_initializer = keras.initializers.get(recurrent_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = keras.regularizers.get(recurrent_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.recurrent_constraint = keras.constraints.get(recurrent_constraint)
        self.bias_constraint = keras.constraints.get(bias_constraint)
        self.dropout = require_rate(dropout, owner=self.name, name="dropout")
        self.recurrent_dropout = require_rate(
            recurrent_dropout, owner=self.name, name="recurrent_dropout"
        )
        self.implementation = 1 if recurrent_dropout else implementation
        if self.implementation == 1 and self.gates > 1:
            self.dropout_mask_count = self.gates
        self.seed = seed
        self.seed_generator = seed_generator or keras.random.SeedGenerator(seed=seed)
        self.state_size: Any = self.units
        self.output_size = self.units

    def build(self, input_shape: Shape) -> None:
        kernel_shape, recurrent_shape = self.kernel_shapes(input_shape)
        self.kernel = self.add_weight(
            name="kernel",
            shape=kernel_shape,
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=recurrent_shape,
            initializer=self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=self.bias_shape(),
                initializer=self.initialize_bias,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.built = True

    def kernel_shapes(self, input_shape: Shape) -> tuple[Shape, Shape]:
        """Shapes of the kernel, (features, gates x units), and of the recurrent one."""
        width = self.gates * self.units
        return (input_shape[-1], width), (self.output_size, width)

    def bias_shape(self) -> tuple[int, ...]:
        """Shape of the bias: (gates x units,)."""
        return (self.gates * self.units,)

    def initialize_bias(self, shape: Shape, dtype: Any = None) -> Tensor:
        """First value of the bias."""
        return self.bias_initializer(shape, dtype=dtype)

    def input_bias(self) -> Tensor | None:
        """What `project_inputs` adds; (gates x units,), or None without a bias."""
        return None if self.bias is None else ops.cast(self.bias, self.compute_dtype)

    def project_inputs(self, inputs: Tensor, training: bool = False) -> Tensor:
        """The projection x' W + b, for one step or for all steps at once.

        Args:
            inputs: (..., batch, features): the time axis, if any, comes before the batch.
            training: whether the inputs are dropped out.

        Returns:
            (..., batch, gates x units).
        """
        mask = None
        if training and self.dropout:
            step_input = inputs if len(inputs.shape) == 2 else inputs[0]
            mask = self.get_dropout_mask(step_input)
        projected = multiply(apply_mask(inputs, mask), ops.cast(self.kernel, self.compute_dtype))
        bias = self.input_bias()
        return projected if bias is None else projected + bias

    def recurrent_bias(self) -> Tensor | None:
        """What is added to the product with the recurrent kernel; None in most cells."""
        return None

    def step_parameters(self, h: Tensor, training: bool) -> StepParameters:
        """What `step_with` reads, in the compute dtype; `h` is (batch, units), as a mask has it."""
        mask: Mask = None
        if training and self.recurrent_dropout:
            mask = self.get_recurrent_dropout_mask(h)
            mask = list(mask) if isinstance(mask, (list, tuple)) else mask  # JAX knows no other
        kernel = ops.cast(self.recurrent_kernel, self.compute_dtype)
        return StepParameters(kernel, self.recurrent_bias(), mask)

    def step(
        self, projected: Tensor, states: Sequence[Tensor], training: bool = False, **probes: Tensor
    ) -> Any:
        """One time step: the record of all its intermediates, `h` the output among them.

        A cell of more states than `h` takes a keyword `<state>_probe` for each of them: zeros that are
        added to it where it is computed, to differentiate by it.
        """
        parameters = self.step_parameters(states[0], training)
        return self.step_with(parameters, projected, states, **probes)

    def step_with(
        self,
        parameters: StepParameters,
        projected: Tensor,
        states: Sequence[Tensor],
        *args: Any,
        **probes: Any,
    ) -> Any:
        """The same step, a pure function of its arguments."""
        raise NotImplementedError

    def states_of(self, record: Any) -> list[Tensor]:
        """The states that a step record leaves to the next step."""
        return [record.h]

    def take_over(self, statistics: dict[str, Tensor]) -> None:
        """What the steps of a trained loop computed, (steps, ...) by the names in `statistic_names`."""
        raise NotImplementedError

    def step_backward(
        self,
        parameters: StepParameters,
        record: Any,
        states: Sequence[Tensor],
        d_states: Sequence[Tensor],
    ) -> CellGradients:
        """The gradients of one step, from those by its new states; `states` are those before it."""
        raise NotImplementedError

    def parameters_backward(
        self,
        parameters: StepParameters,
        records: Any,
        states: Sequence[Tensor],
        d_projected: Tensor,
    ) -> StepParameters:
        """The gradients by kernel and bias, of all steps at once.

        Args:
            parameters: as the steps had them.
            records, states: of all steps, the states before each; their tensors are (steps, batch, ...).
            d_projected: (steps, batch, gates x units), as `step_backward` gave it.
        """
        raise NotImplementedError

    @property
    def may_be_stepped(self) -> bool:
        """See `is_plain`."""
        return type(self).call is RecurrentCell.call and self.activity_regularizer is None

    def call(self, inputs: Tensor, states: Any, training: bool = False) -> tuple[Tensor, Any]:
        is_nested = isinstance(states, (list, tuple))
        state_list = list(states) if is_nested else [states]
        expected = keras.tree.flatten(self.state_size)
        require(
            len(state_list) == len(expected),
            self.name,
            f"`states` must hold {len(expected)} tensor(s) (batch, units)",
            f"len(states)={len(state_list)}",
            "Start from get_initial_state(batch_size).",
        )
        self._drop_stale_masks(inputs)
        if training:
            self._require_masks_of_this_sequence(inputs)
        if self.draws_masks_in_inference and self._drops and (training or not is_traced(inputs)):
            self.get_dropout_mask(inputs)
            self.get_recurrent_dropout_mask(state_list[0])
        record = self.step(self.project_inputs(inputs, training), state_list, training)
        new_states = self.states_of(record)
        return record.h, new_states if is_nested else new_states[0]

    @property
    def _drops(self) -> bool:
        return self.dropout > 0 or self.recurrent_dropout > 0

    def _drop_stale_masks(self, inputs: Tensor) -> None:
        """A mask of another batch size is left over from another batch."""
        masks = keras.tree.flatten((self._dropout_mask, self._recurrent_dropout_mask))
        sizes = [mask.shape[0] for mask in masks if mask is not None]
        if any(size not in (None, inputs.shape[0]) for size in sizes) and inputs.shape[0]:
            self._dropout_mask = self._recurrent_dropout_mask = None

    def _require_masks_of_this_sequence(self, inputs: Tensor) -> None:
        """A compiled loop needs its masks before it begins: drawn inside, they would leak out of it.

        A cell that lies in no layer is called by the user, who may call it once and not in a loop.
        """
        require(
            self.masks_drawn_by_layer
            or self.told_of_sequences
            or not self._drops
            or self.path in (None, self.name)
            or not is_traced(inputs),
            self.name,
            "a compiled loop over this cell with dropout must begin with `get_initial_state`, and "
            "keras.layers.RNN with `initial_state=` or `stateful=True` does not",
            f"dropout={self.dropout}, recurrent_dropout={self.recurrent_dropout}",
            "Use custom_layers.RNN in its place; in a loop of your own, ask the cell for its states.",
        )

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """Zeros (batch, units), one for each state.

        A layer that is not ours, such as `keras.layers.RNN`, asks for them before each sequence, and
        does not know how to ask us for dropout masks: so they are drawn here for it.
        """
        if self.built and not self.masks_drawn_by_layer:
            reset_dropout_masks(self)
            self.get_dropout_mask(ops.ones((batch_size, self.kernel.shape[0]), self.compute_dtype))
            self.get_recurrent_dropout_mask(
                ops.ones((batch_size, self.output_size), self.compute_dtype)
            )
        return [
            ops.zeros((batch_size, size), dtype=self.compute_dtype)
            for size in keras.tree.flatten(self.state_size)
        ]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "recurrent_initializer": keras.initializers.serialize(self.recurrent_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_regularizer": keras.regularizers.serialize(self.kernel_regularizer),
            "recurrent_regularizer": keras.regularizers.serialize(self.recurrent_regularizer),
            "bias_regularizer": keras.regularizers.serialize(self.bias_regularizer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
            "recurrent_constraint": keras.constraints.serialize(self.recurrent_constraint),
            "bias_constraint": keras.constraints.serialize(self.bias_constraint),
            "dropout": self.dropout,
            "recurrent_dropout": self.recurrent_dropout,
            "seed": self.seed,
        }


def is_plain(cell: Any) -> bool:
    """Whether a loop may run `project_inputs` and `step` in place of the cell's call."""
    return getattr(cell, "may_be_stepped", False)
