"""Train one translator with `keras.Model.fit`: a callback keeps the record and the checkpoints."""

import sys
import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from custom_layers.comparison import ComparisonReport
from custom_layers.comparison.checkpoint import (
    last_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from custom_layers.comparison.record import Record
from custom_layers.comparison.report import versions
from custom_layers.comparison.step_timing import is_timed


class RunRecorder(keras.callbacks.Callback):
    """Write losses to TensorBoard and checkpoints to a folder, and keep the curves.

    Tags, steps and checkpoints are those of a comparison, so that the charts of both overlay.

    Args:
        record: Record with one name, to be filled.
        log_dir: folder of the TensorBoard run.
        checkpoint_dir: folder of the checkpoints.
        checkpoint_every: int >= 1, steps between two checkpoints.
        steps: int, number of the last step.
    """

    def __init__(
        self, record: Record, log_dir: Path, checkpoint_dir: Path, checkpoint_every: int, steps: int
    ) -> None:
        super().__init__()
        self.record = record
        self.name = record.names[0]
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_every = checkpoint_every
        self.steps = steps
        self.first_step = record.step
        self.writer = tf.summary.create_file_writer(str(log_dir))
        self.begun = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.model.reset_metrics()  # each step reports its own batch, no running mean
        self.begun = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        seconds = time.perf_counter() - self.begun
        loss = float((logs or {})["loss"])
        step = self.record.step
        self.record.losses[self.name].append(loss)
        self.record.tracing_seconds.setdefault(self.name, seconds)
        timed = step != self.first_step and is_timed(step, self.steps)
        self.record.seconds[self.name].append(seconds if timed else None)
        self.record.step += 1
        self._scalars({"loss": loss})
        if self.record.step % self.checkpoint_every == 0 or self.record.step == self.steps:
            save_checkpoint(self.checkpoint_dir, {self.name: self.model}, self.record)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        values = {
            key.removeprefix("val_"): float(value)
            for key, value in (logs or {}).items()
            if key.startswith("val_")
        }
        self.record.held_out_curve.append((self.record.step, {self.name: values}))
        self._scalars({f"held_out/{key}": value for key, value in values.items()})
        self.writer.flush()

    def _scalars(self, values: dict[str, float]) -> None:
        with self.writer.as_default(self.record.step):
            for tag, value in values.items():
                tf.summary.scalar(tag, value)


def epochs_for(steps: int) -> int:
    """Looks at the held-out pairs during `steps` steps: the divisor of `steps` nearest below 10."""
    return next(count for count in range(10, 0, -1) if steps % count == 0)


def train_alone(
    name: str,
    build_model: Any,
    data: Any,
    *,
    steps: int,
    seed: int,
    log_dir: Path,
    checkpoint_every: int,
    inspectors: list[keras.callbacks.Callback] | None = None,
    resume: bool = False,
    metrics: dict[str, Any] | None = None,
) -> ComparisonReport:
    """Train the translator that `build_model()` returns, `steps` steps by `keras.Model.fit`.

    Args:
        name: "builtin" or "custom", the run's name in TensorBoard and in the report.
        data: TranslationData.
        inspectors: further callbacks.
        resume: go on from the last checkpoint in `log_dir`/checkpoints/`name`, if there is one.
        metrics: further numbers of the trained translator, by name.

    Returns: a report of one model; `report.models[name]` is the translator.

    Raises: ValueError when the checkpoint is beyond `steps` or of another model.
    """
    keras.utils.set_random_seed(seed)
    folder = log_dir / "checkpoints" / name
    found = last_checkpoint(folder) if resume else None
    model, record = build_model(), Record([name], seed)
    if found is not None:
        model.optimizer.build(model.trainable_variables)  # whose state is in the checkpoint, too
        record = load_checkpoint(found, {name: model})
        print(f"train: going on from step {record.step}, {found}", flush=True)
    if record.step > steps:
        raise ValueError(
            f"train: the checkpoint {found} is beyond the last step. Received: steps={steps}. "
            f"Ask for more than {record.step} steps, or leave out --resume."
        )
    if record.step < steps:
        epochs = epochs_for(steps - record.step)
        recorder = RunRecorder(record, log_dir / name, folder, checkpoint_every, steps)
        model.fit(
            data.train.skip(record.step),
            epochs=epochs,
            steps_per_epoch=(steps - record.step) // epochs,
            validation_data=data.held_out,
            callbacks=[recorder, *(inspectors or [])],
            shuffle=False,  # the data are shuffled already, by the seed
            verbose=1 if sys.stdout.isatty() else 2,
        )
        recorder.writer.close()
    held_out = model.evaluate(data.held_out, verbose=0, return_dict=True)
    return ComparisonReport(
        record=record,
        parameters={name: model.count_params()},
        held_out={name: {key: float(value) for key, value in held_out.items()}},
        metrics={name: {key: metric(model) for key, metric in (metrics or {}).items()}},
        execution="graph, without XLA",
        versions=versions(),
        models={name: model},
    )
