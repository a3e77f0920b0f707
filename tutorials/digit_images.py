"""The digits of a page: MNIST's where they are, else drawn ones; at half their size."""

from custom_layers.data import Images, drawn_digits, read_images
from custom_layers.data.local_files import DATA_FOLDER_VARIABLE, local_file

MOST = 10_000  # are drawn: that takes a quarter of a minute
PARTS = {"train": "train", "test": "t10k"}  # by MNIST's name


def digits(part: str, count: int) -> tuple[Images, str]:
    """Pictures of 14 x 14 pixels, and what they are.

    Each pixel is the mean of four of the original's 28 x 28: a quarter of the work, and as readable.

    Args:
        part: "train" or "test", which share no picture.
        count: the first so many; fewer where there are not as many, and at most MOST are drawn.
    """
    name = PARTS[part]
    files = [f"mnist/{name}-images-idx3-ubyte.gz", f"mnist/{name}-labels-idx1-ubyte.gz"]
    pictures, labels = map(local_file, files)
    if pictures is not None and labels is not None:
        read, what = read_images(pictures, labels), "MNIST"
    else:
        print(
            f"No {files[0]} in the folder that {DATA_FOLDER_VARIABLE} names: digits are drawn instead."
        )
        read, what = drawn_digits(min(count, MOST), seed=sorted(PARTS).index(part)), "drawn digits"
    fours = read.pixels[:count].reshape(-1, 14, 2, 14, 2).astype("float32")
    small = fours.mean(axis=(2, 4)).round().astype("uint8")
    return Images(small, read.labels[:count], read.source), what
