"""Copies of an initializer: one for each weight, or one that knows a weight's axes."""

from collections.abc import Sequence
from typing import Any

from keras import initializers


def initializer_copy(initializer: Any) -> Any:
    """An initializer of the same settings that draws numbers of its own; a function stays itself."""
    if isinstance(initializer, initializers.Initializer):
        return initializer.clone()
    return initializer


def scaled_for(initializer: Any, summed_axes: Sequence[int], output_axes: Sequence[int]) -> Any:
    """The initializer, told which axes of the kernel are inputs and outputs if it has to know.

    It keeps its seed, so that the numbers are those that it would have drawn.
    """
    if not isinstance(initializer, initializers.VarianceScaling):
        return initializer
    config = initializer.get_config()
    if config.get("input_axes", ()) is not None and config.get("output_axes", ()) is not None:
        return initializer
    axes = {"input_axes": list(summed_axes), "output_axes": list(output_axes)}
    return type(initializer).from_config({**config, "seed": initializer.seed, **axes})
