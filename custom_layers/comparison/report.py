"""The result of a comparison: what was measured, what exceeds a tolerance, and how it is kept."""

import importlib.metadata
import json
import math
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from custom_layers.comparison.first_step import GradientDifference
from custom_layers.comparison.pictures import save_pictures
from custom_layers.comparison.record import Record
from custom_layers.comparison.report_table import markdown_report, screen_table
from custom_layers.comparison.step_timing import Quartiles, quartiles, ratios_of_pairs
from custom_layers.comparison.tensorboard_runs import require_writable

FIRST_STEPS = 50  # the steps in which the loss curves must be equal; rounding grows afterwards


@dataclass
class ComparisonReport:
    """What `compare` has measured. Dictionaries go by the name of the model.

    `str(report)` is a table for the screen, `save` writes files, `check` judges.

    Attributes:
        record: curves, times and first-step differences.
        parameters: number of weights (entries of all arrays, trained or not).
        held_out: loss and compiled metrics on the held-out data after the last step.
        metrics: the numbers of the caller's own `metrics` after the last step.
        execution: how the steps ran: eager, in a graph, or under XLA.
        versions: of Python and the libraries, number of cores, name of the GPU if any.
        models: the trained models; not part of what `save` writes.
    """

    record: Record
    parameters: dict[str, int]
    held_out: dict[str, dict[str, float]]
    metrics: dict[str, dict[str, float]]
    execution: str
    versions: dict[str, Any]
    models: dict[str, keras.Model] = field(repr=False, default_factory=dict)

    @property
    def reference(self) -> str:
        """Name of the model that all others are compared with."""
        return self.record.names[0]

    @property
    def others(self) -> list[str]:
        """Names of the models that are compared with the reference."""
        return self.record.names[1:]

    def loss_differences(self, name: str) -> list[float]:
        """Absolute difference of the loss from the reference's, step by step."""
        pairs = zip(self.record.losses[self.reference], self.record.losses[name], strict=True)
        return [abs(theirs - ours) for ours, theirs in pairs]

    def largest_gradient_difference(self, name: str) -> GradientDifference | None:
        """The weight whose gradient at the first step is farthest from the reference's."""
        entries = self.record.gradient_differences.get(name, [])
        return max(entries, key=lambda entry: _nan_first(entry.difference), default=None)

    def seconds_per_step(self, name: str) -> Quartiles | None:
        """Quartiles of the seconds of a step; None when the run was too short to time."""
        return quartiles(self.record.seconds[name])

    def time_ratio(self, name: str) -> Quartiles | None:
        """Quartiles of the ratio of a model's seconds to the reference's, pair by pair."""
        seconds = self.record.seconds
        return quartiles(ratios_of_pairs(seconds[self.reference], seconds[name]))

    def check(
        self,
        *,
        loss: float = 2e-5,
        first_steps: int = FIRST_STEPS,
        logits: float = 1e-5,
        gradients: float = 1e-5,
        held_out: float | None = None,
        time_ratio: float | None = None,
    ) -> list[str]:
        """One sentence for each difference beyond its tolerance; an empty list when all is well.

        Args:
            loss: absolute tolerance for the loss of each of the first steps.
            first_steps: number of steps that `loss` is asked of.
            logits: tolerance for the outputs on the first batch, absolute up to outputs of size 1
                and relative to the largest output beyond.
            gradients: tolerance for the gradients at the first step, relative to the largest entry
                over all gradients.
            held_out: absolute tolerance for the held-out loss; None does not ask.
            time_ratio: largest median ratio of the seconds per step; None does not ask.
        """
        found: list[str] = []
        for name in self.others:
            found += self._start_beyond(name, logits, gradients)
            found += self._curve_beyond(name, loss, first_steps)
            found += self._end_beyond(name, held_out, time_ratio)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain dictionaries, lists and numbers, derived numbers included."""
        others = {}
        for name in self.others:
            differences = self.loss_differences(name)
            largest = self.largest_gradient_difference(name)
            ratio = self.time_ratio(name)
            others[name] = {
                "largest_logits_difference": self.record.logits_difference.get(name),
                "largest_gradient_difference": largest and largest.difference,
                f"largest_loss_difference_first_{FIRST_STEPS}_steps": largest_of(
                    differences[:FIRST_STEPS]
                ),
                "largest_loss_difference": largest_of(differences),
                "seconds_ratio_of_pairs": ratio and ratio._asdict(),
            }
        timings = {name: self.seconds_per_step(name) for name in self.record.names}
        return {
            "reference": self.reference,
            "execution": self.execution,
            "versions": self.versions,
            "parameters": self.parameters,
            "held_out": self.held_out,
            "metrics": self.metrics,
            "seconds_per_step": {name: t and t._asdict() for name, t in timings.items()},
            "differences": others,
            "record": self.record.to_dict(),
        }

    def save(self, folder: str | Path) -> Path:
        """Write `report.json`, `report.md` and the pictures that it shows; return the folder.

        Numbers that JSON does not know (NaN, infinity) become the strings "nan", "inf", "-inf".
        """
        path = Path(folder)
        require_writable(path, "folder")
        content = json.dumps(_finite(self.to_dict()), indent=2, allow_nan=False)
        (path / "report.json").write_text(content + "\n", encoding="utf-8")
        pictures = save_pictures(self, path)
        (path / "report.md").write_text(markdown_report(self, pictures), encoding="utf-8")
        return path

    def __str__(self) -> str:
        return screen_table(self)

    def _start_beyond(self, name: str, logits: float, gradients: float) -> list[str]:
        found = []
        seeds = self.record.seed_generators
        if seeds and seeds[name] != seeds[self.reference]:
            found.append(
                f"{name}: has {seeds[name]} seed generators, {self.reference} has "
                f"{seeds[self.reference]}; their dropout masks cannot be equal."
            )
        difference = self.record.logits_difference.get(name, 0.0)
        bound = logits * max(1.0, self.record.largest_logit)
        if not difference <= bound:
            found.append(
                f"{name}: outputs on the first batch differ from {self.reference}'s by "
                f"{difference:.1e}, more than {bound:.1e}."
            )
        largest = self.largest_gradient_difference(name)
        if largest is not None and not largest.difference <= gradients:
            beyond = sum(
                not entry.difference <= gradients
                for entry in self.record.gradient_differences[name]
            )
            found.append(
                f"{name}: the gradient of `{largest.path}` at the first step differs from "
                f"{self.reference}'s by {largest.difference:.1e} of the largest entry, more than "
                f"{gradients:.1e} (so do {beyond} of {len(self.record.gradient_differences[name])} "
                "weights)."
            )
        return found

    def _curve_beyond(self, name: str, loss: float, first_steps: int) -> list[str]:
        differences = self.loss_differences(name)[:first_steps]
        beyond = [i for i, difference in enumerate(differences, 1) if not difference <= loss]
        if not beyond:
            return []
        return [
            f"{name}: the loss differs from {self.reference}'s by {differences[beyond[0] - 1]:.1e} "
            f"at step {beyond[0]}, more than {loss:.1e} (so does it in {len(beyond)} of the first "
            f"{len(differences)} steps, by {largest_of(differences):.1e} at most)."
        ]

    def _end_beyond(self, name: str, held_out: float | None, time_ratio: float | None) -> list[str]:
        found = []
        if held_out is not None and self.held_out:
            difference = abs(self.held_out[name]["loss"] - self.held_out[self.reference]["loss"])
            if not difference <= held_out:
                found.append(
                    f"{name}: the held-out loss differs from {self.reference}'s by "
                    f"{difference:.1e}, more than {held_out:.1e}."
                )
        ratio = self.time_ratio(name)
        if time_ratio is not None and ratio is not None and ratio.median > time_ratio:
            found.append(
                f"{name}: a step takes {ratio.median:.2f} times as long as {self.reference}'s, "
                f"more than {time_ratio:.2f}."
            )
        return found


def largest_of(values: list[float]) -> float:
    """Maximum in which NaN wins, so that it is not lost; 0 for an empty list."""
    return max(values, key=_nan_first, default=0.0)


def versions() -> dict[str, Any]:
    """Versions and hardware that the numbers of a report depend on."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "tensorflow": tf.__version__,
        "custom_layers": importlib.metadata.version("custom-layers"),
        "platform": platform.platform(terse=True),
        "cores": cores,
        "gpu": [detail.get("device_name", "unnamed") for detail in details] or None,
    }


def _nan_first(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
