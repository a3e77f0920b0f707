"""The batches of a comparison: each is drawn once, in one order, as often as steps need it."""

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf


class Batch(NamedTuple):
    """One batch as `train_on_batch` takes it; `y` and `sample_weight` may be None."""

    x: Any
    y: Any
    sample_weight: Any


def as_dataset(
    data: Any, *, argument: str, batch_size: int, shuffle_seed: int | None
) -> tf.data.Dataset:
    """A dataset of batches from what the caller has.

    Args:
        data: a `tf.data.Dataset` of batches, returned as it is, or a tuple of arrays
            (x, y[, sample_weight]), in which x and y may be nested structures of arrays.
        argument: the caller's name for `data`, for messages.
        batch_size: int >= 1, examples in one batch; used for arrays only.
        shuffle_seed: arrays are shuffled anew for each pass, in an order that this seed fixes;
            None keeps their order.
    Raises: TypeError for anything else; ValueError for arrays of different lengths or of length 0.
    """
    if isinstance(data, tf.data.Dataset):
        return data
    if not isinstance(data, tuple):
        raise TypeError(
            f"compare: `{argument}` must be a tf.data.Dataset of batches (x, y[, sample_weight]) "
            f"or a tuple of arrays. Received: {type(data).__name__}."
        )
    if batch_size < 1:
        raise ValueError(f"compare: `batch_size` must be 1 or more. Received: {batch_size}.")
    lengths = sorted({len(array) for array in keras.tree.flatten(data) if array is not None})
    if len(lengths) != 1 or lengths[0] == 0:
        raise ValueError(
            f"compare: the arrays of `{argument}` must have one common length of 1 or more. "
            f"Received lengths: {lengths}."
        )
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    parts = tuple(part for part in (x, y, sample_weight) if part is not None)
    dataset = tf.data.Dataset.from_tensor_slices(parts)
    if shuffle_seed is not None:
        dataset = dataset.shuffle(lengths[0], seed=shuffle_seed)
    return dataset.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def endless_batches(dataset: tf.data.Dataset) -> Iterator[Batch]:
    """Yield the batches of a dataset, and from its beginning again when it has ended.

    Raises: ValueError when the dataset holds no batch.
    """
    while True:
        is_empty = True
        for element in dataset:
            is_empty = False
            yield Batch(*keras.utils.unpack_x_y_sample_weight(element))
        if is_empty:
            raise ValueError("compare: `data` holds no batch. Check its filters and batch size.")


def digest(batch: Batch) -> int:
    """Checksum of a batch's values: equal batches have equal ones, and others hardly ever."""
    checksum = 0
    parts = tuple(part for part in batch if part is not None)
    for part in tf.nest.flatten(parts, expand_composites=True):  # ragged and sparse ones, too
        array = np.asarray(part)
        if array.dtype == object:  # strings
            content = b"\0".join(
                s if isinstance(s, bytes) else str(s).encode() for s in array.ravel()
            )
        else:
            content = np.ascontiguousarray(array).tobytes()
        checksum = zlib.crc32(content, checksum)
    return checksum
