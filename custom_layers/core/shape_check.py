"""One clear line for a wrong shape: who asks, the rule, what came, what to do."""

import numbers
from collections.abc import Sequence
from typing import Any

from custom_layers.core.protocols import Shape, Tensor


def require(condition: bool, owner: str, rule: str, received: str, way_out: str) -> None:
    """Raise ValueError with one line in the house's form unless the condition holds.

    Args:
        condition: what must be true.
        owner: the layer or function that asks.
        rule: what must hold, naming the argument in backticks.
        received: `name=value` as it came.
        way_out: what the user can do.
    """
    if not condition:
        raise ValueError(f"{owner}: {rule}. Received: {received}. {way_out}")


def compatible(actual: Shape, expected: Shape) -> bool:
    """Whether two shapes agree wherever both are known (None is unknown)."""
    return len(actual) == len(expected) and all(
        a is None or e is None or a == e for a, e in zip(actual, expected, strict=True)
    )


def require_shape(
    tensor: Tensor, expected: Shape, *, owner: str, name: str, layout: str, way_out: str
) -> None:
    """Raise ValueError unless the tensor has this shape, as far as both are known.

    Args:
        tensor: anything with a `shape`.
        expected: sizes, None where any is right.
        owner: the layer that asks, such as `lstm`.
        name: the argument, such as `mask`.
        layout: the names of the axes, such as `(batch, steps)`.
        way_out: what the user can do, a sentence.
    """
    actual = tuple(tensor.shape)
    known = [size for size in expected if size is not None]
    sizes = f" = {_written(expected)}" if known else ""
    require(
        compatible(actual, expected),
        owner,
        f"`{name}` must be {layout}{sizes}",
        f"{name}.shape={_written(actual)}",
        way_out,
    )


def require_rate(
    value: Any,
    *,
    owner: str,
    name: str,
    way_out: str = "It is the share of units that is dropped; use 0 for none.",
) -> float:
    """A dropout rate is a probability in [0, 1); anything else raises ValueError."""
    require(
        isinstance(value, numbers.Real) and 0 <= float(value) < 1,
        owner,
        f"`{name}` must be a probability in [0, 1)",
        f"{name}={value!r}",
        way_out,
    )
    return float(value)


def require_positive(value: Any, *, owner: str, name: str, way_out: str) -> float:
    """A number above 0, such as what is added to a variance; anything else raises ValueError."""
    require(
        isinstance(value, numbers.Real) and float(value) > 0,
        owner,
        f"`{name}` must be a number above 0",
        f"{name}={value!r}",
        way_out,
    )
    return float(value)


def require_positive_integer(value: Any, *, owner: str, name: str) -> int:
    """A width or a count is an integer of 1 or more (NumPy's integers count as integers)."""
    is_integer = hasattr(value, "__index__") and not isinstance(value, bool)
    require(
        is_integer and value >= 1,
        owner,
        f"`{name}` must be a positive integer",
        f"{name}={value!r}",
        f"Choose {name} >= 1.",
    )
    return int(value)


def known_features(shape: Shape, *, owner: str, name: str = "inputs") -> int:
    """The size of the last axis, which the weights depend on; ValueError where it is unknown."""
    features = shape[-1]
    require(
        features is not None,
        owner,
        f"the last axis of `{name}` must have a known size",
        f"{name}.shape={tuple(shape)}",
        "Give it to `keras.Input(shape=(..., features))`.",
    )
    return features or 0


def _written(shape: Sequence[int | None]) -> str:
    return "(" + ", ".join(str(size) for size in shape) + ("," if len(shape) == 1 else "") + ")"
