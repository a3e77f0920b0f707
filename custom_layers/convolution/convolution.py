r"""Convolution over one, two or three axes of space, then a function of each entry.

    z_{p,o} = sum_{k,c} x_{s p + d k - l, c} W_{k,c,o} + b_o      (1)
    y = a(z)                                                      (2)

p is a place of the output and k one of the kernel, each with a number for each axis of space; s is the
stride, d the dilation and l the padding of `windows.py`, and x is 0 where it has no such place. The
kernel is not turned round: strictly this is a cross-correlation, as everywhere in this field.

With G groups, channels and filters are cut into G parts of neighbours, and (1) holds in each part: a
filter sees the channels of its own part alone, and c counts these.

Shapes: x (batch, *space, channels), W (*size, channels / G, filters), b (filters,), z and y
(batch, *windows, filters). With data_format="channels_first" the channels, and the filters, come
second in x, z and y. `convolution_by_taps` is (1) with its sums written out.

Source: LeCun et al. 1989, Neural Computation 1(4), pages 541-551; stride and padding: Dumoulin and
Visin 2016, arXiv:1603.07285, chapter 2; dilation: Yu and Koltun 2016, arXiv:1511.07122, equation (2);
groups: Krizhevsky et al. 2012, NeurIPS, section 3.2.
Differs from keras.layers.Conv1D, Conv2D and Conv3D: no LoRA; NumPy integers count as integers. On
TensorFlow with the channels first, the built-in adds the bias along the last axis where that is as
long as there are filters; ours always adds it to the filters.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import keras
from keras import activations, constraints, initializers, ops, regularizers

from custom_layers.convolution.windows import (
    Windows,
    channels_axis,
    integer_per_axis,
    known_data_format,
    known_padding,
    output_shape,
    reach,
)
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require


class ConvolutionStep(NamedTuple):
    """Every named quantity of one call, each of the output's shape."""

    z: Tensor
    y: Tensor


def convolution_step(
    x: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    activation: Callable | None,
    windows: Windows,
    data_format: str,
) -> ConvolutionStep:
    """Equations (1) and (2) of the module; no bias and no activation where they are None."""
    padding = windows.padding
    if padding == "causal":  # `ops.conv` does not know it
        around = [(0, 0), (0, 0)]
        before = reach(windows.size[0], windows.dilation[0]) - 1
        around.insert(1 if data_format == "channels_last" else 2, (before, 0))
        x, padding = ops.pad(x, around), "valid"
    z = ops.conv(x, kernel, list(windows.strides), padding, data_format, windows.dilation)
    if bias is not None:
        z = add_to_filters(z, bias, data_format)  # (1)
    return ConvolutionStep(z, y=z if activation is None else activation(z))  # (2)


def add_to_filters(z: Tensor, bias: Tensor, data_format: str) -> Tensor:
    """z + b, b along the axis of the filters."""
    if data_format == "channels_last":
        return ops.add(z, bias)
    # Not `ops.add`: on TensorFlow it looks for an axis as long as the bias, the last one first.
    return z + ops.reshape(bias, (1, -1, *(1 for _ in z.shape[2:])))


class Convolution(keras.layers.Layer):
    """What Conv1D, Conv2D and Conv3D share: all but the number of axes of space, `rank`.

    Args:
        filters: int >= 1, size of the output's axis of channels.
        kernel_size: one int >= 1 for each axis of space, or one int for all.
        strides: likewise, places from one window to the next.
        padding: "valid" (windows lie within the inputs), "same" (as many windows as places, divided
            by the stride and rounded up) or, with one axis, "causal" (a window sees nothing later).
        data_format: "channels_last" or "channels_first"; None is Keras's setting.
        dilation_rate: like `strides`, places from one entry of the kernel to the next. Not above 1
            together with a stride above 1.
        groups: int >= 1 that divides the channels and `filters`.
        activation: name or function, applied to each entry of z. None is the identity.
        use_bias: whether b exists.
        kernel_initializer, bias_initializer: of W and b.
        kernel_regularizer, bias_regularizer: added to the loss.
        activity_regularizer: of the output, added to the loss.
        kernel_constraint, bias_constraint: applied after each update.
    Call arguments:
        inputs: (batch, *space, channels) or (batch, channels, *space), floating point.
    Returns: (batch, *windows, filters) or (batch, filters, *windows). A mask is not handed on.
    Weights: `kernel` (*kernel_size, channels / groups, filters); `bias` (filters,) where `use_bias`.
    Raises: ValueError when an argument is none of those above, `groups` does not divide, an axis is
        too short for a window or the channels are unknown; NotImplementedError for LoRA.
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
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        if any(kwargs.pop(name, None) is not None for name in ("lora_rank", "lora_alpha")):
            self._out_of_scope("an argument of LoRA")
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        owner, rank = self._owner, self.rank
        self.filters, self.groups = _checked_filters(filters, groups, owner)
        self.kernel_size = integer_per_axis(kernel_size, rank, owner=owner, name="kernel_size")
        self.strides = integer_per_axis(strides, rank, owner=owner, name="strides")
        self.dilation_rate = integer_per_axis(
            dilation_rate, rank, owner=owner, name="dilation_rate"
        )
        require(
            max(self.strides) == 1 or max(self.dilation_rate) == 1,
            owner,
            "`strides > 1` not supported in conjunction with `dilation_rate > 1`",
            f"strides={self.strides} and dilation_rate={self.dilation_rate}",
            "Leave one of them at 1.",
        )
        names = ("valid", "same", "causal") if rank == 1 else ("valid", "same")
        self.padding = known_padding(padding, names, owner=owner)
        self.data_format = known_data_format(data_format, owner=owner)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.input_spec = keras.layers.InputSpec(ndim=rank + 2)

    @property
    def windows(self) -> Windows:
        """The kernel's size, strides, dilation and padding."""
        return Windows(self.kernel_size, self.strides, self.dilation_rate, self.padding)

    def build(self, input_shape: Shape) -> None:
        self.compute_output_shape(input_shape)  # which says what is wrong with the shape
        axis = channels_axis(self.data_format)
        channels = _checked_channels(input_shape, axis, self.groups, self._owner)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, channels // self.groups, self.filters),
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=(self.filters,),
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2, axes={axis: channels})

    def call(self, inputs: Tensor) -> Tensor:
        return convolution_step(
            inputs, self.kernel, self.bias, self.activation, self.windows, self.data_format
        ).y

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        return output_shape(
            input_shape, self.windows, self.filters, self.data_format, owner=self._owner
        )

    def enable_lora(self, *args: Any, **kwargs: Any) -> None:
        self._out_of_scope("`enable_lora()`")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
            "dilation_rate": self.dilation_rate,
            "groups": self.groups,
            "activation": activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "kernel_regularizer": regularizers.serialize(self.kernel_regularizer),
            "bias_regularizer": regularizers.serialize(self.bias_regularizer),
            "activity_regularizer": regularizers.serialize(self.activity_regularizer),
            "kernel_constraint": constraints.serialize(self.kernel_constraint),
            "bias_constraint": constraints.serialize(self.bias_constraint),
        }

    @property
    def _owner(self) -> str:
        return f"conv{self.rank}d"

    def _out_of_scope(self, what: str) -> NoReturn:
        raise NotImplementedError(
            f"{self._owner}: {what} is out of scope here. Use keras.layers.Conv{self.rank}D, which "
            "has LoRA; its weights load into this layer and back."
        )


@keras.saving.register_keras_serializable(package="custom_layers")
class Conv1D(Convolution):
    """Convolution over one axis, such as the steps of a sequence. See `Convolution`."""

    rank = 1


@keras.saving.register_keras_serializable(package="custom_layers")
class Conv2D(Convolution):
    """Convolution over two axes, such as the rows and columns of a picture. See `Convolution`."""

    rank = 2

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1),
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            groups=groups,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )


@keras.saving.register_keras_serializable(package="custom_layers")
class Conv3D(Convolution):
    """Convolution over three axes, such as those of a room, or of a film. See `Convolution`."""

    rank = 3

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1, 1),
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            groups=groups,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )


def _checked_filters(filters: Any, groups: Any, owner: str) -> tuple[int, int]:
    """Both positive integers, the second a divisor of the first."""

    def is_count(value: Any) -> bool:
        return hasattr(value, "__index__") and not isinstance(value, bool) and value >= 1

    if not is_count(filters):
        raise ValueError(
            f"{owner}: Invalid value for argument `filters`. Expected a strictly positive value. "
            f"Received filters={filters!r}. Choose an integer of 1 or more."
        )
    require(
        is_count(groups),
        owner,
        "The number of groups must be a positive integer",
        f"groups={groups!r}",
        "Choose a divisor of the channels and of `filters`.",
    )
    require(
        filters % groups == 0,
        owner,
        "The number of filters must be evenly divisible by the number of groups",
        f"groups={groups!r}, filters={filters!r}",
        "Each group has filters of its own, equally many.",
    )
    return int(filters), int(groups)


def _checked_channels(input_shape: Shape, axis: int, groups: int, owner: str) -> int:
    """The number of channels; ValueError where it is unknown, or the groups do not divide it."""
    channels, received = input_shape[axis], f"inputs.shape={tuple(input_shape)}"
    require(
        channels is not None,
        owner,
        f"axis {axis} of `inputs`, the channels, must have a known size",
        received,
        "Give it to `keras.Input`.",
    )
    channels = channels or 0
    require(
        channels % groups == 0,
        owner,
        f"`groups` must divide the number of channels ({channels})",
        f"groups={groups}, {received}",
        "Choose a divisor of the channels and of `filters`.",
    )
    return channels
