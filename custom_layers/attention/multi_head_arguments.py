"""What may be handed to attention over heads, and one clear line for what may not."""

from collections.abc import Sequence
from typing import Any

from custom_layers.attention.masks import require_mask_dtype, require_mask_of_scores
from custom_layers.attention.scaled_dot_product import shape_of_scores
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require

OWNER = "multi_head_attention"


def require_size(name: str, value: Any, *, owner: str) -> None:
    """A count or a width."""
    require(
        isinstance(value, int) and not isinstance(value, bool) and value > 0,
        owner,
        f"argument `{name}` must be a positive integer",
        f"{name}={value!r}",
        f"Choose {name} >= 1.",
    )


def sizes_of(output_shape: Any) -> tuple[int, ...] | None:
    """The `output_shape` argument as a tuple; None and 0 mean the query's features."""
    if not output_shape:
        return None
    sizes = (output_shape,) if isinstance(output_shape, int) else output_shape
    require(
        isinstance(sizes, (list, tuple)) and all(isinstance(size, int) for size in sizes),
        OWNER,
        "Invalid `output_shape`: it must be an int, or a list or tuple of ints",
        f"output_shape={output_shape!r}",
        "Use None for the query's features.",
    )
    return tuple(sizes)


def check_shapes(query: Shape, value: Shape, key: Shape, *, owner: str) -> None:
    """Ranks, known features, and the sizes that value and key share."""
    shapes = f"query.shape={tuple(query)}, value.shape={tuple(value)}, key.shape={tuple(key)}"
    require(
        tuple(value[1:-1]) == tuple(key[1:-1]),
        owner,
        "All dimensions of `value` and `key`, except the last one, must be equal",
        shapes,
        "Each key needs its value.",
    )
    require(
        min(len(query), len(value), len(key)) >= 3,
        owner,
        "query, value and key must be (batch, steps, features)",
        shapes,
        "Add the axis that is missing.",
    )
    require(
        None not in (query[-1], value[-1], key[-1]),
        owner,
        "query, value and key must have a known number of features",
        shapes,
        "Give it to `keras.Input`.",
    )
    require(
        len(query) == len(value),
        owner,
        "query and value must have equally many axes",
        shapes,
        "Add axes of size 1 to the shorter one.",
    )


def resolved_axes(attention_axes: Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """The attended axes, counted from 0; None means all between batch and features."""
    if attention_axes is None:
        return tuple(range(1, rank - 1))
    axes = tuple(axis if axis >= 0 else rank + axis for axis in attention_axes)
    require(
        len(set(axes)) == len(axes) > 0 and all(1 <= axis <= rank - 2 for axis in axes),
        OWNER,
        f"`attention_axes` must name axes between batch and features, from 1 to {rank - 2}",
        f"attention_axes={attention_axes}",
        "Use None for all of them.",
    )
    return axes


def the_one_axis(attention_axes: Sequence[int] | None) -> int:
    """The attended axis, for masks that depend on the positions t and s."""
    axes = tuple(attention_axes or ())
    require(
        len(axes) == 1,
        OWNER,
        "`use_causal_mask` and `sliding_window` need one attended axis",
        f"attention_axes={axes}",
        "Give an `attention_mask` with all attended axes.",
    )
    return axes[0]


def check_attention_mask(
    mask: Tensor | None,
    query: Tensor,
    key: Tensor,
    num_heads: int,
    attention_axes: Sequence[int],
    *,
    owner: str,
) -> None:
    """An explicit mask broadcasts over the scores."""
    if mask is None:
        return
    if len(query.shape) == 3:
        require_mask_of_scores(mask, query, key, owner=owner, name="attention_mask")
    scores = shape_of_scores(query.shape, key.shape, num_heads, attention_axes)
    require(
        len(mask.shape) <= len(scores),
        owner,
        f"`attention_mask` must broadcast to (batch, heads, query, key) = {scores}",
        f"attention_mask.shape={tuple(mask.shape)}",
        "Leave out the axes that are too many.",
    )
    require_mask_dtype(mask, owner=owner, name="attention_mask")
