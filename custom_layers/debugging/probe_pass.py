"""One forward and backward pass of a probe batch, which leaves the model as it found it."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.core.shape_check import require
from custom_layers.debugging.forward_pass import forward_pass, loss_of
from custom_layers.debugging.hooks import hooked_quantities
from custom_layers.debugging.layer_outputs import layers_with_an_output
from custom_layers.debugging.measurements import Measurements, measure
from custom_layers.debugging.measures.clipped_norm import global_norm
from custom_layers.debugging.measures.noise_scale import noise_and_signal
from custom_layers.debugging.recorder import Recording, names_of_weights, record
from custom_layers.debugging.step_state import put_back, variables_of_a_look


def checked_probe(probe: Any, owner: str) -> tuple[Any, ...]:
    """The probe as a tuple of two or three.

    Raises:
        ValueError: it is none, is empty, or holds ragged tensors.
    """
    require(
        isinstance(probe, (tuple, list)) and len(probe) in (2, 3),
        owner,
        "`probe` must be (x, y) or (x, y, sample_weight)",
        type(probe).__name__,
        "Take a batch of the data: probe=(x[:64], y[:64]).",
    )
    for leaf in keras.tree.flatten(probe):
        require(
            not isinstance(leaf, (tf.RaggedTensor, tf.SparseTensor)),
            owner,
            "`probe` must hold dense tensors",
            type(leaf).__name__,
            "Fill up with zeros, ragged.to_tensor(), and mask these steps with a Masking layer.",
        )
    require(
        size_of_batch(probe) > 0,
        owner,
        "`probe` must hold an example",
        "a batch of 0",
        "Take a batch of the data: probe=(x[:64], y[:64]).",
    )
    return tuple(probe)


def size_of_batch(probe: Any) -> int:
    """Number of examples."""
    leaf = next(leaf for leaf in keras.tree.flatten(probe[0]) if leaf is not None)
    return int(np.shape(leaf)[0])


class ProbePass:
    """Measure a probe batch. Made once, called as often as one looks.

    Seed generators, moving averages and metrics are put back after each pass.

    Args:
        model: compiled; built here if it is not yet.
        probe: (x, y) or (x, y, sample_weight), dense.
        training: whether the model runs as in training, with dropout.
        histograms: whether to count the weights' gradients into buckets.
    """

    def __init__(
        self,
        model: keras.Model,
        probe: tuple[Any, ...],
        training: bool = True,
        histograms: bool = False,
    ) -> None:
        self.model = model
        self.size = size_of_batch(probe)
        # Tensors are handed to a graph as they are, where arrays would become constants within it.
        self.probe = keras.tree.map_structure(
            lambda leaf: None if leaf is None else tf.convert_to_tensor(leaf), probe
        )
        self.training = training
        self.histograms = histograms
        self._hooked: Any = None
        self._pass: Any = None
        self._tags: list[str] = []
        self._half_pass = tf.function(self._norm_of_half, autograph=False)
        if not model.built:
            with put_back(model, variables_of_a_look(model)):
                model(self.probe[0])
        if isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer):
            model.optimizer.build(model.trainable_variables)  # before, its scale is a constant
        self._last_gradients: dict[str, Tensor] = {
            name: tf.zeros(weight.shape)
            for name, weight in zip(names_of_weights(model), model.trainable_variables, strict=True)
        }

    def __call__(self) -> Measurements:
        """The measures as they are now; scalars, series and histograms as NumPy has them."""
        hooked = hooked_quantities(self.model)
        if self._pass is None or hooked != self._hooked:
            self._pass, self._hooked = tf.function(self._measure, autograph=False), hooked
        with put_back(self.model, variables_of_a_look(self.model)):
            scalars, series, histograms, gradients = self._pass(self._last_gradients)
        self._last_gradients = self._last_gradients | gradients
        return Measurements(
            dict(zip(self._tags, scalars.numpy().tolist(), strict=True)),
            {tag: values.numpy() for tag, values in series.items()},
            {tag: rows.numpy() for tag, rows in histograms.items()},
            gradients,
        )

    def noise_and_signal(self, gradient_norm: float) -> tuple[float, float] | None:
        """See `measures/noise_scale.py`; None where half of the probe cannot be run.

        Args:
            gradient_norm: of all weights together, on the whole probe.
        """
        if self.size < 2 or _has_a_fixed_batch_size(self.model):
            return None
        with put_back(self.model, variables_of_a_look(self.model)):
            half_norm = float(self._half_pass())
        return noise_and_signal(half_norm, gradient_norm, self.size // 2, self.size)

    def _measure(self, last_gradients: dict[str, Tensor]) -> tuple[Any, ...]:
        recording, scale = self._record(self.probe)
        measured = measure(recording, scale, self.model.optimizer, last_gradients, self.histograms)
        scalars = {"loss/probe": tf.cast(recording.loss, "float32") / scale, **measured.scalars}
        self._tags = list(scalars)
        together = tf.stack([tf.cast(value, "float32") for value in scalars.values()])
        return together, measured.series, measured.histograms, measured.gradients

    def _norm_of_half(self) -> Tensor:
        half = self.size // 2
        probe = keras.tree.map_structure(
            lambda leaf: None if leaf is None else leaf[:half], self.probe
        )
        recording, scale = self._record(probe)
        reached = [g for g in recording.weights.values() if g is not None]
        return global_norm([tf.convert_to_tensor(g) for g in reached]) / scale

    def _record(self, probe: Any) -> tuple[Recording, Tensor | float]:
        """The probe's recording, and what its gradients are too large by: 1 but in float16."""
        model, (x, y, *weight) = self.model, probe
        with record(model) as trace, tf.GradientTape() as tape:
            prediction = forward_pass(model, x, self.training)
            given = weight[0] if weight else None
            loss = loss_of(model, x, y, prediction, given, self.training)
            scaled = model.optimizer.scale_loss(loss)
        return trace.read(tape, scaled), model.optimizer.scale_loss(1.0)


def _has_a_fixed_batch_size(model: keras.Model) -> bool:
    inputs = keras.tree.flatten(getattr(model, "inputs", None) or [])
    layers = layers_with_an_output(model)
    fixed = any(tensor.shape and tensor.shape[0] is not None for tensor in inputs)
    return fixed or any(getattr(layer, "stateful", False) for layer in layers)
