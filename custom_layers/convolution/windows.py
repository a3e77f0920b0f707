r"""Windows that slide along the axes of space: which places each covers, and how many there are.

Along an axis of n places, window p covers the places

    s p + d k - l,   k = 0 ... K - 1                                                  (1)

with K the size, s the stride and d the dilation: it reaches over r = d (K - 1) + 1 places. There are m
windows, and l places of padding before the first place, u after the last:

    valid     m = floor((n - r) / s) + 1    l = u = 0                                 (2)
    same      m = ceil(n / s)               l + u = max((m - 1) s + r - n, 0),        (3)
                                            l = floor((l + u) / 2)
    causal    m = ceil(n / s)               l = r - 1,  u = 0                         (4)

By (4) window p covers no place after s p. In (3) the odd place of padding comes last.

Source: Dumoulin and Visin 2016, arXiv:1603.07285, chapters 2 and 5; that "same" leaves ceil(n / s)
windows, where that guide has a fixed padding, is TensorFlow's rule. Causal: van den Oord et al. 2016,
arXiv:1609.03499, section 2.1.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from custom_layers.core.protocols import Shape
from custom_layers.core.shape_check import require

DATA_FORMATS = ("channels_last", "channels_first")


class Windows(NamedTuple):
    """The windows of a layer. All but the padding have one entry for each axis of space."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: str


def counts(windows: Windows, places: Shape) -> tuple[int | None, ...]:
    """m of (2) to (4) for each axis, None where n is not known; below 1 where no window fits."""

    def count(n: int | None, size: int, stride: int, dilation: int) -> int | None:
        if n is None:
            return None
        if windows.padding == "valid":
            return (n - reach(size, dilation)) // stride + 1  # (2)
        return -(-n // stride)  # (3), (4)

    axes = zip(places, windows.size, windows.strides, windows.dilation, strict=True)
    return tuple(count(*axis) for axis in axes)


def paddings(windows: Windows, places: Sequence[int]) -> list[tuple[int, int]]:
    """l and u of (2) to (4) for each axis."""

    def before_and_after(n: int, size: int, stride: int, dilation: int) -> tuple[int, int]:
        if windows.padding == "valid":
            return 0, 0  # (2)
        if windows.padding == "causal":
            return reach(size, dilation) - 1, 0  # (4)
        m = -(-n // stride)
        both = max((m - 1) * stride + reach(size, dilation) - n, 0)
        return both // 2, both - both // 2  # (3)

    axes = zip(places, windows.size, windows.strides, windows.dilation, strict=True)
    return [before_and_after(*axis) for axis in axes]


def reach(size: int, dilation: int) -> int:
    """r: how many places lie from a window's first to its last, both counted."""
    return dilation * (size - 1) + 1


def places_of(shape: Shape, data_format: str) -> Shape:
    """The sizes of the axes of space."""
    return shape[1:-1] if data_format == "channels_last" else shape[2:]


def channels_axis(data_format: str) -> int:
    """Which axis the channels are on."""
    return -1 if data_format == "channels_last" else 1


def output_shape(
    input_shape: Shape, windows: Windows, channels: int | None, data_format: str, *, owner: str
) -> tuple[int | None, ...]:
    """The shape with one place for each window; ValueError where an axis is too short for one."""
    rank = len(windows.size)
    is_last = data_format == "channels_last"
    layout = "(batch, *space, channels)" if is_last else "(batch, channels, *space)"
    received = f"inputs.shape={tuple(input_shape)}"
    require(
        len(input_shape) == rank + 2,
        owner,
        f"`inputs` must be {layout} with {rank} of space, {rank + 2} axes in all",
        received,
        "Add the missing axis with keras.ops.expand_dims, or use the layer of another rank.",
    )
    found = counts(windows, places_of(input_shape, data_format))
    needed = tuple(map(reach, windows.size, windows.dilation))
    require(
        all(m is None or m >= 1 for m in found),
        owner,
        f"each axis of space must hold a window, which reaches over {needed} places",
        f"{received}, data_format={data_format!r}",
        'Use smaller windows, or padding="same".',
    )
    batch = input_shape[0]
    return (batch, *found, channels) if is_last else (batch, channels, *found)


def integer_per_axis(value: Any, rank: int, *, owner: str, name: str) -> tuple[int, ...]:
    """One positive integer for each axis of space; a single one stands for all."""
    entries = (
        value if isinstance(value, Sequence) and not isinstance(value, str) else (value,) * rank
    )
    are_integers = all(hasattr(v, "__index__") and not isinstance(v, bool) for v in entries)
    too_small = {int(v) for v in entries if v < 1} if are_integers else set()
    if are_integers and len(entries) == rank and not too_small:
        return tuple(int(v) for v in entries)
    written = tuple(entries) if too_small else value
    reason = f", including values {too_small} that do not satisfy `value > 0`" if too_small else ""
    raise ValueError(
        f"{owner}: The `{name}` argument must be a tuple of {rank} integers. "
        f"Received {name}={written!r}{reason}. Give one integer of 1 or more, or one for each axis."
    )


def known_padding(value: Any, allowed: Sequence[str], *, owner: str) -> str:
    """One of the allowed names of padding, in small letters."""
    name = value.lower() if isinstance(value, str) else value
    require(
        name in allowed,
        owner,
        f"`padding` must be one of {tuple(allowed)}",
        f"padding={value!r}",
        "Pad the inputs with keras.ops.pad for any other.",
    )
    return name


def known_data_format(value: Any, *, owner: str) -> str:
    """Where the channels are; the setting of Keras where nothing is said."""
    name = keras.config.image_data_format() if value is None else str(value).lower()
    require(
        name in DATA_FORMATS,
        owner,
        f"`data_format` must be one of {DATA_FORMATS}, or None for Keras's setting",
        f"data_format={value!r}",
        "Use keras.ops.transpose for any other order of axes.",
    )
    return name
