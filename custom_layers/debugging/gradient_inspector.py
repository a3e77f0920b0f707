"""A callback that looks into a model while `fit` trains it, and writes what it sees for TensorBoard.

    inspector = GradientInspector("tensorboard_logs/my_run", probe=(x[:64], y[:64]), every=100)
    model.fit(x, y, callbacks=[inspector])

Keras hands a callback no batch. So the inspector has one of its own, the probe, on which it runs a
function of its own: the charts of one batch can be compared over the whole training, and the training
function stays as it is, node for node. Without a probe it writes what a model that is an
`InspectedTraining` measured of the training step itself.
"""

import logging
import math
import os
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.debugging.dashboard import checked_settings, describe_run
from custom_layers.debugging.findings import Measured, findings_of
from custom_layers.debugging.forward_pass import require_compiled
from custom_layers.debugging.heat_map import HeatMaps
from custom_layers.debugging.log_folder import drop_events_after, set_aside, writable_folder
from custom_layers.debugging.measurements import (
    FIRST_NOT_FINITE_STEP,
    Measurements,
    update_ratios,
)
from custom_layers.debugging.measures.noise_scale import NoiseScale
from custom_layers.debugging.probe_pass import ProbePass, checked_probe, size_of_batch
from custom_layers.debugging.schedules import Every
from custom_layers.debugging.tensorboard_writer import TensorBoardWriter
from custom_layers.debugging.training_batches import TrainingBatches

LOOKS_BETWEEN_NOISE_SCALES = 10  # it takes half a pass more
NOTHING_WRONG = "Nothing is wrong."
log = logging.getLogger(__name__)


class GradientInspector(keras.callbacks.Callback):
    """Write the gradients of a probe batch to TensorBoard, every so many training steps.

    Of every model: each trainable weight's gradient (norm, mean, largest entry, share of zeros and of
    NaN or inf, histogram, angle to the last look's) and how far a step moves it; the same statistics of
    each layer's output; the norm of all gradients together before and after clipping, the gradient
    noise scale, and the loss. Of our layers also: each gate before its activation and how saturated it
    is, each state, and the attention scores and weights; by time step, and for each state the vanishing
    ratio |dL/dh_1| / |dL/dh_T| and a heat map over the training. Once a log also its settings (HParams),
    a page of charts (Custom Scalars) and the model's layers (Graphs). What each measure is,
    `measurements.py` and `measures/` say. What is wrong is said in words, in a text and by `logging`,
    when it begins (`findings.py`).

    A look leaves the model as it found it: seed generators, moving averages and metrics are put back.
    A training that goes on from a checkpoint goes on in the same log, without a gap or a repeated step.

    Args:
        log_dir: folder of the run; made if it is missing.
        probe: (x, y) or (x, y, sample_weight), one batch as `fit` would see it. None: the batch of each
            training step that is looked at, of a model that is an `InspectedTraining` (of which a probe
            asks nothing). It is written at the step that it led to, with `loss/batch` for `loss/probe`.
        every: look every so many training steps, and with a probe at step 0. int >= 1.
        histograms: whether to write the weights' gradients as histograms.
        training: whether the probe runs as in training, with dropout.
        hparams: settings of your own, {"data": "spa-eng"}, shown beside the optimizer's in HParams.

    Raises:
        ValueError: `every` below 1; a probe that is no such tuple or is ragged; a `log_dir` that is a
            file or cannot be written; `hparams` that are no dict of numbers, texts or truth values; at
            the start of training, a model that is not compiled, or one that cannot measure its own
            steps where `probe` is None.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        probe: Any = None,
        every: int = 100,
        histograms: bool = True,
        training: bool = True,
        hparams: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.schedule = Every(every)
        self.probe = None if probe is None else checked_probe(probe, "GradientInspector")
        self.log_dir = writable_folder(log_dir, "GradientInspector", "log_dir")
        self.histograms = histograms
        self.training = training
        self.hparams = checked_settings(hparams, "GradientInspector")
        self._heat_maps = HeatMaps()
        self._described = False
        self._writer: Any = None
        self._source: Any = None
        self._noise_scale = NoiseScale()
        self._looks = 0
        self._told: dict[str, str] | None = None
        self._compiled: Any = None
        self._offset = 0
        self._before = 0
        self._weights_before: list[Tensor] | None = None

    # -- what Keras calls ------------------------------------------------------------------------

    def on_train_begin(self, logs: Any = None) -> None:
        require_compiled(self.model, "GradientInspector")
        compiled = self._compiled_as()
        if self._compiled is not None and compiled != self._compiled:
            self._source = None  # other weights, another loss or optimizer: another graph
            if self._step() < self._before:  # a new optimizer counts from 0; the log counts on
                self._offset = self._before - int(self._step() - self._offset)
        self._compiled = compiled
        self._before, self._weights_before = self._step(), None
        if self._before == 0 and set_aside(self.log_dir):
            log.warning("%s held the log of an earlier run: it is kept as earlier.*", self.log_dir)
        last = drop_events_after(self.log_dir, self._before)
        self._heat_maps, self._described = HeatMaps.of_log(self.log_dir), last is not None
        self._writer = TensorBoardWriter(self.log_dir)
        if self._source is None:
            self._source = self._new_source()
        if self.probe and self._before % self.schedule.steps == 0 and last != self._before:
            self.look()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        soonest = self._before + self.model.steps_per_execution
        if self.schedule.is_due(soonest, self._before):
            self._weights_before = [tf.identity(w.value) for w in self.model.trainable_variables]
            if self.probe is None:
                self.model.measure_next_step()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = self._step()
        if self.schedule.is_due(step, self._before):
            self.look()
        self._before, self._weights_before = step, None

    def on_train_end(self, logs: Any = None) -> None:
        if self._writer is not None:
            self._heat_maps.draw(self._writer)
            self._writer.close()

    # -- one look --------------------------------------------------------------------------------

    def _new_source(self) -> ProbePass | TrainingBatches:
        if self.probe is None:
            return TrainingBatches(self.model, self.histograms)
        return ProbePass(self.model, self.probe, self.training, self.histograms)

    def look(self) -> None:
        """Measure the probe batch now, or read the last step's measures; write them at this step."""
        measured = self._source()
        if measured is None:
            return
        scalars = measured.scalars | self._update_ratios() | self._noise_scale_of(measured)
        scalars["optimizer/learning_rate"] = float(
            keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        )
        step = self._step()
        written = {tag: value for tag, value in scalars.items() if self._says_something(tag, value)}
        self._writer.numbers(step, written, measured.series, measured.histograms)
        self._tell(step, Measured(self.model, scalars, measured.series))
        self._heat_maps.look(self._writer, step, measured.series)
        self._describe_once(step, written)
        self._writer.flush()  # a crash keeps all that was seen before it
        self._looks += 1

    def _says_something(self, tag: str, value: float) -> bool:
        """No angle to a look that was not, no first step where all are finite."""
        if tag.endswith(FIRST_NOT_FINITE_STEP):
            return not math.isnan(value)
        return self._looks > 0 or not tag.endswith("angle_to_last_look")

    def _tell(self, step: int, measured: Measured) -> None:
        """The verdict in words: as a text when it is another than before, new alarms in the log too."""
        verdict = {finding.measure: str(finding) for finding in findings_of(measured)}
        told = self._told or {}
        for measure in verdict.keys() - told.keys():
            log.warning("step %s: %s", step, verdict[measure])
        if self._told is None or verdict.keys() != told.keys():
            lines = [f"- {line}" for line in verdict.values()] or [NOTHING_WRONG]
            self._writer.text(step, "verdict", "\n".join(lines))
        self._told = verdict

    def _describe_once(self, step: int, written: Mapping[str, float]) -> None:
        """Settings, layout and graph, at the first look of a log."""
        if not self._described:
            settings, inputs = {"every": self.schedule.steps, **self.hparams}, None
            if self.probe is not None:
                settings["probe batch"] = size_of_batch(self.probe)
                inputs = self._source.probe[0]
            run = os.fspath(self.log_dir)
            describe_run(self._writer, step, run, self.model, written, settings, inputs)
            self._described = True

    def _update_ratios(self) -> dict[str, float]:
        """By weight: how far a training step moved it; of several in one execution, their mean."""
        if self._weights_before is None:
            return {}
        steps = max(1, self._step() - self._before)
        ratios = update_ratios(self.model, self._weights_before)
        return {tag: ratio / steps for tag, ratio in ratios.items()}

    def _noise_scale_of(self, measured: Measurements) -> dict[str, float]:
        if self._looks % LOOKS_BETWEEN_NOISE_SCALES:
            return {}
        pair = self._source.noise_and_signal(measured.scalars["all_weights/gradient_norm"])
        return {} if pair is None else {"all_weights/noise_scale": self._noise_scale.update(*pair)}

    def _step(self) -> int:
        return self._offset + int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))

    def _compiled_as(self) -> tuple[int, ...]:
        """What a look's graph is traced for: model, loss, optimizer and trainable weights."""
        model = self.model
        weights = (id(weight) for weight in model.trainable_variables)
        return (id(model), id(model._compile_loss), id(model.optimizer), *weights)
