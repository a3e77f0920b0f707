"""Everything that a training step changes, read before the step so that it can be put back after it.

Weights, moving averages, the states of random seeds, the optimizer's slots and the metrics. TensorFlow
copies nothing when a variable is read: the value shares the variable's memory until the next assignment,
which then writes elsewhere. A step under guard so costs one copy of what it changes, and no more.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from custom_layers.core.protocols import Tensor
from custom_layers.debugging.layer_outputs import layers_with_an_output

SEED_STATE = "seed_generator_state"  # the name Keras gives to the state of each SeedGenerator


class StepState(NamedTuple):
    """The variables that a training step changes, and their values at one time."""

    variables: list[Any]
    values: list[Tensor]

    def restore(self) -> None:
        """Give the variables these values."""
        for variable, value in zip(self.variables, self.values, strict=True):
            variable.assign(value)


def step_state(model: keras.Model) -> StepState:
    """The state as it is now."""
    variables = variables_of_a_step(model)
    return StepState(variables, read(variables))


def read(variables: list[Any]) -> list[Tensor]:
    """The values, which later assignments leave alone."""
    return [tf.identity(variable.value) for variable in variables]


def variables_of_a_step(model: keras.Model) -> list[Any]:
    """Each once: the model's, its metrics', and those of each optimizer that is an attribute of it."""
    optimizers = [
        item for item in vars(model).values() if isinstance(item, keras.optimizers.Optimizer)
    ]
    found = itertools.chain(
        model.variables,
        model.metrics_variables,
        kept_states(model),
        *(optimizer.variables for optimizer in optimizers),
    )
    return list({id(variable): variable for variable in found}.values())


def variables_of_a_look(model: keras.Model) -> list[Any]:
    """What a forward pass changes: moving averages, seeds, metrics, states that are kept."""
    return [*model.non_trainable_variables, *model.metrics_variables, *kept_states(model)]


@contextmanager
def put_back(model: keras.Model, variables: list[Any]) -> Iterator[None]:
    """Leave these variables of a model as they were before the block, on every replica."""
    kept = [
        on_a_replica  # each has its own part of a metric's sum
        for variable in variables
        for on_a_replica in model.distribute_strategy.experimental_local_results(variable.value)
    ]
    values = [tf.identity(variable) for variable in kept]
    try:
        yield
    finally:
        for variable, value in zip(kept, values, strict=True):
            variable.assign(value)


def kept_states(model: keras.Model) -> list[Any]:
    """What stateful recurrent layers keep from batch to batch; ours are no variables of the model."""
    layers = [layer for layer in layers_with_an_output(model) if getattr(layer, "stateful", False)]
    states = [keras.tree.flatten(getattr(layer, "states", None)) for layer in layers]
    return [state for of_layer in states for state in of_layer if state is not None]


def seed_states(model: keras.Model) -> list[Any]:
    """The states of random seeds, which no weights file holds, in the order of the layers."""
    return [variable for variable in model.variables if variable.name == SEED_STATE]
