r"""TimeDistributed: one layer, applied to every step by itself.

    y_t = layer(x_t)   for t = 1 ... steps, all with the same weights   (1)

x: (batch, steps, ...), y: (batch, steps, ...).
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require


def every_step_in_turn(step: Callable[[Any], Tensor], steps: int) -> Tensor:
    """Equation (1) for a known number of steps: `step(t)` for each t, stacked, time first."""
    return ops.stack([step(t) for t in range(steps)])


def every_step_at_once(step: Callable[[Any], Tensor], steps: Tensor) -> Tensor:
    """Equation (1) for a number of steps that only the run knows, time first."""
    return ops.vectorized_map(step, ops.arange(steps))


def swap_batch_and_time(x: Tensor) -> Tensor:
    """(batch, steps, ...) to (steps, batch, ...), and back."""
    return ops.transpose(x, axes=[1, 0, *range(2, len(x.shape))])


@keras.saving.register_keras_serializable(package="custom_layers")
class TimeDistributed(keras.layers.Wrapper):
    """Apply the wrapped layer to each step of a sequence.

    Args:
        layer: any Keras layer, ours or built-in.
    Call arguments:
        inputs: (batch, steps, ...), rank 3 or more.
        training: handed to the wrapped layer if it takes it.
        mask: bool (batch, steps, ...), handed to the wrapped layer step by step if it takes it.
    Returns: (batch, steps, ...): the wrapped layer's outputs, one for each step.
    Raises: ValueError when `layer` is no layer, the rank is below 3, or the mask's first two sizes
        are not the inputs'.
    Source: equation (1) of the module.
    Differs from keras.layers.TimeDistributed: in nothing.
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs: Any) -> None:
        require(
            isinstance(layer, keras.layers.Layer),
            "time_distributed",
            "`layer` must be a `keras.layers.Layer`. Please initialize `TimeDistributed` with one",
            f"layer={layer!r}",
            "Wrap a function in `keras.layers.Lambda`.",
        )
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        super().build(_without_time(input_shape))

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        if mask is not None:
            _check_mask(mask, inputs)
        accepted = self.layer.call_signature_parameters
        x = swap_batch_and_time(inputs)
        step_mask = None if mask is None else swap_batch_and_time(mask)

        def step(t: Any) -> Tensor:
            arguments: dict[str, Any] = {}
            if "mask" in accepted and step_mask is not None:
                arguments["mask"] = step_mask[t]
            if "training" in accepted:
                arguments["training"] = training
            return self.layer.call(x[t], **arguments)  # (1)

        steps = x.shape[0]
        if steps is not None:
            return swap_batch_and_time(every_step_in_turn(step, steps))
        return swap_batch_and_time(every_step_at_once(step, ops.shape(x)[0]))

    def compute_output_shape(self, input_shape: Shape) -> tuple[int | None, ...]:
        batch, *rest = self.layer.compute_output_shape(_without_time(input_shape))
        return (batch, input_shape[1], *rest)


def _without_time(input_shape: Any) -> tuple[int | None, ...]:
    require(
        isinstance(input_shape, (tuple, list)) and len(input_shape) >= 3,
        "time_distributed",
        "`inputs` must be (batch, steps, ...), with at least 3 dimensions",
        f"inputs.shape={input_shape}",
        "Add the axis that is missing, or call the wrapped layer itself.",
    )
    return (input_shape[0], *input_shape[2:])


def _check_mask(mask: Tensor, inputs: Tensor) -> None:
    mask_shape, expected = tuple(mask.shape), tuple(inputs.shape)[:2]
    require(
        len(mask_shape) >= 2,
        "time_distributed",
        "The `mask` passed to the `TimeDistributed` layer must be at least 2D, (batch, steps)",
        f"mask.shape={mask_shape}",
        "Give one entry for each step of each sequence.",
    )
    fits = all(
        size is None or own is None or size == own
        for size, own in zip(mask_shape[:2], expected, strict=True)
    )
    require(
        fits,
        "time_distributed",
        f"The `mask` passed to the `TimeDistributed` layer has a shape {mask_shape} that does not "
        f"begin with (batch, steps) = {expected}",
        f"mask.shape={mask_shape}",
        "Slice or pad it to `inputs`.",
    )
