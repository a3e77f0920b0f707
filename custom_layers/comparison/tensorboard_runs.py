"""TensorBoard runs of a comparison: one folder per model, equal tags, so that charts overlay."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import tensorflow as tf

from custom_layers.core.folders import make_writable


def require_writable(folder: Path, argument: str) -> None:
    """Create a folder and try to write into it, before any work is done.

    Raises: ValueError in one line when that fails.
    """
    try:
        make_writable(folder)
    except OSError as error:
        raise ValueError(
            f"compare: `{argument}` cannot be written: {folder} ({error.strerror}). "
            "Name a folder in which you may create files."
        ) from error


class TensorBoardRuns:
    """Writers of one run per model, `<log_dir>/<name>`; without a folder nothing is written."""

    def __init__(self, log_dir: Path | None, names: Sequence[str]) -> None:
        self._writers = {}
        if log_dir is not None:
            for name in names:
                require_writable(log_dir / name, "log_dir")
            self._writers = {
                name: tf.summary.create_file_writer(str(log_dir / name)) for name in names
            }

    def scalars(self, name: str, step: int, values: Mapping[str, float]) -> None:
        """Write numbers by tag into the run of one model."""
        if name in self._writers:
            with self._writers[name].as_default(step):
                for tag, value in values.items():
                    tf.summary.scalar(tag, value)

    def text(self, name: str, step: int, tag: str, markdown: str) -> None:
        """Write a text into the run of one model."""
        if name in self._writers:
            with self._writers[name].as_default(step):
                tf.summary.text(tag, markdown)

    def flush(self) -> None:
        """Bring what was written so far onto the disk."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Close all runs; closing twice does no harm."""
        for writer in self._writers.values():
            writer.close()
