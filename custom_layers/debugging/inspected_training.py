"""A model that measures its own training steps: the gradients that moved the weights, and no others.

    class Model(InspectedTraining, keras.Model): ...          # or keras.Sequential

    model = Model(inputs, outputs)
    model.compile("adam", "mse")
    model.fit(x, y, callbacks=[GradientInspector("tensorboard_logs/my_run", every=100)])   # no probe

There are two training functions. Steps that nobody looks at run the one that Keras makes, which holds
nothing of this. A step that is looked at runs the other one, which returns its measures beside Keras's
logs; they are taken out before Keras sees them. So nothing has to be written under XLA, there are no
variables that would become a part of the model, and series may be of any length.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.core.shape_check import require
from custom_layers.debugging.forward_pass import forward_pass
from custom_layers.debugging.hooks import hooked_quantities
from custom_layers.debugging.layer_outputs import tapped_outputs
from custom_layers.debugging.measurements import measure
from custom_layers.debugging.measures.clipped_norm import global_norm
from custom_layers.debugging.recorder import record
from custom_layers.debugging.replicas import number_of_replicas, of_all_replicas, one_per_replica
from custom_layers.debugging.step_state import put_back, variables_of_a_look

MEASURES = "measures of the inspected step"  # among the logs of a step; no metric is called so
LOOK_AT_A_PROBE = "Or look at a probe: GradientInspector(log_dir, probe=(x[:64], y[:64]))."


class InspectedTraining:
    """Mix-in for a keras.Model: `GradientInspector` without a probe looks at the training batches.

    It comes first among the bases, before keras.Model or keras.Sequential. Losses, weights, metrics and
    seeds are those of the plain model; only the steps that are looked at cost more.

    - With `steps_per_execution` above 1 the measures are of the last step of the execution.
    - A model that `fit` builds is built in its first step, which is not looked at.
    - Where XLA compiles the step, it would round otherwise with taps in between. There the same batch,
      weights and seeds are recorded in a pass of their own, compiled too; hooks cannot be called in it.
    - Under tf.distribute.MirroredStrategy all measures are of the whole batch. The gradients of the
      weights are summed over the replicas, as Keras applies them; gates, states and outputs are put
      together from all replicas: a look takes the memory of the whole batch's on each of them. Keras
      clips on each replica, before the sum: the norm after clipping is not written there.

    Differs from keras.Model: `train_step` is passed over in a step that is looked at, for one that does
    the same as Keras's. A base with a `train_step` of its own is refused; change `compute_loss` instead.
    """

    train_function: Any  # Keras's, of the class that this is mixed into
    jit_compile: Any
    _is_wanted = False
    _measures: Any = None
    _inspected_step: Any = None  # stands for Keras's step while the second function runs

    # -- what the inspector calls ----------------------------------------------------------------

    def measure_next_step(self) -> None:
        """Have the next call of the training function measured."""
        self._is_wanted = True

    def last_measures(self) -> dict[str, Any] | None:
        """What the last call measured, tensors: `Measurements` by field, and `replicas`, (replicas, 2).

        A row of `replicas` is the size of a replica's part of the batch, and the norm of all gradients
        that it computed of it. None if the last call was not measured.
        """
        return self._measures

    # -- what Keras calls ------------------------------------------------------------------------

    def make_train_function(self, force: bool = False) -> None:
        """Make the function that runs one of both."""
        if self.train_function is not None and not force:
            return
        plain = self._new_function()
        inspected: dict[Any, Callable] = {}  # by what has a hook: other hooks are another graph

        def train_function(iterator: Any) -> Any:
            is_wanted, self._is_wanted, self._measures = self._is_wanted, False, None
            if not (is_wanted and self.built):  # type: ignore[attr-defined]
                return plain(iterator)
            hooked = hooked_quantities(self)
            if hooked not in inspected:
                inspected.clear()
                require(
                    not (hooked and self.jit_compile),
                    "InspectedTraining",
                    "a hook cannot be called from what XLA compiles",
                    f"jit_compile={self.jit_compile}",
                    f"Call model.compile(..., jit_compile=False). {LOOK_AT_A_PROBE}",
                )
                inspected[hooked] = self._new_inspected_function()
            logs = inspected[hooked](iterator)
            self._measures = logs.pop(MEASURES)
            return logs

        self.train_function = train_function

    def train_step(self, data: Any) -> dict[str, Any]:
        """One step, Keras's own; recorded and measured where it is looked at."""
        step = self._inspected_step or super().train_step  # type: ignore[misc]
        return step(data)

    # -- both functions --------------------------------------------------------------------------

    def _new_function(self) -> Callable:
        before = self.train_function
        super().make_train_function(force=True)  # type: ignore[misc]
        new, self.train_function = self.train_function, before
        return new

    def _new_inspected_function(self) -> Callable:
        compiled, self.jit_compile = self.jit_compile, False
        function = self._new_function()
        self.jit_compile = compiled
        step = partial(_recorded_step, self)
        if compiled:
            measures, own = (
                tf.function(part, jit_compile=True, autograph=False)
                for part in (partial(_measures_of, self), super().train_step)  # type: ignore[misc]
            )
            step = partial(_measured_before, self, measures, own)

        def inspected(iterator: Any) -> Any:
            self._inspected_step = step
            try:
                # Around all replicas, which run in threads of their own and share the layers.
                with tapped_outputs(self):
                    return function(iterator)
            finally:
                self._inspected_step = None

        return inspected


class _Recorded(NamedTuple):
    loss: Tensor
    y_pred: Any
    gradients: list[Tensor | None]
    measures: dict[str, Any]


def _recorded_step(model: Any, data: Any) -> dict[str, Any]:
    """Keras's `TensorFlowTrainer.train_step`, and the private names that it uses, while recording."""
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    recorded = _record(model, x, y, sample_weight)
    loss, replicas = recorded.loss, number_of_replicas()
    if replicas > 1:
        loss = loss * tf.cast(replicas, loss.dtype)  # Keras has divided it
    model._loss_tracker.update_state(loss, sample_weight=_size_of_batch(x))
    weights = model.trainable_weights
    if weights:
        model.optimizer.apply_gradients(zip(recorded.gradients, weights, strict=True))
    logs = model.compute_metrics(x, y, recorded.y_pred, sample_weight=sample_weight)
    return {**logs, MEASURES: recorded.measures}


def _measured_before(
    model: Any, measures_of: Callable, step: Callable, data: Any
) -> dict[str, Any]:
    """A step as it is, after a recorded pass of the same batch."""
    with put_back(model, variables_of_a_look(model)):
        measures = measures_of(data)
    return {**step(data), MEASURES: measures}


def _measures_of(model: Any, data: Any) -> dict[str, Any]:
    return _record(model, *keras.utils.unpack_x_y_sample_weight(data)).measures


def _record(model: Any, x: Any, y: Any, sample_weight: Any) -> _Recorded:
    with (
        record(model, outputs=False) as trace,
        tf.GradientTape() as tape,
    ):  # outputs: tapped already
        y_pred = forward_pass(model, x)
        loss = model._compute_loss(
            x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True
        )
        scaled = model.optimizer.scale_loss(loss)
    scale = tf.cast(model.optimizer.scale_loss(tf.ones((), "float32")), "float32")
    recording = trace.read(tape, scaled)
    whole = of_all_replicas(recording)
    # Keras clips on each replica, before the sum: what is left of the sum by clipping, nobody uses.
    clips = model.optimizer if number_of_replicas() == 1 else None
    measured = measure(whole, scale, clips)
    scalars = {"loss/batch": tf.cast(whole.loss, "float32") / scale, **measured.scalars}
    gradients = list(recording.weights.values())
    own = global_norm([tf.convert_to_tensor(g) for g in gradients if g is not None]) / scale
    replicas = one_per_replica(tf.stack([tf.cast(_size_of_batch(x), "float32"), own]))
    measures = measured._asdict() | {"scalars": scalars, "replicas": replicas}
    return _Recorded(loss, y_pred, gradients, measures)


def _size_of_batch(x: Any) -> Tensor:
    return tf.shape(next(leaf for leaf in keras.tree.flatten(x) if leaf is not None))[0]


def refuse_what_cannot_be_inspected(model: Any) -> None:
    """Raise a ValueError of a model whose own training steps cannot be measured."""
    require(
        isinstance(model, InspectedTraining)
        and type(model).make_train_function is InspectedTraining.make_train_function,
        "GradientInspector",
        "without `probe` it needs a model that measures its own training steps",
        f"model={model.name!r}, a {type(model).__name__}",
        "Begin the model's bases with InspectedTraining, class Model(InspectedTraining, keras.Model), "
        "or give a batch: probe=(x[:64], y[:64]).",
    )
    steps = [vars(base)["train_step"] for base in type(model).__mro__ if "train_step" in vars(base)]
    own = [step for step in steps if step is not InspectedTraining.train_step]
    require(
        own[0] is keras.Model.train_step,
        "InspectedTraining",
        "a `train_step` besides Keras's would be passed over",
        own[0].__qualname__,
        f"Change `compute_loss` instead. {LOOK_AT_A_PROBE}",
    )
    strategy = model.distribute_strategy
    require(
        not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        and not (model.jit_compile and strategy.num_replicas_in_sync > 1),
        "InspectedTraining",
        "the replicas must share one process, and a step that XLA compiles must be of one replica",
        f"{type(strategy).__name__}, jit_compile={model.jit_compile}",
        LOOK_AT_A_PROBE,
    )
