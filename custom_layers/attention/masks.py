"""Masks of attention, True = keep: how they are made, joined, checked and taken off.

A mask of keys is (batch, key_steps); a mask of scores ends in (query_steps, key_steps).
"""

from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Tensor
from custom_layers.core.shape_check import require

# Keras's guide "Understanding masking & padding" names the attribute that carries a tensor's mask.
IMPLICIT_MASK = "_keras_mask"


def causal_mask(query_steps: Any, key_steps: Any, first: Any = 0) -> Tensor:
    """Bool (1, query_steps, key_steps): query t sees the keys s <= t; t counts from `first`."""
    t = ops.expand_dims(first + ops.arange(query_steps, dtype="int32"), axis=-1)
    s = ops.expand_dims(ops.arange(key_steps, dtype="int32"), axis=0)
    return ops.expand_dims(t >= s, axis=0)


def sliding_window_mask(query_steps: Any, key_steps: Any, window: int) -> Tensor:
    """Bool (1, query_steps, key_steps): query t sees the keys with |t - s| < window."""
    t = ops.expand_dims(ops.arange(query_steps, dtype="int32"), axis=-1)
    s = ops.expand_dims(ops.arange(key_steps, dtype="int32"), axis=0)
    return ops.expand_dims(ops.abs(t - s) < window, axis=0)


def both(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """What both masks keep, bool; None keeps all."""
    kept = [ops.cast(mask, "bool") for mask in (first, second) if mask is not None]
    if not kept:
        return None
    return kept[0] if len(kept) == 1 else ops.logical_and(*kept)


def mask_of_scores(
    query_mask: Tensor | None, value_mask: Tensor | None, key_mask: Tensor | None
) -> Tensor | None:
    """(batch, query_steps) and (batch, key_steps) twice, to what broadcasts over the scores."""
    rows = None if query_mask is None else ops.expand_dims(query_mask, axis=-1)
    columns = both(value_mask, key_mask)
    columns = None if columns is None else ops.expand_dims(columns, axis=-2)
    return both(rows, columns)


def require_mask_of_steps(mask: Tensor | None, sequence: Tensor, *, owner: str, name: str) -> None:
    """A mask of steps is (batch, steps) for a sequence of (batch, steps, features)."""
    if mask is None or len(sequence.shape) != 3:
        return
    expected, actual = tuple(sequence.shape)[:-1], tuple(mask.shape)
    of = name.removesuffix("_mask")
    require(
        len(actual) == 2 and _agree(actual, expected),
        owner,
        f"`{name}` must be (batch, {of}_steps) = {expected}",
        f"{name}.shape={actual}",
        f"Slice or pad it to `{of}`.",
    )
    require_mask_dtype(mask, owner=owner, name=name)


def require_mask_of_scores(
    mask: Tensor | None, query: Tensor, key: Tensor, *, owner: str, name: str
) -> None:
    """A mask of scores broadcasts over (batch, ..., query_steps, key_steps)."""
    if mask is None:
        return
    expected = (query.shape[0], query.shape[-2], key.shape[-2])
    actual = tuple(mask.shape)
    fits = len(actual) >= 2 and all(
        size is None or wanted is None or size in (1, wanted)
        for size, wanted in zip(actual[-2:], expected[-2:], strict=True)
    )
    if len(actual) > 2:
        fits = fits and (expected[0] is None or actual[0] in (None, 1, expected[0]))
    require(
        fits,
        owner,
        f"`{name}` must broadcast to (batch, query_steps, key_steps) = {expected}",
        f"{name}.shape={actual}",
        "Give one entry for each query and key; a mask of keys alone is (batch, 1, key_steps).",
    )
    require_mask_dtype(mask, owner=owner, name=name)


def require_mask_dtype(mask: Tensor, *, owner: str, name: str) -> None:
    """A mask is bool, or numbers of which zero means False."""
    dtype = keras.backend.standardize_dtype(mask.dtype)
    if dtype == "string":
        raise TypeError(
            f"{owner}: `{name}` must be bool. Received: {name}.dtype={dtype}. "
            "Compare it with the padding word to make it one."
        )


def implicit_mask(tensor: Tensor) -> Tensor | None:
    """The mask that Keras has attached to a tensor, (batch, steps), or None."""
    return getattr(tensor, IMPLICIT_MASK, None)


def take_off_implicit_mask(*tensors: Tensor) -> None:
    """Remove the mask that Keras has attached to each tensor, in place.

    The built-in MultiHeadAttention does so to the very tensors it is given, and what follows sees
    it: a residual connection around it carries no mask, and a second layer that attends to the same
    tensor attends to its padding. Two models are equal only if both do.
    """
    for tensor in tensors:
        if implicit_mask(tensor) is not None:
            setattr(tensor, IMPLICIT_MASK, None)


def _agree(actual: tuple, expected: tuple) -> bool:
    return all(a is None or e is None or a == e for a, e in zip(actual, expected, strict=True))
