"""Where windows lie: counted one by one, against the formulas."""

import itertools

import pytest

from custom_layers.convolution.windows import (
    Windows,
    counts,
    integer_per_axis,
    output_shape,
    paddings,
)

GEOMETRIES = list(itertools.product(range(1, 10), range(1, 5), range(1, 4), range(1, 4)))


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_counts_and_paddings_fit_together(padding):
    for n, size, stride, dilation in GEOMETRIES:
        windows = Windows((size,), (stride,), (dilation,), padding)
        [m], [(before, after)] = counts(windows, (n,)), paddings(windows, (n,))
        reach = dilation * (size - 1) + 1
        begins = range(-before, n + after - reach + 1, stride)
        if padding == "valid":
            assert (before, after) == (0, 0)
            assert max(m, 0) == len(begins)
        else:
            assert m == len(range(0, n, stride)) == len(begins)
            assert before >= 0 <= after
        if padding == "same":
            assert after - before in (0, 1)
            needed = (m - 1) * stride + reach - n
            assert before + after == max(needed, 0)
        if padding == "causal":
            assert all(begin + reach - 1 == stride * p for p, begin in enumerate(begins))


def test_an_unknown_axis_has_unknown_many_windows():
    windows = Windows((2, 3), (1, 2), (1, 1), "valid")
    assert counts(windows, (None, 7)) == (None, 3)
    assert output_shape((None, None, 7, 4), windows, 5, "channels_last", owner="x") == (
        *(None, None, 3, 5),
    )
    assert output_shape((2, 4, None, 7), windows, 5, "channels_first", owner="x") == (2, 5, None, 3)


@pytest.mark.parametrize("value", [(1, 2, 3), (1,), 0, (2, -1), 1.5, (1.5, 2), "12", None, True])
def test_one_integer_for_each_axis(value):
    with pytest.raises(
        ValueError, match=r"x: The `strides` argument must be a tuple of 2 integers"
    ):
        integer_per_axis(value, 2, owner="x", name="strides")
