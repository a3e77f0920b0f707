"""Equation (1) of convolution.py as it stands: one product of matrices for each place of the kernel.

The layers use `keras.ops.conv`, which is one operation. This is what it computes.
"""

import itertools

from keras import ops

from custom_layers.convolution.windows import Windows, counts, paddings
from custom_layers.core.protocols import Tensor


def convolution_by_taps(x: Tensor, kernel: Tensor, windows: Windows, data_format: str) -> Tensor:
    """z of equation (1), without the bias.

    Args:
        x: (batch, *space, channels), or (batch, channels, *space); the sizes of space are known.
        kernel: W, (*size, channels / groups, filters); its shape tells the groups.
        windows: their size is that of W.
        data_format: "channels_last" or "channels_first".
    Returns: (batch, *windows, filters), or (batch, filters, *windows).
    """
    if data_format == "channels_first":
        x = ops.moveaxis(x, 1, -1)
    groups = x.shape[-1] // kernel.shape[-2]
    parts = zip(ops.split(x, groups, axis=-1), ops.split(kernel, groups, axis=-1), strict=True)
    z = ops.concatenate([_one_group(*part, windows) for part in parts], axis=-1)
    return ops.moveaxis(z, -1, 1) if data_format == "channels_first" else z


def _one_group(x: Tensor, kernel: Tensor, windows: Windows) -> Tensor:
    """The sum over k of (1): what all windows see at their place k, times W_k."""
    places = x.shape[1:-1]
    x = ops.pad(x, [(0, 0), *paddings(windows, places), (0, 0)])
    z = 0.0
    for k in itertools.product(*(range(size) for size in windows.size)):
        seen = x[(slice(None), *_places_seen(windows, places, k))]  # (batch, *windows, channels)
        z = z + ops.matmul(seen, kernel[k])
    return z


def _places_seen(windows: Windows, places: tuple[int, ...], k: tuple[int, ...]) -> list[slice]:
    """s p + d k for all p, in the padded axes, which begin at -l."""
    axes = zip(k, counts(windows, places), windows.strides, windows.dilation, strict=True)
    return [slice(d * i, d * i + s * ((m or 0) - 1) + 1, s) for i, m, s, d in axes]
