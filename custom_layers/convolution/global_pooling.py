r"""Global pooling: one number for each channel of an example, taken over all its places.

    max                      y_c = max_p x_{p,c}                                      (1)
    average                  y_c = mean_p x_{p,c}                                     (2)
    average under a mask     y_c = (sum_p m_p x_{p,c}) / (sum_p m_p)                  (3)

m_p is 1 where a step is kept and 0 where it is not; (3) is for one axis of space, the steps. A sequence
without a kept step has no average: it comes out as NaN, as from the built-in.

Shapes: x (batch, *space, channels), y (batch, channels); with data_format="channels_first" the channels
of x come second. With `keepdims`, y keeps the axes of space, each of size 1.

Source: Lin et al. 2014, arXiv:1312.4400, section 3.2.
Differs from keras.layers.GlobalAveragePooling1D, GlobalMaxPooling1D and those of other ranks: a mask
that is not (batch, steps) raises, where the built-in may repeat it over the batch.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from custom_layers.convolution.windows import channels_axis, known_data_format
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require_shape


def masked_mean(x: Tensor, mask: Tensor, data_format: str, keepdims: bool) -> Tensor:
    """Equation (3). What is not kept may be anything, NaN too."""
    axis = 1 if data_format == "channels_last" else 2
    kept = ops.cast(ops.expand_dims(mask, channels_axis(data_format)), "bool")
    total = ops.sum(ops.where(kept, x, 0), axis=axis, keepdims=keepdims)
    return total / ops.sum(ops.cast(kept, x.dtype), axis=axis, keepdims=keepdims)


class GlobalPooling(keras.layers.Layer):
    """What the global pooling layers share: all but `rank`, the axes of space, and what is taken.

    Args:
        data_format: "channels_last" or "channels_first"; None is Keras's setting.
        keepdims: whether the axes of space stay, with size 1.
    Call arguments:
        inputs: (batch, *space, channels) or (batch, channels, *space), numbers.
        mask: of GlobalAveragePooling1D alone, (batch, steps), True = keep; or None.
    Returns: (batch, channels), or with the axes of space. A mask is not handed on.
    Raises: ValueError when `data_format` is none of those above, or the mask is not (batch, steps).
    """

    rank: int
    kind: str

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.data_format = known_data_format(data_format, owner=self._owner)
        self.keepdims = keepdims
        self.input_spec = keras.layers.InputSpec(ndim=self.rank + 2)
        if type(self).build is keras.layers.Layer.build:
            self.built = True  # nothing to build, unless a subclass says so

    def call(self, inputs: Tensor) -> Tensor:
        take = {"max": ops.max, "average": ops.mean}[self.kind]  # (1), (2)
        return take(inputs, axis=self._axes_of_space(), keepdims=self.keepdims)

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        space = self._axes_of_space()
        if self.keepdims:
            return tuple(1 if i in space else size for i, size in enumerate(input_shape))
        return tuple(size for i, size in enumerate(input_shape) if i not in space)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "data_format": self.data_format,
            "keepdims": self.keepdims,
        }

    @property
    def _owner(self) -> str:
        return f"global_{self.kind}_pooling{self.rank}d"

    def _axes_of_space(self) -> Sequence[int]:
        first = 1 if self.data_format == "channels_last" else 2
        return tuple(range(first, first + self.rank))


@keras.saving.register_keras_serializable(package="custom_layers")
class GlobalAveragePooling1D(GlobalPooling):
    """The mean over all steps, or over those that a mask keeps. See `GlobalPooling`."""

    rank, kind = 1, "average"

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return super().call(inputs)
        steps = inputs.shape[self._axes_of_space()[0]]
        require_shape(
            mask,
            (inputs.shape[0], steps),
            owner=self._owner,
            name="mask",
            layout="(batch, steps)",
            way_out="Give one truth value for each step of each sequence.",
        )
        return masked_mean(inputs, mask, self.data_format, self.keepdims)

    def compute_mask(self, inputs: Tensor, mask: Tensor | None = None) -> None:
        return None


@keras.saving.register_keras_serializable(package="custom_layers")
class GlobalAveragePooling2D(GlobalPooling):
    """The mean over two axes. See `GlobalPooling`."""

    rank, kind = 2, "average"


@keras.saving.register_keras_serializable(package="custom_layers")
class GlobalAveragePooling3D(GlobalPooling):
    """The mean over three axes. See `GlobalPooling`."""

    rank, kind = 3, "average"


@keras.saving.register_keras_serializable(package="custom_layers")
class GlobalMaxPooling1D(GlobalPooling):
    """The largest entry over all steps. See `GlobalPooling`."""

    rank, kind = 1, "max"


@keras.saving.register_keras_serializable(package="custom_layers")
class GlobalMaxPooling2D(GlobalPooling):
    """The largest entry over two axes. See `GlobalPooling`."""

    rank, kind = 2, "max"


@keras.saving.register_keras_serializable(package="custom_layers")
class GlobalMaxPooling3D(GlobalPooling):
    """The largest entry over three axes. See `GlobalPooling`."""

    rank, kind = 3, "max"
