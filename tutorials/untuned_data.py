"""Iterators of tf.data without the thread that tunes them.

Tuning sizes parallel stages while a pipeline runs, for hours if need be. A page's `fit` lasts seconds
and has none. But to let an iterator go is to wait until its thread has ended, and on a busy machine that
can miss the call to end and sleep on, longer the longer it has run: of forty iterators of six seconds,
on two cores with other work, three took 4, 10 and 20 seconds to go (TensorFlow 2.21).
"""

from typing import Any

import tensorflow as tf

_UNTUNED = tf.data.Options()
_UNTUNED.autotune.enabled = False


def tune_no_iterators() -> None:
    """From here on `iter(dataset)`, which `fit` calls as well, makes iterators that are not tuned.

    All other options of a dataset stay what they are. To call it again changes nothing.
    """
    tuned = tf.data.Dataset.__iter__
    if getattr(tuned, "tunes", True):

        def untuned(dataset: tf.data.Dataset) -> Any:
            return tuned(dataset.with_options(_UNTUNED))

        untuned.tunes = False  # type: ignore[attr-defined]
        tf.data.Dataset.__iter__ = untuned
