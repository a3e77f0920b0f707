"""Folders to write to, tried before any work is done."""

import pathlib
import tempfile


def make_writable(folder: pathlib.Path) -> None:
    """Make a folder, with those that it lies in, and try to write into it.

    Raises: OSError when either fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
