"""Convolution and pooling entry by entry, in NumPy float64; padding by another rule than ours."""

import numpy as np


def axes_of(space, size, strides, dilation, padding):
    """How many windows each axis has, and where the first of them begins."""
    many, begins = [], []
    for n, k, s, d in zip(space, size, strides, dilation, strict=True):
        reach = d * (k - 1) + 1
        missing = max(reach - (n % s or s), 0)
        many.append(len(range(0, n - reach + 1 if padding == "valid" else n, s)))
        begins.append({"valid": 0, "same": -(missing // 2), "causal": 1 - reach}[padding])
    return many, begins


def entries_of(x, p, size, strides, dilation, begins):
    """What window p sees of x (batch, *space, channels): pairs of k and x_{s p + d k - l}."""
    for k in np.ndindex(*size):
        axes = zip(p, k, strides, dilation, begins, strict=True)
        at = [s * i + d * j + begin for i, j, s, d, begin in axes]
        if all(0 <= a < n for a, n in zip(at, x.shape[1:-1], strict=True)):
            yield k, x[(slice(None), *at)]


def convolution(x, kernel, strides, dilation, padding, groups):
    *size, channels, filters = kernel.shape
    many, begins = axes_of(x.shape[1:-1], size, strides, dilation, padding)
    y = np.zeros((len(x), *many, filters))
    for p in np.ndindex(*many):
        for k, seen in entries_of(x, p, size, strides, dilation, begins):
            for o in range(filters):
                group = o // (filters // groups)
                own = seen[:, group * channels : (group + 1) * channels]
                y[(slice(None), *p, o)] += own @ kernel[k][:, o]
    return y


def pooling(x, size, strides, padding, take):
    once = (1,) * len(size)
    many, begins = axes_of(x.shape[1:-1], size, strides, once, padding)
    y = np.zeros((len(x), *many, x.shape[-1]))
    for p in np.ndindex(*many):
        seen = [entry for _, entry in entries_of(x, p, size, strides, once, begins)]
        y[(slice(None), *p)] = take(seen, axis=0)
    return y
