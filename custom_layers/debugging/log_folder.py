"""Folders that logs are written to: tried before any work is done, and continued after a break."""

import os
import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event

from custom_layers.core.folders import make_writable

SUFFIX = ".inspector"  # of the event files that are ours: others may write to the folder as well


def writable_folder(path: Any, owner: str, name: str) -> pathlib.Path:
    """Make a folder and try to write into it.

    Args:
        path: the folder.
        owner, name: who asks, and by which argument the user gave it.

    Raises:
        ValueError: it is a file or cannot be written.
    """
    folder = pathlib.Path(path)
    try:
        make_writable(folder)
    except OSError as error:
        raise ValueError(
            f"{owner}: `{name}` must be a folder that can be written. Received: "
            f"{name}={str(path)!r} ({error.strerror}). Choose another one."
        ) from None
    return folder


def event_files(folder: pathlib.Path) -> list[pathlib.Path]:
    """The inspector's event files, oldest first."""
    return sorted(folder.glob(f"events.out.tfevents.*{SUFFIX}"))


def events_of(path: pathlib.Path) -> Iterator[Event]:
    """All events of one file. One that a crash cut off in the middle is the last and is left out."""
    try:
        for record in tf.data.TFRecordDataset(os.fspath(path)):
            yield Event.FromString(record.numpy())
    except tf.errors.DataLossError:
        return


def set_aside(folder: pathlib.Path) -> bool:
    """Keep the log of an earlier run where TensorBoard does not see it: `earlier.*`.

    Returns:
        Whether there was one, of more than its first look.
    """
    files = event_files(folder)
    if not any(event.step > 0 for path in files for event in events_of(path)):
        return False
    for path in files:
        name = path.name.removeprefix("events.out.tfevents.")
        path.rename(path.with_name(f"earlier.{name}"))
    return True


def drop_events_after(folder: pathlib.Path, step: int) -> int | None:
    """Forget what was logged beyond a step: the training goes on from there and comes by again.

    Returns:
        The last step that is left in the log, None where there is none.
    """
    last: int | None = None
    for path in event_files(folder):
        events = list(events_of(path))
        kept = [event for event in events if event.step <= step]
        steps = [event.step for event in kept if event.HasField("summary")]
        last = max([*steps, *([] if last is None else [last])], default=None)
        if len(kept) < len(events):
            replacement = path.with_name(f"{path.name}.new")
            with tf.io.TFRecordWriter(os.fspath(replacement)) as writer:
                for event in kept:
                    writer.write(event.SerializeToString())
            replacement.replace(path)
    return last
