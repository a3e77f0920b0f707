"""How pages keep their figures."""

import matplotlib.pyplot as plt

from tutorials import figures


def test_a_saved_figure_is_a_png_and_no_longer_open(tmp_path):
    figure, _ = plt.subplots(figsize=(2, 1))
    open_before = plt.get_fignums()
    path = figures.saved(figure, tmp_path / "picture.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    shape = plt.imread(path).shape
    assert shape[:2] == (figures.DOTS_PER_INCH, 2 * figures.DOTS_PER_INCH)
    assert plt.get_fignums() == [number for number in open_before if number != figure.number]
