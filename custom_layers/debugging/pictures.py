"""Pictures of gradients: Matplotlib figures, which a notebook shows and `savefig` writes.

    log = read_log(log_dir)
    heat_map(log.series, "encoder/gru/h/gradient_norm_by_step")              time step by training step
    histograms_over_training(log.histograms, "decoder/dense/kernel/gradient")   one ridge a look
    gates_over_time(recording, "encoder/gru", words=["the", "cat", "sat"])   one sequence, unit by unit
    gradient_flow(recording)                                                 how much reaches each layer

Figures are made without `matplotlib.pyplot`, so that no window opens and no backend of the caller's
changes. Colours stay apart for colour-blind eyes (viridis, PuOr; Okabe and Ito 2008).
"""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from custom_layers.core.shape_check import require
from custom_layers.debugging.measurements import CANDIDATES, STATES
from custom_layers.debugging.recorder import Quantity, Recording
from custom_layers.debugging.tables import table_of_weights

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
ZERO, NOT_FINITE, NO_STEP = "#FFFFFF", "#D55E00", "#DDDDDD"
DECADES = 12  # of a logarithmic colour or axis; what is smaller is drawn as its lower end
RIDGES = 24  # at most, in one picture


class Picture(Figure):
    """A figure that a notebook shows by itself; a plain one it shows once pyplot has been imported."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=100)
        return file.getvalue()


def heat_map(series: pd.DataFrame, tag: str) -> Picture:
    """Norms by time step (down) and training step (across), in logarithmic colour.

    Args:
        series: `read_log(log_dir).series`.
        tag: which of them, "<layer>/h/gradient_norm_by_step".

    Raises:
        ValueError: there is no such tag.
    """
    found = _rows_of(series, tag, "heat_map")
    norms = found.pivot(index="time_step", columns="step", values="value")
    return draw_heat_map(norms.to_numpy(), norms.columns.to_numpy(), tag)


def draw_heat_map(norms: np.ndarray, training_steps: np.ndarray, tag: str) -> Picture:
    """`heat_map` of arrays.

    Args:
        norms: (time steps, looks).
        training_steps: (looks,), rising.
        tag: of the series, for the title and the axis.
    """
    figure = Picture(figsize=(6.0, 3.6))
    axes = figure.add_axes((0.1, 0.15, 0.71, 0.74))  # computing a layout would take half the time
    name, _, measure = tag.rpartition("/")
    quantity = name.rpartition("/")[2]
    finite, zero = np.isfinite(norms), norms == 0
    shown = np.ma.masked_where(~finite | zero, norms)
    cells = _edges(training_steps), np.arange(len(norms) + 1) - 0.5
    mesh = axes.pcolormesh(*cells, shown, norm=_log_norm(shown), cmap="viridis")
    axes.set_facecolor(ZERO)
    legend = []
    if zero.any():
        legend.append(Patch(facecolor=ZERO, edgecolor="0.4", label="exactly 0"))
    if not finite.all():
        wrong = np.ma.masked_where(finite, np.ones_like(norms))
        axes.pcolormesh(*cells, wrong, cmap=ListedColormap([NOT_FINITE]))
        legend.append(Patch(facecolor=NOT_FINITE, label="NaN or inf"))
    if legend:
        figure.legend(handles=legend, loc="upper right", ncols=2, frameon=False)
    back = measure.endswith("steps_back")
    axes.set_xlabel("training step")
    axes.set_ylabel("steps back from the last" if back else "time step")
    axes.set_title(f"Gradient that reaches {name}", loc="left", fontsize=10)
    ticks = np.linspace(0, len(training_steps) - 1, 7).round().astype(int)
    axes.set_xticks(training_steps[np.unique(ticks)])
    axes.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.invert_yaxis()
    bar = figure.colorbar(mesh, cax=figure.add_axes((0.83, 0.15, 0.03, 0.74)))
    bar.set_label(f"|dL/d{quantity}$_t$| over the probe batch")
    bar.ax.minorticks_off()
    return figure


def gates_over_time(
    recording: Recording, layer: str, words: Sequence[str] | None = None, example: int = 0
) -> Picture:
    """Gates and states of one sequence, unit by unit, and below the gradient that reaches each of them.

    Steps that the layer did not take, because they are masked, are left grey.

    Args:
        recording: of one batch.
        layer: its path, "encoder/gru".
        words: what stands at each step; those beyond the recorded steps are not shown. Default: numbers.
        example: which sequence of the batch.

    Raises:
        ValueError: the layer has no recorded gates or states; the batch has no such example; fewer words
            than steps that were taken.
    """
    found = _states_and_gates(recording, layer)
    first = next(iter(found.values()))
    batch, steps = first.value.shape[:2]
    require(
        0 <= example < batch,
        "gates_over_time",
        f"`example` must be a row of the batch, 0 to {batch - 1}",
        f"example={example}",
        "Choose one of them.",
    )
    mask = np.ones(steps, bool) if first.mask is None else np.asarray(first.mask)[example]
    last = int(np.flatnonzero(mask)[-1]) if mask.any() else -1
    require(
        words is None or len(words) > last,
        "gates_over_time",
        f"`words` must name each of the {last + 1} steps up to the last that was taken",
        f"{len(words or ())} words",
        "Pass the words as the model reads them, with its start and end tokens.",
    )
    figure = Picture(figsize=(1.9 + 0.5 * steps, 2.0 + 1.35 * len(found)), layout="constrained")
    ratios = [*[1.0] * len(found), 1.5]
    panels = figure.subplots(len(ratios), 1, sharex=True, gridspec_kw={"height_ratios": ratios})
    for axes, (kind, quantity) in zip(panels, found.items(), strict=False):
        values = np.asarray(quantity.value)[example].astype("float64").T  # (units, steps)
        _draw_units(axes, kind, np.where(mask, values, np.nan))
    _draw_norms_by_step(panels[-1], found, example)
    labels = [str(t) for t in range(steps)] if words is None else [*words, *[""] * steps][:steps]
    panels[-1].set_xticks(range(steps), labels, rotation=0 if words is None else 50)
    if words is not None:
        for label in panels[-1].get_xticklabels():
            label.set(horizontalalignment="right", rotation_mode="anchor")
    panels[-1].set_xlabel("time step" if words is None else "word")
    figure.suptitle(f"{layer}, sequence {example}: what each unit does")
    return figure


def gradient_flow(recording: Recording) -> Picture:
    """Gradient at each layer's output and of its weights, layers in the order of computation.

    Where there is no bar it says why: "0", "not reached" by the loss, "NaN or inf", or "no weights of
    its own".

    Args:
        recording: made with `record(model)`, whose outputs are recorded.

    Raises:
        ValueError: it holds no outputs.
    """
    outputs = {
        name.rpartition("/")[0]: _norm(quantity.gradient, name in recording.not_reached)
        for name, quantity in recording.items()
        if name.rpartition("/")[2] == "output"
    }
    require(
        bool(outputs),
        "gradient_flow",
        "the recording must hold the layers' outputs",
        "a recording without any",
        "Record with record(model), not record(model, outputs=False).",
    )
    weights = _norms_of_weights_by_layer(recording, list(outputs))
    layers = list(outputs) + [layer for layer in weights if layer not in outputs]
    figure = Picture(figsize=(10.5, 1.5 + 0.3 * len(layers)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, norms, colour, title, label, missing in (
        (panels[0], outputs, COLOURS[0], "at the output", "|dL/dy|", "not recorded"),
        (panels[1], weights, COLOURS[2], "of the weights", "|dL/dw|", "no weights of its own"),
    ):
        _draw_bars(axes, [norms.get(layer, missing) for layer in layers], colour)
        axes.set_title(f"Gradient {title}", loc="left")
        axes.set_xlabel(f"{label}, Euclidean norm")
    panels[0].set_yticks(range(len(layers)), layers)
    panels[0].set_ylabel("layer, in order of computation")
    panels[0].set_ylim(len(layers) - 0.4, -0.6)
    return figure


def histograms_over_training(histograms: pd.DataFrame, tag: str) -> Picture:
    """How a gradient's entries are spread, one ridge a look, the first look behind.

    Args:
        histograms: `read_log(log_dir).histograms`.
        tag: which of them, "<layer>/<weight>/gradient".

    Raises:
        ValueError: there is no such tag.
    """
    found = _rows_of(histograms, tag, "histograms_over_training")
    all_steps = found["step"].unique()
    chosen = np.unique(np.linspace(0, len(all_steps) - 1, RIDGES).round().astype(int))
    steps = all_steps[chosen]
    figure = Picture(figsize=(7.2, 1.6 + 0.24 * max(len(steps), 6)), layout="constrained")
    axes = figure.subplots()
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(steps)))
    for place, step in enumerate(steps):
        rows = found[found["step"] == step]
        counts = np.log1p(rows["count"].to_numpy())
        axes.stairs(
            place - 1.6 * counts / max(counts.max(), 1),  # ridges overlap a little
            np.append(rows["left"].to_numpy(), rows["right"].to_numpy()[-1]),
            baseline=place,
            fill=True,
            facecolor=(*colours[place][:3], 0.75),
            edgecolor="white",
            linewidth=0.8,
            zorder=place + 2,
        )
    axes.axvline(0, color="0.5", linewidth=0.8, linestyle=":", zorder=1)
    axes.set_yticks(range(len(steps)), [str(step) for step in steps])
    axes.set_ylim(len(steps) - 0.7, -1.8)
    axes.set_ylabel("training step")
    axes.set_xlabel("entry of the gradient")
    left_out = len(all_steps) - len(steps)
    shown = f"; {len(steps)} of {len(all_steps)} looks" if left_out else ""
    axes.set_title(f"{tag}\nheight: logarithm of the count{shown}", loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


# -- parts of the pictures -----------------------------------------------------------------------


def _rows_of(frame: pd.DataFrame, tag: str, owner: str) -> pd.DataFrame:
    found = frame[frame["tag"] == tag]
    known = ", ".join(frame["tag"].unique()) or "none"
    require(
        len(found) > 0,
        owner,
        "`tag` must be one of the log's",
        f"tag={tag!r}",
        f"It holds: {known}.",
    )
    return found


def _edges(places: np.ndarray) -> np.ndarray:
    """Of the cells around places: halfway between neighbours."""
    if len(places) == 1:
        return places[0] + np.array([-0.5, 0.5])
    middle = (places[1:] + places[:-1]) / 2
    ends = 2 * places[0] - middle[0], 2 * places[-1] - middle[-1]
    return np.concatenate([ends[:1], middle, ends[1:]])


def _log_norm(values: np.ma.MaskedArray) -> Normalize:
    if values.count() == 0:  # nothing to draw: any scale will do
        return LogNorm(1e-1, 1.0)
    high = float(values.max())
    low = max(float(values.min()), high * 10.0**-DECADES)
    return LogNorm(low if low < high else high / 10, high, clip=True)


def _states_and_gates(recording: Recording, layer: str) -> dict[str, Quantity]:
    """Gates before states, as they are computed."""
    found = {
        name.rpartition("/")[2]: quantity.by_unit()
        for name, quantity in recording.items()
        if name.rpartition("/")[0] == layer and quantity.steps_axis == 1
    }
    layers = sorted({name.rpartition("/")[0] for name in recording if name.endswith("/h")})
    require(
        bool(found),
        "gates_over_time",
        "`layer` must be the path of a recorded layer with gates or states",
        f"layer={layer!r}",
        f"Recorded: {', '.join(layers) or 'none, Keras own layers do not show them'}.",
    )
    return dict(sorted(found.items(), key=lambda item: item[0] in STATES))


def _draw_units(axes: Axes, kind: str, values: np.ndarray) -> None:
    """One panel: units down, steps across; `values` NaN where no step was taken."""
    signed = kind in CANDIDATES or kind in STATES
    limit = float(np.nanmax(np.abs(values), initial=1e-9)) if signed else 1.0
    axes.set_facecolor(NO_STEP)
    image = axes.imshow(
        np.ma.masked_invalid(values),
        cmap="PuOr" if signed else "viridis",
        vmin=-limit if signed else 0.0,
        vmax=limit,
        aspect="auto",
        interpolation="nearest",
    )
    axes.set_ylabel(f"{kind}\nunit")
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01, aspect=8)
    bar.set_ticks([-limit, 0, limit] if signed else [0, 0.5, 1])
    bar.ax.yaxis.set_major_formatter(lambda number, _: f"{number:.2g}")


def _draw_norms_by_step(axes: Axes, found: dict[str, Quantity], example: int) -> None:
    for place, (kind, quantity) in enumerate(found.items()):
        gradient = np.asarray(quantity.gradient)[example].astype("float64")  # (steps, units)
        norms = np.linalg.norm(gradient, axis=-1)
        drawn = np.where(norms > 0, norms, np.nan)  # 0 where masked: a logarithmic axis has none
        colour, line = COLOURS[place % len(COLOURS)], "-" if kind in STATES else "--"
        axes.plot(drawn, label=kind, color=colour, linestyle=line, marker="o", markersize=3)
    axes.set_yscale("log")
    axes.set_ylabel("gradient norm\n|dL/dq$_t$|")
    axes.grid(alpha=0.25)
    axes.legend(ncols=len(found), loc="upper right", bbox_to_anchor=(1.0, 1.25), frameon=False)


def _norm(gradient: Any, not_reached: bool) -> float | str:
    return "not reached" if not_reached else float(np.linalg.norm(np.asarray(gradient)))


def _norms_of_weights_by_layer(
    recording: Recording, layers: Sequence[str]
) -> dict[str, float | str]:
    """Norm over all weights of the deepest recorded layer that holds them: a GRU's, of its cell's."""
    norms: dict[str, list[float]] = {}
    for row in table_of_weights(recording).itertuples():
        holders = [layer for layer in layers if f"{row.layer}/".startswith(f"{layer}/")]
        holder = max(holders, key=len, default=row.layer)
        norms.setdefault(holder, []).extend([row.norm] if row.reached else [])
    return {
        layer: float(np.linalg.norm(each)) if each else "not reached"
        for layer, each in norms.items()
    }


def _draw_bars(axes: Axes, norms: Sequence[float | str], colour: str) -> None:
    """Bars on a logarithmic axis; what has no bar is said in words."""
    finite = [n for n in norms if not isinstance(n, str) and np.isfinite(n) and n > 0]
    high = max(finite, default=1.0)
    low = max(min(finite, default=0.1), high * 10.0**-DECADES)
    low, high = 10 ** np.floor(np.log10(low) - 0.3), high * 2
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    for place, norm in enumerate(norms):
        if isinstance(norm, str) or norm == 0 or not np.isfinite(norm):
            said = norm if isinstance(norm, str) else "0" if norm == 0 else "NaN or inf"
            alarm = not isinstance(norm, str) and norm != 0
            axes.text(low * (high / low) ** 0.01, place, said, va="center", fontsize=8).set_color(
                NOT_FINITE if alarm else "0.35"
            )
        else:
            axes.barh(place, max(norm, low), left=0, height=0.7, color=colour)
    axes.grid(alpha=0.25, axis="x")
