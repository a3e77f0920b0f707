"""What is kept of a training step that gave NaN or inf, and how to run that step once more.

<folder>/step_1234/report.txt                what was found, in words
                   report.json               the same for programs, and how the batch is nested
                   batch.npz                 the batch: x, y, sample_weight
                   last_good.weights.h5      weights and optimizer before the step
                   random_states.npz         the seeds before the step: replay draws the same dropout

from custom_layers.debugging import replay
replay("nan_reports/my_run/step_1234", model)
"""

import json
import pathlib
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from custom_layers.core.shape_check import require
from custom_layers.debugging.forward_pass import require_compiled
from custom_layers.debugging.not_finite import (
    NotFinite,
    batch_not_finite,
    look_inside,
    mean_loss_not_finite,
    weights_not_finite,
    without_optionals,
)
from custom_layers.debugging.step_state import seed_states, step_state

WEIGHTS = "last_good.weights.h5"
BATCH = "batch.npz"
SEEDS = "random_states.npz"
REPORT = "report.json"


def write_report(
    folder: pathlib.Path, model: keras.Model, batch: Any, step: dict, findings: list[NotFinite]
) -> None:
    """Keep all that `replay` needs.

    Args:
        folder: new; made here.
        model: in the state of before the step.
        batch: what the step was given.
        step: its numbers by name (step, epoch, batch), for the report.
        findings: what is not finite, the first one first.

    Raises:
        OSError: the folder cannot be written.
        ValueError: the batch holds what is no dense tensor.
    """
    folder.mkdir(parents=True)
    held = batch_not_finite(batch)
    lines = [", ".join(f"{name} {number}" for name, number in step.items()), ""]
    lines += ["Not finite, in order of computation:", *(f"  {finding}" for finding in findings)]
    lines += ["", "Not finite in the batch itself:", *(f"  {line}" for line in held or ["nothing"])]
    lines += ["", replay_line(folder)]
    (folder / "report.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    model.save_weights(folder / WEIGHTS)
    np.savez(folder / SEEDS, *(np.asarray(seed) for seed in seed_states(model)))
    arrays: dict[str, np.ndarray] = {}
    nesting = _take_apart(without_optionals(batch), ["x", "y", "sample_weight"], arrays)
    np.savez(folder / BATCH, allow_pickle=False, **arrays)
    report = {
        "step": step,
        "findings": [finding._asdict() for finding in findings],
        "batch_holds": held,
        "batch": nesting,
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }
    (folder / REPORT).write_text(json.dumps(report, indent=2), encoding="utf-8")


def replay_line(folder: pathlib.Path) -> str:
    """What to type, to run the step again."""
    return f"from custom_layers.debugging import replay; replay({str(folder)!r}, model)"


def replay(folder: Any, model: keras.Model) -> NotFinite | None:
    """Run the step that gave NaN or inf once more, and print what is not finite, first to last.

    The step runs eagerly, layer by layer, from the weights, the optimizer's state and the seeds that it
    began with. The model keeps these afterwards, and what comes next can be tried by hand.

    Args:
        folder: that of a step, `nan_reports/my_run/step_1234`.
        model: of the same architecture, compiled in the same way; its weights are overwritten.

    Returns: the first finding, None if all is finite this time.

    Raises:
        ValueError: no such folder, or a model that is not compiled or is of another architecture.
    """
    folder = pathlib.Path(folder)
    batch = read_batch(folder)
    _load(folder, model, batch)
    before = step_state(model)
    try:
        findings, why_not = find_in_step(model, batch)
        if not findings:
            before.restore()
            logs = model.train_step(batch)
            findings = weights_not_finite(model, "after the step") + mean_loss_not_finite(logs)
    finally:
        before.restore()
    if why_not:
        print(why_not)
    for finding in findings:
        print(finding)
    if not findings:
        print("All is finite: weights before and after, activations, loss, gradients.")
    return findings[0] if findings else None


def find_in_step(model: keras.Model, batch: Any) -> tuple[list[NotFinite], str]:
    """As `look_inside`, and why it cannot look, a sentence: a train_step may call the model otherwise.

    Gradients are left out where the optimizer leaves out those that are not finite.
    """
    skips = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    try:
        return look_inside(model, batch, skips_gradients=skips), ""
    except (
        Exception
    ) as error:  # whatever a user's call may raise: the report is written all the same
        first_line = str(error).strip().partition("\n")[0]
        return [], (
            "No look inside: model(x, training=True) and model.compute_loss cannot be called with the "
            f"batch ({type(error).__name__}: {first_line})."
        )


def read_batch(folder: Any) -> tuple:
    """The batch as the training function got it: (x,), (x, y) or (x, y, sample_weight)."""
    folder = pathlib.Path(folder)
    require(
        (folder / REPORT).is_file(),
        "replay",
        "`folder` must be what NaNGuard wrote of one step",
        f"folder={str(folder)!r}, without a {REPORT}",
        "It ends in /step_ and the number of the step.",
    )
    nesting = json.loads((folder / REPORT).read_text(encoding="utf-8"))["batch"]
    with np.load(folder / BATCH) as arrays:
        batch = _put_together(nesting, arrays)
    return batch if isinstance(batch, tuple) else (batch,)


def _load(folder: pathlib.Path, model: keras.Model, batch: tuple) -> None:
    require_compiled(model, "replay")
    if not model.built:
        model(batch[0])
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    seeds = seed_states(model)
    with np.load(folder / SEEDS) as states:
        require(
            len(states.files) == len(seeds),
            "replay",
            "`model` must have the architecture of the one that was trained",
            f"model {model.name!r} with {len(seeds)} random seeds, not {len(states.files)}",
            "Build it as it was built for the training.",
        )
        for seed, name in zip(seeds, states.files, strict=True):
            seed.assign(states[name])
    try:
        model.load_weights(folder / WEIGHTS)
    except ValueError as error:
        raise ValueError(
            "replay: `model` must have the architecture of the one that was trained. Received: model "
            f"{model.name!r}. Build it as it was built for the training. Keras says: {error}"
        ) from None


# -- a nested batch in a file of arrays ------------------------------------------------------------


def _take_apart(item: Any, names: list[str], arrays: dict[str, np.ndarray], name: str = "") -> Any:
    """Put the tensors into `arrays`, and return the nesting with their names in their places."""
    if isinstance(item, dict):
        return {
            key: _take_apart(part, [], arrays, _joined(name, key)) for key, part in item.items()
        }
    if isinstance(item, (list, tuple)):
        keys = [*names, *map(str, range(len(names), len(item)))]
        parts = zip(keys, item, strict=False)
        return [_take_apart(part, [], arrays, _joined(name, key)) for key, part in parts]
    if item is None:
        return None
    require(
        isinstance(item, tf.Tensor),
        "NaNGuard",
        "only dense tensors can be kept in a file",
        f"{name or 'x'} is a {type(item).__name__}",
        "Make it dense in the data pipeline.",
    )
    # A file of arrays holds no bfloat16, and words only as bytes of one length.
    array = tf.cast(item, "float32").numpy() if item.dtype == "bfloat16" else item.numpy()
    arrays[name or "x"] = array.astype(bytes) if array.dtype == object else array
    return name or "x"


def _put_together(nesting: Any, arrays: Any) -> Any:
    """The opposite. What was a list or a tuple is a tuple, as it is in tf.data."""
    if isinstance(nesting, dict):
        return {key: _put_together(part, arrays) for key, part in nesting.items()}
    if isinstance(nesting, list):
        return tuple(_put_together(part, arrays) for part in nesting)
    return None if nesting is None else tf.constant(arrays[nesting])


def _joined(name: str, key: str) -> str:
    return f"{name}/{key}" if name else key
