"""A callback that stops a training at the first NaN or inf, says where it began, and keeps the evidence.

    guard = NaNGuard("nan_reports/my_run")
    model.fit(x, y, callbacks=[guard])

    NaNFound: NaNGuard: step 1,234 (epoch 3, batch 46): NaN in the activation `encoder/gru/h` at time
    step 7, batch row 3 (12 of 480 entries), finite up to `encoder/embedding/output`. ...

Keras shows a callback no batch. So the guard takes the place of `model.train_function` for one call at
a time: it draws the batch, reads what the step will change, runs Keras's own compiled step on the batch,
and asks whether loss and weights are finite. The numbers of the training are those without a guard.
"""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.core.shape_check import require, require_positive_integer
from custom_layers.debugging.forward_pass import require_compiled
from custom_layers.debugging.log_folder import writable_folder
from custom_layers.debugging.nan_report import find_in_step, replay_line, write_report
from custom_layers.debugging.not_finite import (
    NotFinite,
    batch_not_finite,
    mean_loss_not_finite,
    weights_not_finite,
)
from custom_layers.debugging.step_state import StepState, read, variables_of_a_step


class NaNFound(FloatingPointError):
    """Training has met a NaN or inf.

    Attributes:
        finding: where it began.
        folder: what was kept of the step, for `replay`.
    """

    def __init__(self, message: str, finding: NotFinite, folder: pathlib.Path) -> None:
        super().__init__(message)
        self.finding = finding
        self.folder = folder


class NaNGuard(keras.callbacks.Callback):
    """Stop at the first training step that gives a NaN or inf, and say where in the step it began.

    After each step the loss and every weight are looked at. If one is not finite, all that the step
    changed is put back, so that the model is the last good one; the step runs once more, eagerly and
    under `record`, to find the first tensor that is not finite; batch, weights, optimizer and seeds are
    written for `replay`. The steps of one execution (`steps_per_execution`) run and are looked at one by
    one. A gradient that the optimizer leaves out for being inf (`LossScaleOptimizer`, mixed_float16) is
    no fault. A `train_step` of the user's own is guarded too; the look into the step is then one into
    Keras's, model(x, training=True) and model.compute_loss.

    What it costs, beside the second step after a find: one copy of all that the step changes, and one
    look at each weight.

    Args:
        folder: where to write; each find has a folder of its own in it, `step_1234`.
        raise_error: raise `NaNFound`, so that a script fails. If False the message is printed and
            `model.stop_training` set, as `keras.callbacks.TerminateOnNaN` does.
        inside_every: also look at every activation and gradient of each so many-th step, before it is
            taken, and stop at one that is not finite though loss and weights are: it was clipped or
            masked away. Such a look is a forward and backward pass more. None: never.

    Attributes:
        finding: where it began; None as long as all is finite.

    Raises:
        ValueError: a `folder` that is a file or cannot be written; `inside_every` below 1; a backend
            that is not TensorFlow; at the start of training, a model that is not compiled, or that
            trains on several devices.
        NaNFound: in training, see `raise_error`.

    Differs from keras.callbacks.TerminateOnNaN, which sees the loss alone, when the weights are lost.
    """

    def __init__(
        self,
        folder: str | os.PathLike,
        raise_error: bool = True,
        inside_every: int | None = None,
    ) -> None:
        super().__init__()
        require(
            keras.backend.backend() == "tensorflow",
            "NaNGuard",
            "the backend must be TensorFlow, whose training function it watches",
            f"keras.backend.backend()={keras.backend.backend()!r}",
            "Set KERAS_BACKEND=tensorflow before Keras is imported.",
        )
        if inside_every is not None:
            inside_every = require_positive_integer(
                inside_every, owner="NaNGuard", name="inside_every"
            )
        self.folder = writable_folder(folder, "NaNGuard", "folder")
        self.raise_error = raise_error
        self.inside_every = inside_every
        self.finding: NotFinite | None = None
        self._train_function: Any = None
        self._functions: Any = None
        self._numbers = {"step": 0, "epoch": 0, "batch": 0}

    # -- what Keras calls ------------------------------------------------------------------------

    def on_train_begin(self, logs: Any = None) -> None:
        model = self.model
        require_compiled(model, "NaNGuard")
        replicas = model.distribute_strategy.num_replicas_in_sync
        require(
            replicas == 1,
            "NaNGuard",
            "it watches a training on one device",
            f"{type(model.distribute_strategy).__name__} with {replicas} devices",
            "Train without the strategy to look for the NaN, or use keras.callbacks.TerminateOnNaN.",
        )
        self.finding = None
        self._functions = None
        self._numbers["step"] = int(model.optimizer.iterations)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._numbers["epoch"] = epoch + 1

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Take the place of the training function for the one call that follows."""
        self._numbers["batch"] = batch
        if self.model.train_function != self._guarded:
            self._train_function = self.model.train_function
            self.model.train_function = self._guarded

    # -- one execution ---------------------------------------------------------------------------

    def _guarded(self, iterator: Any) -> Any:
        """What Keras's training function does with an iterator over batches, one step at a time."""
        self.model.train_function = self._train_function
        logs = None
        for _ in range(self.model.steps_per_execution):
            batch = None if self.finding else next(iterator, None)
            if batch is None:
                break
            self._numbers["step"] += 1
            self._numbers["batch"] += 1
            logs = self._step(batch, getattr(iterator, "element_spec", None))
        if logs is None:
            raise StopIteration  # Keras: the data has ended
        return logs

    def _step(self, batch: Any, spec: Any) -> Any:
        functions = self._functions
        if functions is None or functions.spec != spec or self.model.run_eagerly:
            functions = self._functions = _Functions(self.model, self._train_function, batch, spec)
        before = StepState(functions.variables, functions.read())
        if self.inside_every and self._numbers["step"] % self.inside_every == 0:
            findings, why_not = find_in_step(self.model, batch)
            before.restore()
            if why_not:
                raise ValueError(f"NaNGuard: {why_not} Leave `inside_every` at None.")
            if findings:
                self._stop(batch, findings)
                return self.model.get_metrics_result()
        logs = functions.step(batch)
        loss = logs.get("loss", 0.0) if isinstance(logs, dict) else 0.0
        if not functions.all_finite(tf.cast(loss, "float64")):
            seen = weights_not_finite(self.model, "after the step") + mean_loss_not_finite(logs)
            before.restore()
            findings, why_not = find_in_step(self.model, batch)
            before.restore()
            self._stop(batch, findings or seen, why_not)
        return logs

    # -- a find ----------------------------------------------------------------------------------

    def _stop(self, batch: Any, findings: list[NotFinite], why_not: str = "") -> None:
        self.finding = findings[0]
        folder = self._new_folder()
        numbers = self._numbers
        try:
            write_report(folder, self.model, batch, numbers, findings)
            kept = f"Kept in {folder}. Replay: {replay_line(folder)}"
        except (OSError, ValueError) as error:
            kept = f"Not all of the step could be kept in {folder}: {error}"
        held = [f"The batch holds it already: {line}." for line in batch_not_finite(batch)]
        at = f"step {numbers['step']:,} (epoch {numbers['epoch']}, batch {numbers['batch']})"
        sentences = [f"NaNGuard: {at}: {self.finding}.", *held, why_not]
        sentences += ["The model is as it was before this step.", kept]
        message = " ".join(sentence for sentence in sentences if sentence)
        if self.raise_error:
            raise NaNFound(message, self.finding, folder)
        print(message)
        self.model.stop_training = True

    def _new_folder(self) -> pathlib.Path:
        """`step_1234`, or `step_1234_2` if an earlier run has written it."""
        name = f"step_{self._numbers['step']}"
        folder, count = self.folder / name, 1
        while folder.exists():
            count += 1
            folder = self.folder / f"{name}_{count}"
        return folder


class _Functions:
    """What runs in each step, made once the variables are there.

    Args:
        model: compiled.
        train_function: Keras's, of an iterator.
        batch: the first batch.
        spec: shapes and dtypes of all batches, None if they are not known.
    """

    def __init__(self, model: keras.Model, train_function: Any, batch: Any, spec: Any) -> None:
        self.spec = spec

        def step(batch: Any) -> Any:
            return train_function(iter([batch]))

        if model.run_eagerly or spec is None:
            self.step: Callable = step
            _build(model, batch)
        else:
            # Traced for all batches at once, as Keras does: a batch alone would fix the batch size,
            # and another graph may round in another way. Tracing makes all variables and runs nothing.
            self.step = tf.function(step, autograph=False).get_concrete_function(spec)
        self.variables = variables_of_a_step(model)
        weights = [w for w in model.weights if keras.backend.is_float_dtype(w.dtype)]

        def all_finite(loss: Tensor) -> Tensor:
            tensors = [loss, *(weight.value for weight in weights)]
            return tf.reduce_all([tf.reduce_all(tf.math.is_finite(tensor)) for tensor in tensors])

        def values() -> list[Tensor]:
            return read(self.variables)

        self.read: Callable = values
        self.all_finite: Callable = all_finite
        if not model.run_eagerly:
            any_loss = tf.TensorSpec(None, "float64")
            self.read = tf.function(values).get_concrete_function()
            self.all_finite = tf.function(all_finite).get_concrete_function(any_loss)


def _build(model: keras.Model, batch: Any) -> None:
    x, *_ = keras.utils.unpack_x_y_sample_weight(batch)
    if not model.built:
        model(x)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
