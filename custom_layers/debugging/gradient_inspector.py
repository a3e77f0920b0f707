"""A callback that looks into a model while `fit` trains it, and writes what it sees for TensorBoard.

    inspector = GradientInspector("tensorboard_logs/my_run", probe=(x[:64], y[:64]), every=100)
    model.fit(x, y, callbacks=[inspector])

Keras hands a callback no batch. So the inspector has one of its own, the probe, on which it runs a
function of its own: the charts of one batch can be compared over the whole training, and the training
function stays as it is, node for node.
"""

import os
import pathlib
import tempfile
from typing import Any

import keras
import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.debugging.measures.gradient_statistics import gradient_statistics
from custom_layers.debugging.measures.vanishing_ratio import vanishing_ratio
from custom_layers.debugging.recorder import Recording, record
from custom_layers.debugging.schedules import Every


class GradientInspector(keras.callbacks.Callback):
    """Write the gradients of a probe batch to TensorBoard, every so many training steps.

    Of every model: each trainable weight's gradient (norm, mean, largest entry, share of zeros and of
    NaN or inf, histogram), the norm of all gradients together, and the loss. Of our layers also: the
    same of each gate before its activation, each state, and the attention scores and weights; and for
    each state the vanishing ratio |dL/dh_1| / |dL/dh_T|. A look leaves the model as it found it: seed
    generators, moving averages and metrics are put back.

    Args:
        log_dir: folder of the run; made if it is missing.
        probe: (x, y) or (x, y, sample_weight), one batch as `fit` would see it.
        every: look every so many training steps, and at step 0. int >= 1.
        histograms: whether to write the weights' gradients as histograms.
        training: whether the probe runs as in training, with dropout.

    Raises:
        ValueError: `every` below 1; a probe that is no such tuple; a `log_dir` that is a file or cannot
            be written; at the start of training, a model that is not compiled.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        probe: Any,
        every: int = 100,
        histograms: bool = True,
        training: bool = True,
    ) -> None:
        super().__init__()
        self.schedule = Every(every)
        if not isinstance(probe, (tuple, list)) or len(probe) not in (2, 3):
            raise ValueError(
                "GradientInspector: `probe` must be (x, y) or (x, y, sample_weight). Received: "
                f"{type(probe).__name__}. Take a batch of the data: probe=(x[:64], y[:64])."
            )
        self.probe = tuple(probe)
        self.log_dir = _writable_folder(log_dir)
        self.histograms = histograms
        self.training = training
        self._writer: Any = None
        self._look: Any = None
        self._before = 0

    # -- what Keras calls ------------------------------------------------------------------------

    def on_train_begin(self, logs: Any = None) -> None:
        if not getattr(self.model, "compiled", False):
            raise ValueError(
                f"GradientInspector: the model {self.model.name!r} is not compiled, and has no loss. "
                "Call model.compile(optimizer, loss) first."
            )
        self._writer = tf.summary.create_file_writer(str(self.log_dir))
        self._look = tf.function(self._measure)
        self._before = self._step()
        if self._before == 0:
            self.look()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = self._step()
        if self.schedule.is_due(step, self._before):
            self.look()
        self._before = step

    def on_train_end(self, logs: Any = None) -> None:
        if self._writer is not None:
            self._writer.close()

    # -- one look --------------------------------------------------------------------------------

    def look(self) -> None:
        """Measure the probe batch now, and write the measures at the optimizer's step."""
        model = self.model
        if not model.built:
            model(self.probe[0])
        kept = [*model.non_trainable_variables, *model.metrics_variables]
        values = [tf.identity(variable.value) for variable in kept]
        try:
            scalars, histograms = self._look()
        finally:
            for variable, value in zip(kept, values, strict=True):
                variable.assign(value)
        step = self._step()
        with self._writer.as_default():
            for tag, value in scalars.items():
                tf.summary.scalar(tag, value, step=step)
            for tag, value in histograms.items():
                tf.summary.histogram(tag, value, step=step)
        self._writer.flush()  # a crash keeps all that was seen before it

    def _step(self) -> int:
        return int(self.model.optimizer.iterations)

    def _measure(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        recording, scale = self._record()
        scalars = {"loss/probe": tf.cast(recording.loss, "float32") / scale}
        histograms, squares = {}, []
        for path, gradient in recording.weights.items():
            if gradient is None:  # the loss does not reach it: it has no chart
                continue
            gradient = tf.cast(tf.convert_to_tensor(gradient), "float32") / scale
            statistics = gradient_statistics(gradient)
            squares.append(tf.square(statistics["norm"]))
            scalars |= {f"{path}/gradient_{name}": value for name, value in statistics.items()}
            if self.histograms:
                histograms[f"{path}/gradient"] = gradient
        scalars["all_weights/gradient_norm"] = tf.sqrt(sum(squares, tf.constant(0.0)))
        for name, quantity in recording.items():
            gradient = tf.cast(quantity.gradient, "float32") / scale
            for measure, value in gradient_statistics(gradient).items():
                scalars[f"{name}/gradient_{measure}"] = value
            if name.rpartition("/")[2] in ("h", "c"):
                ratio = vanishing_ratio(gradient, quantity.mask, quantity.backwards)
                scalars[f"{name}/vanishing_ratio"] = tf.cast(ratio, "float32")
        return scalars, histograms

    def _record(self) -> tuple[Recording, Tensor]:
        """The probe's recording, and what its gradients are too large by: 1 but in float16."""
        model, (x, y, *weight) = self.model, self.probe
        with record(model) as trace, tf.GradientTape() as tape:
            prediction = model(x, training=self.training)
            loss = model.compute_loss(
                x=x,
                y=y,
                y_pred=prediction,
                sample_weight=weight[0] if weight else None,
                training=self.training,
            )
            scaled = model.optimizer.scale_loss(loss)
        scale = tf.cast(model.optimizer.scale_loss(tf.ones((), "float32")), "float32")
        return trace.read(tape, scaled), scale


def _writable_folder(log_dir: Any) -> pathlib.Path:
    folder = pathlib.Path(log_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            "GradientInspector: `log_dir` must be a folder that can be written. Received: "
            f"log_dir={str(log_dir)!r} ({error.strerror}). Choose another one."
        ) from None
    return folder
