r"""Long short-term memory whose products are convolutions; the equations are in `conv_lstm_step.py`.

Source: Shi et al. 2015, arXiv:1506.04214, equation (3), without the peepholes.
Differs from keras.layers.ConvLSTM1D, ConvLSTM2D and ConvLSTM3D: `custom_layers.RNN` says where a wrong
shape raises; a dropout rate outside [0, 1) raises, where Keras clamps it, and so does a stride of 0.
A mask works on JAX as well, where the built-in fails. `gradient="bptt"` is refused.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from custom_layers.convolution.convolution import add_to_filters
from custom_layers.convolution.windows import (
    Windows,
    channels_axis,
    integer_per_axis,
    known_data_format,
    known_padding,
    output_shape,
)
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require, require_positive_integer, require_shape
from custom_layers.recurrent.conv_lstm_step import conv_lstm_step, convolve
from custom_layers.recurrent.dropout_masks import apply_mask
from custom_layers.recurrent.lstm import LSTMCell, LSTMStep
from custom_layers.recurrent.recurrent_cell import StepParameters
from custom_layers.recurrent.single_cell_rnn import SingleCellRNN, cell_options


class ConvLSTMCell(LSTMCell):
    """One step of the layer; Keras has no public class of it either.

    Args: as `ConvLSTM2D`, and `rank`, the number of axes of space.
    Call arguments:
        inputs: (batch, *space, channels) or (batch, channels, *space).
        states: [h, c], each of the output's shape.
        training: whether dropout is applied, with a mask for each gate.
    Returns: the output, and the new states.
    """

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: str,
        data_format: str | None,
        dilation_rate: int | Sequence[int],
        seed: int | None,
        **kwargs: Any,
    ) -> None:
        owner = f"conv_lstm{rank}d"
        filters = require_positive_integer(filters, owner=owner, name="filters")
        generator = keras.random.SeedGenerator(seed=seed)
        super().__init__(filters, seed=seed, seed_generator=generator, implementation=1, **kwargs)
        self.rank = rank
        self.filters = filters
        self.kernel_size = integer_per_axis(kernel_size, rank, owner=owner, name="kernel_size")
        self.strides = integer_per_axis(strides, rank, owner=owner, name="strides")
        self.dilation_rate = integer_per_axis(
            dilation_rate, rank, owner=owner, name="dilation_rate"
        )
        require(
            max(self.strides) == 1 or max(self.dilation_rate) == 1,
            owner,
            "Specifying `strides > 1` is not compatible with `dilation_rate > 1`",
            f"strides={self.strides} and dilation_rate={self.dilation_rate}",
            "Leave one of them at 1.",
        )
        self.padding = known_padding(padding, ("valid", "same"), owner=owner)
        self.data_format = known_data_format(data_format, owner=owner)
        self.slots_axis = -1 if self.data_format == "channels_last" else -1 - rank

    @property
    def windows(self) -> Windows:
        """Those of the convolution of the inputs."""
        return Windows(self.kernel_size, self.strides, self.dilation_rate, self.padding)

    def build(self, input_shape: Shape) -> None:
        require(
            None not in input_shape[1:],
            self.name,
            "the channels and the axes of space must have known sizes",
            f"shape of one step={tuple(input_shape)}",
            "Give them to `keras.Input`; the number of steps may be None.",
        )
        self.state_shape: Shape = self.compute_output_shape(input_shape)[1:]
        super().build(input_shape)

    def kernel_shapes(self, input_shape: Shape) -> tuple[Shape, Shape]:
        """(*window, channels, 4 filters), and the same of filters."""
        channels = input_shape[channels_axis(self.data_format)]
        width = 4 * self.filters
        return (*self.kernel_size, channels, width), (*self.kernel_size, self.filters, width)

    def project_inputs(self, inputs: Tensor, training: bool = False) -> Tensor:
        """Equation (1), for one step or for all steps, as one convolution of steps x batch pictures.

        Args:
            inputs: one step (batch, *space, channels), or all (steps, batch, *space, channels).
            training: whether the inputs are dropped out.

        Returns:
            (batch, *windows, 4 filters), or (steps, batch, *windows, 4 filters).
        """
        is_sequence = len(inputs.shape) == self.rank + 3
        mask = None
        if training and self.dropout:
            mask = self.get_dropout_mask(inputs[0] if is_sequence else inputs)
        pictures = apply_mask(inputs, mask)
        if is_sequence:
            pictures = keras.tree.map_structure(_pictures, pictures)
        kernel = ops.cast(self.kernel, self.compute_dtype)
        projected = convolve(pictures, kernel, self.windows, self.data_format)
        bias = self.input_bias()
        if bias is not None:
            projected = add_to_filters(projected, bias, self.data_format)
        if not is_sequence:
            return projected
        return ops.reshape(projected, (*ops.shape(inputs)[:2], *projected.shape[1:]))

    def step_with(
        self,
        parameters: StepParameters,
        projected: Tensor,
        states: Sequence[Tensor],
        c_probe: Tensor | None = None,
    ) -> LSTMStep:
        return conv_lstm_step(
            projected,
            apply_mask(states[0], parameters.mask),
            states[1],
            parameters.kernel,
            self.data_format,
            self.activation,
            self.recurrent_activation,
            c_probe,
        )

    def get_initial_state(self, batch_size: int | None = None) -> list[Tensor]:
        """Zeros of the output's shape, for h and for c."""
        shape = (batch_size, *self.state_shape)
        return [ops.zeros(shape, dtype=self.compute_dtype) for _ in range(2)]

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        """That of the output of one step, without the states."""
        return output_shape(
            input_shape,
            self.windows,
            self.filters,
            self.data_format,
            owner=f"conv_lstm{self.rank}d",
        )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["units"]
        return {
            **config,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
        }


class ConvLSTM(SingleCellRNN):
    """What ConvLSTM1D, ConvLSTM2D and ConvLSTM3D share: all but the number of axes of space, `rank`.

    Args:
        filters: int >= 1, channels of the state.
        kernel_size: one int >= 1 for each axis of space, or one int for all.
        strides, padding, dilation_rate, data_format: of the convolution of the inputs, as in `Conv2D`.
        activation, recurrent_activation: what stands as tanh and as sigmoid in the equations.
        use_bias: whether there is a bias.
        unit_forget_bias: whether the bias of the forget gate starts at 1.
        kernel_initializer, recurrent_initializer, bias_initializer: of W, U and b, and likewise the
            regularizers and constraints.
        activity_regularizer: of the output.
        dropout, recurrent_dropout: probabilities in [0, 1) of dropping an entry of the inputs or of
            h, the same entries at every step, drawn for each gate.
        seed: of the dropout masks.
        return_sequences, return_state, go_backwards, stateful: as in `RNN`.
    Call arguments:
        sequences: (batch, steps, *space, channels) or (batch, steps, channels, *space), whose sizes
            but batch and steps are known.
        initial_state: [h, c], each (batch, *windows, filters); default zeros.
        mask, training: as in `RNN`.
    Returns: (batch, *windows, filters), or with steps after the batch; with `return_state` a tuple of
        that and the states.
    Weights: `kernel`, `recurrent_kernel`, `bias`, as in the module.
    Raises: ValueError when an argument is none of those above, or a shape does not fit.
    """

    rank: int

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        **kwargs: Any,
    ) -> None:
        cell = ConvLSTMCell(
            self.rank,
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            **cell_options("conv_lstm_cell", kwargs),
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 3)

    def compute_output_shape(self, sequences_shape: Shape, initial_state_shape: Any = None) -> Any:
        batch, steps, *picture = sequences_shape
        state = self.cell.compute_output_shape((batch, *picture))
        output = (batch, steps, *state[1:]) if self.return_sequences else state
        return (output, state, state) if self.return_state else output

    def _zero_output(self, step: Any, inputs: Tensor, states: Any) -> Tensor:
        return ops.zeros_like(states[0])

    def _states_before(self, sequences: Tensor, initial_state: Any) -> list[Any]:
        if initial_state is None:
            batch = ops.shape(sequences)[0]
            initial_state = self.states if self.stateful else self.get_initial_state(batch)
        given = keras.tree.flatten(initial_state)
        require(
            len(given) == 2,
            self.name,
            "`initial_state` must hold 2 tensor(s), one for each state",
            f"{len(given)} tensor(s)",
            "Pass what return_state=True returned, as a list.",
        )
        for state in given:
            require_shape(
                state,
                (sequences.shape[0], *self.cell.state_shape),
                owner=self.name,
                name="initial_state",
                layout="of the output's shape",
                way_out="Pass what return_state=True returned for a batch of this size.",
            )
        ready = [ops.convert_to_tensor(state, dtype=self.cell.compute_dtype) for state in given]
        return [ops.copy(s) for s in ready] if self.stateful else ready  # Torch assigns in place


@keras.saving.register_keras_serializable(package="custom_layers")
class ConvLSTM1D(ConvLSTM):
    """Over sequences of rows: (batch, steps, places, channels). See `ConvLSTM`."""

    rank = 1


@keras.saving.register_keras_serializable(package="custom_layers")
class ConvLSTM2D(ConvLSTM):
    """Over sequences of pictures: (batch, steps, rows, columns, channels). See `ConvLSTM`."""

    rank = 2


@keras.saving.register_keras_serializable(package="custom_layers")
class ConvLSTM3D(ConvLSTM):
    """Over sequences of rooms: (batch, steps, depth, rows, columns, channels). See `ConvLSTM`."""

    rank = 3


def _pictures(sequence: Tensor) -> Tensor:
    """(steps, batch, ...) to (steps x batch, ...)."""
    return ops.reshape(sequence, (-1, *sequence.shape[2:]))
