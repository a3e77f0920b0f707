"""Train models of one builder side by side: built-in layers and ours, step by step in turns."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import custom_layers
from custom_layers.comparison.batches import Batch, as_dataset, digest, endless_batches
from custom_layers.comparison.checkpoint import last_checkpoint, load_checkpoint, save_checkpoint
from custom_layers.comparison.interruption import ComparisonInterrupted, DeferredInterrupt
from custom_layers.comparison.peak_memory import PeakMemory
from custom_layers.comparison.progress import Progress
from custom_layers.comparison.record import Record
from custom_layers.comparison.report import ComparisonReport, versions
from custom_layers.comparison.report_table import gradient_table
from custom_layers.comparison.same_start import build_models, measure_start, start_alike
from custom_layers.comparison.step_timing import is_memory_step, is_timed, turn_order
from custom_layers.comparison.tensorboard_runs import TensorBoardRuns, require_writable

Metric = Callable[[keras.Model], float]
Callbacks = Callable[[str], Sequence[keras.callbacks.Callback]]


def compare(
    build_model: Callable[[Any], keras.Model],
    data: Any,
    *,
    steps: int,
    held_out: Any = None,
    namespaces: Mapping[str, Any] | None = None,
    batch_size: int = 32,
    seed: int = 0,
    log_dir: str | Path | None = None,
    checkpoint_dir: str | Path | None = None,
    metrics: Mapping[str, Metric] | None = None,
    evaluate_every: int | None = None,
    checkpoint_every: int | None = None,
    callbacks: Callbacks | None = None,
    resume: bool = False,
    progress: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> ComparisonReport:
    """Train one model per namespace from the same start on the same batches, and compare them.

        report = compare(build_model, batches, steps=200)
        print(report)
        report.save("reports/lstm")

    All models get the weights, the states of the seed generators, the optimizer state and the
    execution mode (graph, XLA or eager) of the first one. Each batch is drawn once and given to
    every model; who goes first changes with every step. Sets the seeds of Python, NumPy and the
    backend.

    Args:
        build_model: takes a namespace of layers, returns a new compiled `keras.Model`.
        data: `tf.data.Dataset` of batches (x, y[, sample_weight]), begun again when it ends
            before the steps do, or a tuple of arrays, shuffled with `seed`.
        steps: int >= 1, training steps of each model.
        held_out: finite dataset or tuple of arrays like `data`; evaluated with the model's own
            loss and compiled metrics at the end, and every `evaluate_every` steps.
        namespaces: what `build_model` is given, by name. The first one is what all others are
            compared with; a single one trains without a comparison. Default: `keras.layers` as
            "builtin" and `custom_layers` as "custom".
        batch_size: examples in a batch where arrays were given.
        log_dir: folder for TensorBoard, one run per model with equal tags; None writes nothing.
        checkpoint_dir: folder for checkpoints. Default: `checkpoints` inside `log_dir`.
        metrics: further numbers computed from each model at the end, by name (BLEU, for one).
        checkpoint_every: steps between two checkpoints. Where there is a folder for them, one is
            also written at the end and on Ctrl-C.
        callbacks: takes a model's name, returns Keras callbacks for it, such as
            `GradientInspector(log_dir / name, probe)`. What they do in a step is not timed.
        resume: go on from the last checkpoint, with the numbers that a run without a break would
            have given. `data` must give the same batches in the same order again. Starts at the
            beginning where there is no checkpoint yet.
        progress: show a bar with the losses (without a terminal: ten lines in all).
        clock: returns seconds; what a step is timed with.
    Returns: the report; the trained models are in `report.models`.
    Raises: ValueError or TypeError, in one line and before any training, for a model that is not
        compiled, models without the same weights in the same order, a folder that cannot be
        written, a checkpoint or data that do not fit. ComparisonInterrupted (a KeyboardInterrupt)
        after Ctrl-C, when the running step is done and the checkpoint written and named.
    """
    if namespaces is None:
        namespaces = {"builtin": keras.layers, "custom": custom_layers}
    _check_arguments(namespaces, steps, evaluate_every, checkpoint_every)
    log_path = None if log_dir is None else Path(log_dir)
    folder = log_path / "checkpoints" if log_path is not None else None
    folder = folder if checkpoint_dir is None else Path(checkpoint_dir)
    if folder is None and (resume or checkpoint_every):
        raise ValueError(
            "compare: `resume` and `checkpoint_every` need a folder for the checkpoints. "
            "Received: log_dir=None, checkpoint_dir=None. Name one of the two."
        )
    if folder is not None:
        require_writable(folder, "log_dir" if checkpoint_dir is None else "checkpoint_dir")
    runs = TensorBoardRuns(log_path, list(namespaces))
    keras.utils.set_random_seed(seed)
    dataset = as_dataset(data, argument="data", batch_size=batch_size, shuffle_seed=seed)
    held_out_data = _held_out_dataset(held_out, batch_size, evaluate_every)

    batches = endless_batches(dataset)
    batch = next(batches)
    models = build_models(build_model, namespaces, batch, seed)
    seed_generators, notes = start_alike(models)
    found = last_checkpoint(folder) if resume and folder is not None else None
    if found is None:
        record = Record(list(models), seed, seed_generators=seed_generators, notes=notes)
        measure_start(models, batch, record)
        _log_start(runs, record)
    else:
        record = load_checkpoint(found, models)
        if record.step > steps:
            raise ValueError(
                f"compare: the checkpoint {found} is beyond the last step. Received: "
                f"steps={steps}. Ask for more steps than {record.step}, or choose another folder."
            )
        for _ in range(record.step - 1):
            batch = next(batches)
        _check_place(record, batch, found)

    shown = Progress(steps, record.step, progress)
    if found is not None:
        shown.say(f"compare: going on from step {record.step}, {found}")
    elif resume:
        shown.say(f"compare: no checkpoint in {folder}, starting at step 0")

    def look_at_held_out() -> None:
        last_look = record.held_out_curve[-1][0] if record.held_out_curve else None
        if held_out_data is not None and last_look != record.step:
            results = {
                name: model.evaluate(held_out_data, verbose=0, return_dict=True)
                for name, model in models.items()
            }
            record.held_out_curve.append((record.step, _floats(results)))
            for name, values in _floats(results).items():
                tagged = {f"held_out/{key}": value for key, value in values.items()}
                runs.scalars(name, record.step, tagged)

    in_step, first_step = False, record.step
    watching = {
        name: keras.callbacks.CallbackList(list(callbacks(name)) if callbacks else [], model=model)
        for name, model in models.items()
    }
    try:
        for each in watching.values():
            each.on_train_begin()
        with DeferredInterrupt() as interrupt:
            while record.step < steps:
                if evaluate_every and record.step and record.step % evaluate_every == 0:
                    look_at_held_out()
                if record.step:
                    batch = next(batches)
                in_step = True
                losses = _one_step(models, watching, batch, record, steps, first_step, clock)
                in_step = False
                record.last_batch = digest(batch) if folder is not None else None
                _log_step(runs, record)
                shown.advance(record.step, losses)
                if interrupt.requested:
                    raise KeyboardInterrupt
                if checkpoint_every and record.step % checkpoint_every == 0 and folder is not None:
                    save_checkpoint(folder, models, record)
                    runs.flush()
        look_at_held_out()
        if folder is not None:
            save_checkpoint(folder, models, record)
        metric_values = _metric_values(metrics or {}, models)
        for name, values in metric_values.items():
            tagged = {f"metrics/{key}": value for key, value in values.items()}
            runs.scalars(name, record.step, tagged)
    except KeyboardInterrupt as error:
        # A model that was stopped inside its step is not where the other one is: nothing to save.
        if folder is not None and not in_step:
            kept: Path | None = save_checkpoint(folder, models, record)
        else:
            kept = last_checkpoint(folder) if folder is not None else None
        message = _stopped(record.step, steps, kept)
        shown.say(message)
        raise ComparisonInterrupted(message, record.step, kept) from error
    finally:
        for each in watching.values():
            each.on_train_end()
        shown.close()
        runs.close()
    return ComparisonReport(
        record=record,
        parameters={name: model.count_params() for name, model in models.items()},
        held_out=record.held_out_curve[-1][1] if held_out_data is not None else {},
        metrics=metric_values,
        execution=_execution(next(iter(models.values()))),
        versions=versions(),
        models=models,
    )


def _one_step(
    models: Mapping[str, keras.Model],
    watching: Mapping[str, keras.callbacks.CallbackList],
    batch: Batch,
    record: Record,
    steps: int,
    first_step: int,
    clock: Callable[[], float],
) -> dict[str, float]:
    """Train every model on one batch, in turns, and enter losses and times into the record."""
    losses: dict[str, float] = {}
    seconds: dict[str, float] = {}
    is_first = record.step == first_step
    measures_memory = is_memory_step(record.step, steps) and not is_first
    for name in turn_order(list(models), record.step):
        watching[name].on_train_batch_begin(record.step)
        if measures_memory:
            with PeakMemory() as peak:
                losses[name] = _trained_on(models[name], batch)
            record.peak_memory[name] = _larger(record.peak_memory[name], peak.bytes)
        else:
            start = clock()
            losses[name] = _trained_on(models[name], batch)
            seconds[name] = clock() - start
        watching[name].on_train_batch_end(record.step, {"loss": losses[name]})
    for name in models:
        record.losses[name].append(losses[name])
        counts = is_timed(record.step, steps) and not is_first
        record.seconds[name].append(seconds[name] if counts else None)
        if is_first:  # a resumed run traces again; the first figure is kept
            record.tracing_seconds.setdefault(name, seconds[name])
    record.step += 1
    return {name: losses[name] for name in models}


def _trained_on(model: keras.Model, batch: Batch) -> float:
    logs = model.train_on_batch(batch.x, batch.y, batch.sample_weight, return_dict=True)
    if "loss" not in logs:
        raise ValueError(
            f"compare: the train_step of model `{model.name}` must return its loss as `loss`. "
            f"Received: {sorted(logs)}."
        )
    return float(logs["loss"])


def _check_arguments(
    namespaces: Mapping[str, Any],
    steps: int,
    evaluate_every: int | None,
    checkpoint_every: int | None,
) -> None:
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "compare: runs on Keras's TensorFlow backend only. Received: "
            f"{keras.backend.backend()}. Set KERAS_BACKEND=tensorflow before Python starts."
        )
    if not namespaces:
        raise ValueError("compare: `namespaces` must hold one entry or more. Received: none.")
    for name in namespaces:
        if not re.fullmatch(r"\w[\w.-]*", name) or name == "checkpoints":
            raise ValueError(
                "compare: the names in `namespaces` become folders: letters, digits, `_`, `.` and "
                f"`-`, and not `checkpoints`. Received: {name!r}."
            )
    numbers = {"evaluate_every": evaluate_every, "checkpoint_every": checkpoint_every}
    for argument, value in {"steps": steps, **numbers}.items():
        if value is not None and (not isinstance(value, int | np.integer) or value < 1):
            raise ValueError(f"compare: `{argument}` must be an int >= 1. Received: {value!r}.")


def _held_out_dataset(
    held_out: Any, batch_size: int, evaluate_every: int | None
) -> tf.data.Dataset | None:
    if held_out is None:
        if evaluate_every:
            raise ValueError("compare: `evaluate_every` needs `held_out`. Received: held_out=None.")
        return None
    dataset = as_dataset(held_out, argument="held_out", batch_size=batch_size, shuffle_seed=None)
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError("compare: `held_out` never ends. Cut it with .take(number_of_batches).")
    return dataset


def _check_place(record: Record, batch: Batch, found: Path) -> None:
    if record.step and digest(batch) != record.last_batch:
        raise ValueError(
            f"compare: batch {record.step} of `data` is not the one that the checkpoint {found} "
            "was trained on. Give the same data in the same order: a seed in every shuffle, and a "
            "newly made dataset (shuffle begins another order in the second pass)."
        )


def _log_start(runs: TensorBoardRuns, record: Record) -> None:
    for name, entries in record.gradient_differences.items():
        runs.text(name, 0, "first_gradient_differences", gradient_table(entries))


def _log_step(runs: TensorBoardRuns, record: Record) -> None:
    reference = record.names[0]
    for name in record.names:
        values = {"loss": record.losses[name][-1]}
        seconds = record.seconds[name][-1]
        if seconds is not None:
            values["seconds_per_step"] = seconds
        if name != reference:
            values["loss_difference"] = abs(values["loss"] - record.losses[reference][-1])
        runs.scalars(name, record.step, values)


def _metric_values(
    metrics: Mapping[str, Metric], models: Mapping[str, keras.Model]
) -> dict[str, dict[str, float]]:
    return {
        name: {key: float(metric(model)) for key, metric in metrics.items()}
        for name, model in models.items()
        if metrics
    }


def _execution(model: keras.Model) -> str:
    if model.run_eagerly:
        return "eager"
    return "graph, compiled by XLA" if model.jit_compile else "graph, without XLA"


def _floats(results: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    return {name: {key: float(v) for key, v in values.items()} for name, values in results.items()}


def _larger(old: int | None, new: int | None) -> int | None:
    return new if old is None or (new is not None and new > old) else old


def _stopped(step: int, steps: int, kept: Path | None) -> str:
    if kept is None:
        return (
            f"compare: stopped after step {step} of {steps}; nothing was kept, because neither "
            "`log_dir` nor `checkpoint_dir` names a folder with a checkpoint"
        )
    return f"compare: stopped after step {step} of {steps}; checkpoint {kept}, go on with resume"
