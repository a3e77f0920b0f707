"""What a model's own training steps measured, in the form in which `ProbePass` gives a probe's."""

from typing import Any

import numpy as np
import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.debugging.inspected_training import refuse_what_cannot_be_inspected
from custom_layers.debugging.measurements import Measurements, angles, histograms_of
from custom_layers.debugging.measures.noise_scale import noise_and_signal


class TrainingBatches:
    """Measures of the last training step. Made once, called as often as one looks.

    Args:
        model: an `InspectedTraining`, compiled.
        histograms: whether to count the weights' gradients into buckets.

    Raises:
        ValueError: the model's training steps cannot be measured.
    """

    def __init__(self, model: Any, histograms: bool = False) -> None:
        refuse_what_cannot_be_inspected(model)
        self.model = model
        self.histograms = histograms
        self._replicas = np.zeros((0, 2))
        self._last_gradients: dict[str, Tensor] = {}

    def __call__(self) -> Measurements | None:
        """The measures as NumPy has them; None if the last step was not measured."""
        measured = self.model.last_measures()
        if measured is None:
            return None
        self._replicas = measured["replicas"].numpy()
        gradients = measured["gradients"]
        # At the first look there is no last one, and the inspector writes no angle.
        last = {path: self._last_gradients.get(path, g) for path, g in gradients.items()}
        self._last_gradients = self._last_gradients | gradients
        turned, histograms = _of_gradients(gradients, last, self.histograms)
        return Measurements(
            {tag: float(value) for tag, value in (measured["scalars"] | turned).items()},
            {tag: values.numpy() for tag, values in measured["series"].items()},
            {tag: rows.numpy() for tag, rows in histograms.items()},
            gradients,
        )

    def noise_and_signal(self, gradient_norm: float) -> tuple[float, float] | None:
        """See `measures/noise_scale.py`: of each replica's part of the batch, and of all of it.

        None of one replica, for which half of the batch would have to be differentiated once more, and
        of parts of unequal size.

        Args:
            gradient_norm: of all weights together, on the whole batch.
        """
        sizes, norms = self._replicas.T
        count = len(sizes)
        if count < 2 or len(set(sizes)) > 1:
            return None
        small_norm = count * float(np.sqrt(np.mean(norms**2)))  # Keras divides by the replicas
        small = int(sizes[0])
        return noise_and_signal(small_norm, gradient_norm, small, small * count)


@tf.function(reduce_retracing=True, autograph=False)
def _of_gradients(
    gradients: dict[str, Tensor], last: dict[str, Tensor], histograms: bool
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    return angles(gradients, last), histograms_of(gradients) if histograms else {}
