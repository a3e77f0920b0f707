"""Measures as data frames: one row for each fact, so that pandas can filter, group and pivot them.

table_of(recording).query("quantity == 'h'").pivot(index="step", columns="layer", values="norm")

log = read_log("tensorboard_logs/my_run")  # all that a GradientInspector wrote, without sampling
log.scalars.query("measure == 'vanishing_ratio'").pivot(index="step", columns="layer", values="value")
"""

import os
import pathlib
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tensorflow as tf
from tensorboard.plugins.histogram import metadata as histogram_plugin
from tensorboard.plugins.scalar import metadata as scalar_plugin
from tensorboard.util import tensor_util

from custom_layers.core.shape_check import require
from custom_layers.debugging.log_folder import event_files, events_of
from custom_layers.debugging.measurements import BY_STEP, BY_STEPS_BACK
from custom_layers.debugging.recorder import Quantity, Recording

NAME = ["tag", "layer", "quantity", "measure"]


class Log(NamedTuple):
    """All that one log holds, in the order of training steps.

    Each frame says `step` (training step), `tag`, and the tag's parts: `layer` (path, empty for measures
    of the whole model), `quantity` ("h", "kernel", "output", "all_weights", ...) and `measure`.

    scalars: `value`. series: `time_step` (or steps back from the end) and `value`. histograms: one row a
    bucket, `left`, `right`, `count`.
    """

    scalars: pd.DataFrame
    series: pd.DataFrame
    histograms: pd.DataFrame


def table_of(recording: Recording) -> pd.DataFrame:
    """Gradients of a recording's quantities: a row for each quantity and time step.

    Returns:
        Columns `name`; its parts `layer` and `quantity`; `step`, from 0, missing in a layer's output,
        which need not have steps; `examples`, how many of the batch took this step; and of dL/dq_t over
        the batch and all units: `norm`, `mean`, `largest` (absolute entry), `zeros` and `not_finite`
        (shares in [0, 1]).
    """
    rows: list[dict[str, Any]] = []
    for name, quantity in recording.items():
        layer, _, kind = name.rpartition("/")
        for step, taken, entries in _by_step(quantity):
            rows.append({"name": name, "layer": layer, "quantity": kind, "step": step})
            rows[-1] |= {"examples": taken, **_statistics(entries)}
    columns = ["name", "layer", "quantity", "step", "examples", *_statistics(np.zeros(1))]
    return pd.DataFrame(rows, columns=columns).astype({"step": "Int64"})


def table_of_weights(recording: Recording) -> pd.DataFrame:
    """Gradients of the weights: a row each, in the model's order.

    Returns:
        Columns `name`, `layer`, `weight`, `entries` (their number), `reached` (whether the loss depends
        on it); and as in `table_of`, missing if not reached, `norm`, `mean`, `largest`, `zeros` and
        `not_finite`.
    """
    rows: list[dict[str, Any]] = []
    for name, gradient in recording.weights.items():
        layer, _, weight = name.rpartition("/")
        rows.append({"name": name, "layer": layer, "weight": weight, "reached": False})
        if gradient is not None:
            entries = _array(gradient)
            rows[-1] |= {"reached": True, "entries": entries.size, **_statistics(entries)}
    columns = ["name", "layer", "weight", "entries", "reached", *_statistics(np.zeros(1))]
    return pd.DataFrame(rows, columns=columns).astype({"entries": "Int64"})


def read_log(log_dir: str | os.PathLike[str]) -> Log:
    """Read what a `GradientInspector` wrote, every look of it: TensorBoard shows a sample.

    Args:
        log_dir: folder of one run.

    Raises:
        ValueError: no inspector wrote there.
    """
    files = event_files(pathlib.Path(log_dir))
    require(
        bool(files),
        "read_log",
        "`log_dir` must be the folder of one run that a GradientInspector wrote",
        f"log_dir={os.fspath(log_dir)!r}, which holds no log of one",
        "Name the folder that the inspector was given; runs of several lie in folders of their own.",
    )
    scalars, series, histograms = _Rows(), _Rows(), _Rows()
    plugins: dict[str, str] = {}  # a file says with a tag's first value alone what kind it is of
    for event in (event for path in files for event in events_of(path)):
        for entry in event.summary.value:
            plugin = entry.metadata.plugin_data.plugin_name or plugins[entry.tag]
            plugins[entry.tag] = plugin
            if plugin == scalar_plugin.PLUGIN_NAME:
                value = tensor_util.make_ndarray(entry.tensor)
                scalars.add(event.step, entry.tag, value.reshape(1, 1).astype("float64"))
            elif plugin == histogram_plugin.PLUGIN_NAME:
                buckets = tensor_util.make_ndarray(entry.tensor)
                is_series = entry.tag.endswith((f"/{BY_STEP}", f"/{BY_STEPS_BACK}"))
                (series if is_series else histograms).add(event.step, entry.tag, buckets)
    return Log(
        scalars.frame(["value"]),
        series.frame(["time_step", "end", "value"]).drop(columns="end").astype({"time_step": int}),
        histograms.frame(["left", "right", "count"]),
    )


def parts_of(tag: str) -> tuple[str, str, str, str]:
    """A tag with its layer, quantity and measure: "a/gru/h/x" gives ("a/gru/h/x", "a/gru", "h", "x")."""
    before, _, measure = tag.rpartition("/")
    layer, _, quantity = before.rpartition("/")
    return tag, layer, quantity, measure


def _by_step(quantity: Quantity) -> Any:
    """(step or None, examples that took it, the gradient's entries), for each step."""
    gradient = _array(quantity.gradient)
    batch = gradient.shape[0] if gradient.ndim else 1
    if quantity.steps_axis is None:
        yield None, batch, gradient
        return
    steps = np.moveaxis(gradient, quantity.steps_axis, 0)
    for step, entries in enumerate(steps):
        taken = batch if quantity.mask is None else int(np.sum(np.asarray(quantity.mask)[:, step]))
        yield step, taken, entries


def _statistics(entries: np.ndarray) -> dict[str, float]:
    """As `measures/gradient_statistics.py` has them, in float64."""
    return {
        "norm": float(np.linalg.norm(entries)),
        "mean": float(np.mean(entries)),
        "largest": float(np.max(np.abs(entries))),
        "zeros": float(np.mean(entries == 0)),
        "not_finite": float(np.mean(~np.isfinite(entries))),
    }


def _array(gradient: Any) -> np.ndarray:
    dense = tf.convert_to_tensor(gradient)  # an embedding's gradient is a tf.IndexedSlices
    return tf.cast(dense, "float64").numpy()


class _Rows:
    """Rows of numbers by step and tag, gathered event by event and made a frame at the end."""

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._tags: list[str] = []
        self._numbers: list[np.ndarray] = []

    def add(self, step: int, tag: str, numbers: np.ndarray) -> None:
        """Take rows (rows, columns) of one tag at one step."""
        self._steps.append(step)
        self._tags.append(tag)
        self._numbers.append(numbers)

    def frame(self, columns: list[str]) -> pd.DataFrame:
        """One row for each row taken, in the order of steps."""
        counts = [len(numbers) for numbers in self._numbers]
        names = pd.DataFrame([parts_of(tag) for tag in self._tags], columns=NAME)
        names.insert(0, "step", np.asarray(self._steps, "int64"))
        names = names.loc[names.index.repeat(counts)].reset_index(drop=True)
        numbers = np.concatenate(self._numbers) if self._numbers else np.zeros((0, len(columns)))
        frame = pd.concat([names, pd.DataFrame(numbers, columns=columns)], axis=1)
        return frame.sort_values("step", kind="stable", ignore_index=True)
