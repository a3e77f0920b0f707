"""Pictures and labels in the IDX format of MNIST, gzipped or not.

    offset 0   00 00, the type of the numbers (08: uint8), how many axes
    offset 4   the size of each axis, four bytes, the highest first
    then       the numbers, row by row

Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", its section on the file
format.
"""

import gzip
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from custom_layers.data.data_error import DataError

OWNER = "read_images"
IMAGES, LABELS = 0x00000803, 0x00000801  # magic numbers: uint8 of three axes, and of one


class Images(NamedTuple):
    """Pictures in grey with their labels.

    Attributes:
        pixels: uint8 (count, rows, columns), 0 is the ground.
        labels: uint8 (count,).
        source: the file of the pictures; "generated" where there was none.
    """

    pixels: np.ndarray
    labels: np.ndarray
    source: str = "generated"


def read_images(images: str | os.PathLike[str], labels: str | os.PathLike[str]) -> Images:
    """Read a file of pictures and the file of their labels.

    Raises: DataError, one line, for a file that cannot be read, has another magic number, or fewer or
        more numbers than its header says, and where there are not as many labels as pictures.
    """
    pixels, found = _read(Path(images), IMAGES), _read(Path(labels), LABELS)
    if len(pixels) != len(found):
        raise _error(
            "there must be a label for each picture",
            f"{len(pixels)} pictures in {str(images)!r}, {len(found)} labels in {str(labels)!r}",
            "Name two files of one set: train-images with train-labels, t10k-images with t10k-labels.",
        )
    return Images(pixels, found, str(images))


def _read(path: Path, magic: int) -> np.ndarray:
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        what = (
            "which is a folder" if path.is_dir() else getattr(error, "strerror", "") or str(error)
        )
        raise _error(
            "a file of pictures or labels must be readable",
            f"{str(path)!r}, {what}",
            "Check the spelling, or fetch it again.",
        ) from None
    axes = magic & 0xFF
    begin = 4 + 4 * axes
    found = int.from_bytes(content[:4], "big")
    if found != magic or len(content) < begin:
        kind = {IMAGES: "pictures", LABELS: "labels"}
        other = f", which is that of {kind[found]}" if found in kind else ""
        received = f"magic number 0x{found:08x}{other}"
        if found == magic or len(content) < 4:
            received = f"{len(content)} bytes, too short for its header"
        raise _error(
            f"a file of {kind[magic]} must begin with the magic number 0x{magic:08x}",
            f"{str(path)!r}, {received}",
            "Name an IDX file of uint8, such as MNIST's, and images before labels.",
        )
    sizes = struct.unpack(f">{axes}I", content[4:begin])
    wanted = int(np.prod(sizes, dtype=np.int64))
    if len(content) - begin != wanted:
        raise _error(
            f"the header {' x '.join(map(str, sizes))} must be followed by {wanted:,} numbers",
            f"{str(path)!r}, {len(content) - begin:,} of them",
            "Fetch the file again: it is not whole.",
        )
    return np.frombuffer(content, "uint8", offset=begin).reshape(sizes)


def _error(rule: str, received: str, way_out: str) -> DataError:
    return DataError(f"{OWNER}: {rule}. Received: {received}. {way_out}")
