"""The state of a model: weights, seed generators, optimizer; copied, taken out and put back.

Two models of the same architecture are paired variable by variable in order. Their layers may bear
different names (`gru` and `gru_1`), so what must agree is the shape and the variable's own name
(`kernel`, `recurrent_kernel`, ...): the name notices two square matrices that changed places.
"""

from typing import Any

import keras
import numpy as np

SEED_STATE = "seed_generator_state"  # the name Keras gives to the state of each SeedGenerator


def copy_weights(
    source: keras.Model, target: keras.Model, *, source_name: str, target_name: str
) -> None:
    """Give `target` the weights of `source`; both must be built.

    Raises: ValueError, naming the first weight that does not fit and both models.
    """
    pairs = _paired("weight", source.weights, target.weights, source_name, target_name)
    for ours, theirs in pairs:
        theirs.assign(keras.ops.convert_to_numpy(ours))


def copy_seed_states(source: keras.Model, target: keras.Model) -> tuple[int, int]:
    """Give the seed generators of `target` the states of those of `source`, in order.

    Returns: the number of seed generators in each model. Where the numbers differ the models
        cannot draw the same random numbers; as many states as there are pairs are copied.
    """
    ours, theirs = seed_states(source), seed_states(target)
    for from_state, to_state in zip(ours, theirs, strict=False):
        to_state.assign(keras.ops.convert_to_numpy(from_state))
    return len(ours), len(theirs)


def copy_optimizer(
    source: keras.Model, target: keras.Model, *, source_name: str, target_name: str
) -> None:
    """Give the optimizer of `target` the state of that of `source`; both models are compiled.

    Raises: ValueError when the optimizers do not hold the same variables.
    """
    for model in (source, target):
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
    pairs = _paired(
        "optimizer variable",
        source.optimizer.variables,
        target.optimizer.variables,
        source_name,
        target_name,
        names_must_agree=False,  # slots are named after the paths of the weights
    )
    for ours, theirs in pairs:
        theirs.assign(keras.ops.convert_to_numpy(ours))


def seed_states(model: keras.Model) -> list[Any]:
    """State variables of all seed generators of a model, in the order of its layers."""
    return [variable for variable in model.variables if variable.name == SEED_STATE]


def take_state(model: keras.Model) -> list[np.ndarray]:
    """Copies of all variables that a training step changes: layers, seed generators, optimizer.

    bfloat16, which NumPy cannot store in a file, is widened to float32 without loss.
    """
    arrays = [np.array(keras.ops.convert_to_numpy(variable)) for variable in _all_variables(model)]
    return [a.astype("float32") if a.dtype.name == "bfloat16" else a for a in arrays]


def put_state(model: keras.Model, arrays: list[np.ndarray], *, source_name: str) -> None:
    """Put back what `take_state` took, into a model of the same architecture.

    Raises: ValueError when number or shapes disagree; `source_name` says where the arrays are from.
    """
    variables = _all_variables(model)
    if len(variables) != len(arrays):
        raise ValueError(
            f"{source_name}: holds {len(arrays)} variables, but model `{model.name}` has "
            f"{len(variables)}. Use the model and the compile settings it was saved with."
        )
    for variable, array in zip(variables, arrays, strict=True):
        if tuple(variable.shape) != array.shape:
            raise ValueError(
                f"{source_name}: `{variable.path}` has shape {array.shape} there and "
                f"{tuple(variable.shape)} in model `{model.name}`. Use the model it was saved with."
            )
        variable.assign(array)


def _all_variables(model: keras.Model) -> list[Any]:
    optimizer = getattr(model, "optimizer", None)
    return list(model.variables) + (list(optimizer.variables) if optimizer is not None else [])


def _paired(
    kind: str,
    source: list[Any],
    target: list[Any],
    source_name: str,
    target_name: str,
    names_must_agree: bool = True,
) -> list[tuple[Any, Any]]:
    for position, (ours, theirs) in enumerate(zip(source, target, strict=False)):
        names_differ = names_must_agree and ours.name != theirs.name
        if tuple(ours.shape) != tuple(theirs.shape) or names_differ:
            raise ValueError(
                f"{source_name}: {kind} {position} is `{ours.path}` {tuple(ours.shape)}, but "
                f"`{theirs.path}` {tuple(theirs.shape)} in {target_name}. Both models must create "
                "the same variables in the same order."
            )
    if len(source) != len(target):
        longer = source if len(source) > len(target) else target
        first = longer[min(len(source), len(target))]
        raise ValueError(
            f"{source_name}: has {len(source)} {kind}s, {target_name} has {len(target)}; "
            f"`{first.path}` is the first without a partner. Both models must create the same "
            "variables in the same order."
        )
    return list(zip(source, target, strict=True))
