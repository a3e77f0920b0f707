"""Ask one batch what is wrong with a model: one line for each layer, the worst first."""

from typing import Any

import keras
import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.debugging.findings import Finding, Measured, findings_of
from custom_layers.debugging.forward_pass import require_compiled
from custom_layers.debugging.measurements import update_ratios
from custom_layers.debugging.measures.spectral_radius import spectral_radius
from custom_layers.debugging.probe_pass import ProbePass, checked_probe
from custom_layers.debugging.recorder import names_of_weights
from custom_layers.debugging.step_state import put_back

TRIAL_STEPS = 3


class Explanation:
    """What `explain_gradients` found; printed, it is one line for each layer, the worst first.

    Attributes:
        findings: what is wrong, the worst first. Empty for a healthy model.
        norms: the gradient's norm over all weights of a layer, by the layer's path.
        scalars: all measures by tag, as in TensorBoard.
    """

    def __init__(self, measured: Measured) -> None:
        self.findings: list[Finding] = findings_of(measured)
        self.norms = measured.norms_by_layer()
        self.scalars = dict(measured.scalars)

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def of(self, layer: str) -> list[Finding]:
        """What is wrong with one layer; "" is the model as a whole."""
        return [finding for finding in self.findings if finding.layer == layer]

    def lines(self) -> list[str]:
        """One line for each layer, the worst first."""
        places = list(dict.fromkeys(finding.layer for finding in self.findings))
        lines = ["; ".join(map(str, self.of(place))) for place in places]
        fine = [layer for layer in self.norms if layer not in places]
        return lines + [f"{layer}: fine (|gradient| = {self.norms[layer]:.3g})" for layer in fine]

    def __repr__(self) -> str:
        return "\n".join(self.lines())


def explain_gradients(
    model: keras.Model,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    training: bool = True,
) -> Explanation:
    """Say in words what the gradients of one batch show, and what to try.

    Takes three training steps on the batch as well, to see how far they move the weights and whether
    the loss falls, and puts everything back. The measures are those that `GradientInspector` writes.

        print(explain_gradients(model, x[:64], y[:64]))

    Args:
        model: compiled; built here if it is not yet.
        x, y, sample_weight: one batch, as `fit` would see it.
        training: whether the model runs as in training, with dropout.

    Raises:
        ValueError: a model that is not compiled, ragged inputs, or an empty batch.
    """
    require_compiled(model, "explain_gradients")
    probe = (x, y) if sample_weight is None else (x, y, sample_weight)
    return explain_look(ProbePass(model, checked_probe(probe, "explain_gradients"), training))


def explain_look(look: ProbePass) -> Explanation:
    """The same for a probe pass that is there already: called again, it traces nothing again."""
    model, first = look.model, look()
    scalars = first.scalars | _spectral_radii(model)
    if first.gradients:
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        with put_back(model, [*model.trainable_variables, *model.optimizer.variables]):
            scalars |= _trial(model, look, first.gradients, scalars["loss/probe"])
    return Explanation(Measured(model, scalars, first.series))


def _trial(
    model: keras.Model, look: ProbePass, gradients: dict[str, Tensor], loss: float
) -> dict[str, float]:
    """What a few training steps on the batch do: how far the first moves each weight; the loss."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    names, weights = names_of_weights(model), model.trainable_variables
    before = [tf.identity(weight.value) for weight in weights]
    ratios: dict[str, float] = {}
    for _ in range(TRIAL_STEPS * (optimizer.gradient_accumulation_steps or 1)):
        reached = [i for i, name in enumerate(names) if name in gradients]
        optimizer.apply(
            [tf.cast(gradients[names[i]], weights[i].dtype) for i in reached],
            [weights[i] for i in reached],
        )
        if not any(ratio > 0 for ratio in ratios.values()):  # accumulated gradients wait
            ratios = update_ratios(model, before)
        after = look()
        gradients = after.gradients
    growth = 1 + (after.scalars["loss/probe"] - loss) / abs(loss) if loss else 1.0
    return {**ratios, "loss/growth_in_trial": growth}


def _spectral_radii(model: keras.Model) -> dict[str, float]:
    """Of the recurrent kernels without gates: those of a gated cell multiply no state by themselves."""
    weights = zip(names_of_weights(model), model.trainable_variables, strict=True)
    return {
        f"{name}/spectral_radius": spectral_radius(keras.ops.convert_to_numpy(weight))
        for name, weight in weights
        if name.endswith("recurrent_kernel") and tuple(weight.shape) == 2 * tuple(weight.shape)[:1]
    }
