"""What TensorBoard shows of a run besides its charts: settings, an ordered page of charts, the model.

    HParams          how the run was set up, and the measures that tell good runs from bad ones
    Custom Scalars   the charts to look at first, layer by layer
    Graphs           the model's layers and what flows between them

Written once, at the first look of a log; the runs of one folder (built-in and custom layers) lie over
each other in all of them.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import keras
import numpy as np
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar_summary
from tensorboard.plugins.hparams import api as hparams_plugin
from tensorboard.plugins.hparams import api_pb2, summary

from custom_layers.core.shape_check import require
from custom_layers.debugging.layer_graph import layer_graph
from custom_layers.debugging.layer_outputs import layers_with_an_output
from custom_layers.debugging.recorder import names_of_weights
from custom_layers.debugging.tensorboard_writer import TensorBoardWriter

Setting = bool | int | float | str
METRICS = ("loss/probe", "all_weights/gradient_norm", "all_weights/noise_scale")  # in HParams


def checked_settings(settings: Mapping[str, Any] | None, owner: str) -> dict[str, Setting]:
    """The user's own settings.

    Raises:
        ValueError: they are no dict of names to numbers, texts or truth values.
    """
    settings = {} if settings is None else settings
    require(
        isinstance(settings, Mapping)
        and all(isinstance(name, str) for name in settings)
        and all(isinstance(value, Setting | np.generic) for value in settings.values()),
        owner,
        "`hparams` must be a dict of names to numbers, texts or truth values",
        f"hparams={settings!r}",
        'For example hparams={"data": "spa-eng", "dropout": 0.1}.',
    )
    return {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in settings.items()
    }


def describe_run(
    writer: TensorBoardWriter,
    step: int,
    run: str,
    model: keras.Model,
    tags: Collection[str],
    settings: Mapping[str, Setting],
    inputs: Any = None,
) -> None:
    """Write settings, layout and graph.

    Args:
        writer: of the run.
        step: training step.
        run: a name of the run, by which HParams tells it from others with the same settings.
        model: compiled and built.
        tags: of the scalars that a look wrote.
        settings: the inspector's and the user's.
        inputs: a batch for the model's graph, tensors; None for no graph.
    """
    hparams = settings_of(model) | dict(settings)
    writer.raw(step, _columns(hparams))
    writer.raw(step, hparams_plugin.hparams_pb(hparams, trial_id=run))
    writer.raw(step, custom_scalar_summary.pb(layout_of(tags, names_of_weights(model))))
    if inputs is not None:
        writer.graph(layer_graph(model, inputs))


def settings_of(model: keras.Model) -> dict[str, Setting]:
    """How a compiled model is set up, by name: loss, optimizer and its settings, weights, layers."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    found: dict[str, Setting] = {
        "loss": _name(model.loss),
        "optimizer": optimizer.__class__.__name__,
        "weights": sum(int(weight.value.shape.num_elements()) for weight in model.weights),
        "precision": model.dtype_policy.name,
    }
    try:
        config = optimizer.get_config()
    except NotImplementedError:  # a schedule of the user's own that cannot be saved
        config = {}
    for name, value in config.items():
        if name != "name" and isinstance(value, Setting):
            found[f"optimizer/{name}"] = value
        elif isinstance(value, dict):  # a schedule
            found[f"optimizer/{name}"] = str(value.get("class_name", name))
    layers = list(layers_with_an_output(model))
    kinds = [layer.__class__.__name__ for layer in layers]
    counts = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
    found["layers"] = ", ".join(f"{n} × {kind}" if n > 1 else kind for kind, n in counts.items())
    ours = any(layer.__class__.__module__.startswith("custom_layers.") for layer in layers)
    found["layers from"] = "custom_layers" if ours else "keras"
    return found


def layout_of(tags: Collection[str], weights: Collection[str]) -> layout_pb2.Layout:
    """The page of charts: the whole model, vanishing ratios, then weights and gates layer by layer.

    Args:
        tags: of the scalars that a look wrote.
        weights: paths of the trainable weights.
    """
    whole = {
        "gradient norm, and what clipping leaves": [
            "all_weights/gradient_norm",
            "all_weights/gradient_norm_clipped",
        ],
        "gradient noise scale, in examples": ["all_weights/noise_scale"],
        "loss of the probe batch": ["loss/probe"],
        "learning rate": ["optimizer/learning_rate"],
    }
    vanishing = [tag for tag in tags if tag.endswith("/vanishing_ratio")]
    saturated = [tag for tag in tags if tag.endswith(("/saturated_low", "/saturated_high"))]
    pages = {
        "whole model": {title: tags_of for title, tags_of in whole.items() if tags_of[0] in tags},
        "vanishing ratio |dL/dh_1| / |dL/dh_T|": {"states": vanishing} if vanishing else {},
        "gradient norm of the weights": _by_layer(f"{w}/gradient_norm" for w in weights),
        "update ratio of the weights": _by_layer(f"{w}/update_ratio" for w in weights),
        "share of saturated entries of the gates": _by_layer(saturated),
    }
    return layout_pb2.Layout(
        category=[
            layout_pb2.Category(title=title, chart=[_chart(*item) for item in charts.items()])
            for title, charts in pages.items()
            if charts
        ]
    )


def _by_layer(tags: Iterable[str]) -> dict[str, list[str]]:
    charts: dict[str, list[str]] = {}
    for tag in tags:
        charts.setdefault(tag.rsplit("/", 2)[0], []).append(tag)
    return charts


def _chart(title: str, tags: Collection[str]) -> layout_pb2.Chart:
    patterns = [f"{re.escape(tag)}$" for tag in tags]
    return layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=patterns))


def _columns(settings: Mapping[str, Setting]) -> Any:
    """The columns of HParams: without them it would have one for each of hundreds of tags."""
    kinds = {bool: api_pb2.DATA_TYPE_BOOL, str: api_pb2.DATA_TYPE_STRING}
    return summary.experiment_pb(
        [
            api_pb2.HParamInfo(name=name, type=kinds.get(type(value), api_pb2.DATA_TYPE_FLOAT64))
            for name, value in settings.items()
        ],
        [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in METRICS],
    )


def _name(function: Any) -> str:
    """Of a loss, or of each of several."""
    if isinstance(function, str):
        return function
    if isinstance(function, Mapping | list | tuple):
        return ", ".join(_name(each) for each in keras.tree.flatten(function))
    return str(getattr(function, "name", None) or getattr(function, "__name__", function))
