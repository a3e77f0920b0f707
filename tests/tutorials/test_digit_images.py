"""Digits for pages: halved, from MNIST or drawn, without a picture in both parts."""

import numpy as np
import pytest

from custom_layers.data import drawn_digits
from custom_layers.data.local_files import DATA_FOLDER_VARIABLE, local_file
from tutorials import digit_images
from tutorials.digit_images import digits


def test_without_files_digits_are_drawn_and_a_line_says_so(monkeypatch, capsys):
    monkeypatch.delenv(DATA_FOLDER_VARIABLE, raising=False)
    images, what = digits("train", 20)
    assert (what, images.source, images.pixels.shape) == ("drawn digits", "generated", (20, 14, 14))
    assert "drawn instead" in capsys.readouterr().out
    original = drawn_digits(20, seed=1)
    np.testing.assert_array_equal(images.labels, original.labels)
    for row, column in [(0, 0), (5, 9), (13, 6)]:
        four = original.pixels[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        np.testing.assert_array_equal(images.pixels[:, row, column], four.mean((1, 2)).round())
    monkeypatch.setattr(digit_images, "MOST", 15)
    assert len(digits("train", 20)[0].labels) == 15, "drawing is slow"
    assert not np.array_equal(digits("test", 15)[0].pixels, images.pixels[:15])


@pytest.mark.skipif(local_file("mnist/t10k-labels-idx1-ubyte.gz") is None, reason="needs MNIST")
def test_real_digits_are_the_first_of_their_part():
    images, what = digits("test", 5)
    assert (what, images.labels.tolist()) == ("MNIST", [7, 2, 1, 0, 4])
