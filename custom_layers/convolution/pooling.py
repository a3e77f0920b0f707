r"""Pooling: the largest entry of each window, or their mean, channel by channel.

    max       y_{p,c} = max_k x_{s p + k - l, c}       (1)
    average   y_{p,c} = mean_k x_{s p + k - l, c}      (2)

over the places k of window p that are places of x; s is the stride and l the padding of `windows.py`,
and the dilation is 1. What pads is no entry: it is never the largest, and is not counted in the mean.
(On Torch, where the padding of "same" is not the same on both sides of some axis, the framework's
average counts a copy of the nearest entry in each place of it, for the built-in as for ours.)

Shapes: x (batch, *space, channels), y (batch, *windows, channels); with data_format="channels_first"
the channels come second.

Source: Dumoulin and Visin 2016, arXiv:1603.07285, chapters 1 and 3.
Differs from keras.layers.MaxPooling1D, AveragePooling1D and those of other ranks: a stride of 0, an
unknown padding and an axis too short for a window raise when the layer is made or called, where the
built-in fails inside the framework or returns no window at all; `padding` may be in capitals.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from custom_layers.convolution.windows import (
    Windows,
    channels_axis,
    integer_per_axis,
    known_data_format,
    known_padding,
    output_shape,
)
from custom_layers.core.protocols import Shape, Tensor


def max_over_windows(x: Tensor, windows: Windows, data_format: str) -> Tensor:
    """Equation (1)."""
    return ops.max_pool(x, windows.size, windows.strides, windows.padding, data_format)


def mean_over_windows(x: Tensor, windows: Windows, data_format: str) -> Tensor:
    """Equation (2)."""
    return ops.average_pool(x, windows.size, windows.strides, windows.padding, data_format)


class Pooling(keras.layers.Layer):
    """What the pooling layers share: all but `rank`, the axes of space, and what is taken of a window.

    Args:
        pool_size: one int >= 1 for each axis of space, or one int for all.
        strides: likewise, places from one window to the next. None for `pool_size`, windows that do
            not overlap.
        padding: "valid" (windows lie within the inputs) or "same" (as many windows as places, divided
            by the stride and rounded up).
        data_format: "channels_last" or "channels_first"; None is Keras's setting.
    Call arguments:
        inputs: (batch, *space, channels) or (batch, channels, *space), numbers.
    Returns: (batch, *windows, channels) or (batch, channels, *windows). A mask is not handed on.
    Raises: ValueError when an argument is none of those above, or an axis is too short for a window.
    """

    rank: int
    kind: str

    def __init__(
        self,
        pool_size: int | Sequence[int],
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        owner, rank = self._owner, self.rank
        strides = pool_size if strides is None else strides
        self.pool_size = integer_per_axis(pool_size, rank, owner=owner, name="pool_size")
        self.strides = integer_per_axis(strides, rank, owner=owner, name="strides")
        self.padding = known_padding(padding, ("valid", "same"), owner=owner)
        self.data_format = known_data_format(data_format, owner=owner)
        self.input_spec = keras.layers.InputSpec(ndim=rank + 2)
        if type(self).build is keras.layers.Layer.build:
            self.built = True  # nothing to build, unless a subclass says so

    @property
    def windows(self) -> Windows:
        """The windows' size, strides and padding."""
        return Windows(self.pool_size, self.strides, (1,) * self.rank, self.padding)

    def call(self, inputs: Tensor) -> Tensor:
        self.compute_output_shape(inputs.shape)  # which says what is wrong with the shape
        pool = {"max": max_over_windows, "average": mean_over_windows}[self.kind]
        return pool(inputs, self.windows, self.data_format)

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        channels = input_shape[channels_axis(self.data_format)]
        return output_shape(
            input_shape, self.windows, channels, self.data_format, owner=self._owner
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "padding": self.padding,
            "strides": self.strides,
            "data_format": self.data_format,
        }

    @property
    def _owner(self) -> str:
        return f"{self.kind}_pooling{self.rank}d"


@keras.saving.register_keras_serializable(package="custom_layers")
class MaxPooling1D(Pooling):
    """The largest entry of each window of one axis. See `Pooling`."""

    rank, kind = 1, "max"

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


@keras.saving.register_keras_serializable(package="custom_layers")
class MaxPooling2D(Pooling):
    """The largest entry of each window of two axes. See `Pooling`."""

    rank, kind = 2, "max"

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


@keras.saving.register_keras_serializable(package="custom_layers")
class MaxPooling3D(Pooling):
    """The largest entry of each window of three axes. See `Pooling`."""

    rank, kind = 3, "max"

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, name, **kwargs)


@keras.saving.register_keras_serializable(package="custom_layers")
class AveragePooling1D(Pooling):
    """The mean of each window of one axis. See `Pooling`."""

    rank, kind = 1, "average"


@keras.saving.register_keras_serializable(package="custom_layers")
class AveragePooling2D(Pooling):
    """The mean of each window of two axes. See `Pooling`."""

    rank, kind = 2, "average"


@keras.saving.register_keras_serializable(package="custom_layers")
class AveragePooling3D(Pooling):
    """The mean of each window of three axes. See `Pooling`."""

    rank, kind = 3, "average"
