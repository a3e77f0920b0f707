"""Write measures for TensorBoard: many in one event, and on the disk before the next step begins."""

import functools
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_FLOAT
from tensorboard.plugins.histogram import metadata as histogram_plugin
from tensorboard.plugins.scalar import metadata as scalar_plugin
from tensorboard.util import tensor_util

from custom_layers.debugging.log_folder import SUFFIX


class TensorBoardWriter:
    """One run of TensorBoard.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._writer = tf.summary.create_file_writer(
            os.fspath(folder), filename_suffix=SUFFIX, max_queue=1000
        )
        self._known: set[str] = set()  # tags that this file has the metadata of

    def numbers(
        self,
        step: int,
        scalars: Mapping[str, float],
        series: Mapping[str, np.ndarray] | None = None,
        histograms: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Write by tag, in one event.

        Args:
            step: training step.
            series: a number for each time step, (steps,): drawn as a histogram with a bucket for each.
            histograms: (buckets, 3), rows of left, right, count.
        """
        summary = Summary()
        add = functools.partial(self._add, summary)
        scalar = scalar_plugin.create_summary_metadata("", "")
        for tag, value in scalars.items():
            add(tag, TensorProto(dtype=DT_FLOAT, tensor_shape={}, float_val=[value]), scalar)
        buckets = dict(histograms or {})
        for tag, values in (series or {}).items():
            places = np.arange(len(values), dtype="float64")
            buckets[tag] = np.stack([places, places + 1, values], axis=-1)
        for tag, rows in buckets.items():
            metadata = histogram_plugin.create_summary_metadata("", "")
            add(tag, tensor_util.make_tensor_proto(np.asarray(rows, "float64")), metadata)
        with self._writer.as_default(step):
            tf.summary.experimental.write_raw_pb(summary.SerializeToString())

    def text(self, step: int, tag: str, markdown: str) -> None:
        """Write a text."""
        with self._writer.as_default(step):
            tf.summary.text(tag, markdown)

    def image(self, step: int, tag: str, image: np.ndarray) -> None:
        """Write a picture, uint8 (height, width, 3)."""
        with self._writer.as_default(step):
            tf.summary.image(tag, image[None])

    def raw(self, step: int, summary: Any) -> None:
        """Write a protocol buffer as it is."""
        with self._writer.as_default(step):
            tf.summary.experimental.write_raw_pb(summary.SerializeToString())

    def graph(self, graph: tf.compat.v1.GraphDef) -> None:
        """Write the graph that the tab Graphs shows."""
        with self._writer.as_default():
            tf.summary.graph(graph)

    def flush(self) -> None:
        """Bring what was written onto the disk: a crash keeps it."""
        self._writer.flush()

    def close(self) -> None:
        """Close the run; closing twice does no harm."""
        self._writer.close()

    def _add(
        self, summary: Summary, tag: str, tensor: TensorProto, metadata: SummaryMetadata
    ) -> None:
        """TensorBoard asks for a tag's metadata once in a file; the log is a fifth smaller for it."""
        known = tag in self._known
        summary.value.add(tag=tag, metadata=None if known else metadata, tensor=tensor)
        self._known.add(tag)
