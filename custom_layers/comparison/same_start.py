"""Models of one builder from several namespaces, made equal before the first step."""

from collections.abc import Callable, Mapping
from typing import Any

import keras

import custom_layers
from custom_layers.comparison.batches import Batch
from custom_layers.comparison.first_step import (
    gradient_differences,
    gradients_on,
    largest_difference,
    largest_entry,
    logits_on,
)
from custom_layers.comparison.layer_configs import custom_classes_inside, is_own
from custom_layers.comparison.model_state import copy_optimizer, copy_seed_states, copy_weights
from custom_layers.comparison.record import Record


def build_models(
    build_model: Callable[[Any], keras.Model],
    namespaces: Mapping[str, Any],
    batch: Batch,
    seed: int,
) -> dict[str, keras.Model]:
    """Build one model from each namespace; `batch` creates the weights.

    Raises: TypeError or ValueError when the builder returns something else than a new, compiled
        Keras model each time.
    """
    models: dict[str, keras.Model] = {}
    for name, layers in namespaces.items():
        keras.utils.set_random_seed(seed)
        model = build_model(layers)
        if not isinstance(model, keras.Model):
            raise TypeError(
                f"compare: `build_model` must return a keras.Model. Received for `{name}`: "
                f"{type(model).__name__}."
            )
        if not model.compiled:
            raise ValueError(
                f"compare: `build_model` must return a compiled model. Received for `{name}`: "
                f"`{model.name}` without optimizer and loss. Call its compile() in `build_model`."
            )
        if any(model is other for other in models.values()):
            raise ValueError(
                f"compare: `build_model` must build a new model each time. Received for `{name}` "
                "the same object as before."
            )
        model(batch.x, training=False)
        if layers is custom_layers and not any(map(is_own, custom_classes_inside(model).values())):
            raise ValueError(
                "compare: `build_model` must build from the namespace that it is given. Received "
                f"for `{name}`: `{model.name}` without any layer of custom_layers, so that Keras "
                "would be compared with itself. Write `layers.Dense`, not `keras.layers.Dense`."
            )
        models[name] = model
    return models


def start_alike(models: Mapping[str, keras.Model]) -> tuple[dict[str, int], list[str]]:
    """Give all models the weights, seed states, optimizer state and execution mode of the first.

    XLA is left out in all models when it would be used in some only, and all run eagerly when one
    has to.

    Returns: the number of seed generators of each model, and a sentence for each execution mode
        that had to be changed.
    Raises: ValueError, naming the weight, when models do not have the same variables in order.
    """
    reference, *others = models
    seeds = {reference: 0}
    for name in others:
        between = {"source_name": f"compare: {reference}", "target_name": name}
        copy_weights(models[reference], models[name], **between)
        copy_optimizer(models[reference], models[name], **between)
        seeds[reference], seeds[name] = copy_seed_states(models[reference], models[name])
    if not others:
        del seeds[reference]
    notes = []
    if len({model.run_eagerly for model in models.values()}) > 1:
        notes.append("Not all models were compiled with run_eagerly=True: all run eagerly now.")
        for model in models.values():
            model.run_eagerly = True
    if len({bool(model.jit_compile) for model in models.values()}) > 1:
        with_xla = ", ".join(name for name, model in models.items() if model.jit_compile)
        notes.append(f"Only {with_xla} would have run under XLA: all run without it.")
        for model in models.values():
            model.jit_compile = False
    return seeds, notes


def measure_start(models: Mapping[str, keras.Model], batch: Batch, record: Record) -> None:
    """Enter the differences of the outputs and gradients on the first batch into the record."""
    reference, *others = models
    outputs = {name: logits_on(model, batch.x) for name, model in models.items()}
    record.largest_logit = largest_entry(
        [array for array in outputs[reference] if array.dtype.kind not in "OSU"]
    )
    if not others:
        return
    gradients = {name: gradients_on(model, batch) for name, model in models.items()}
    paths = [weight.path for weight in models[reference].trainable_weights]
    for name in others:
        record.logits_difference[name] = largest_difference(outputs[reference], outputs[name])
        record.gradient_differences[name] = gradient_differences(paths, gradients, reference, name)
