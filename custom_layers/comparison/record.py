"""What a comparison has measured so far: the part of it that a checkpoint keeps."""

from dataclasses import asdict, dataclass, field
from typing import Any

from custom_layers.comparison.first_step import GradientDifference


@dataclass
class Record:
    """Measurements of a running comparison. Dictionaries go by the name of the model.

    Attributes:
        names: names of the models; the first one is what the others are compared with.
        seed: the seed of the run.
        step: number of steps done.
        losses: loss of each step.
        seconds: seconds of each step; None for steps that are not timed (`step_timing`).
        tracing_seconds: seconds of the first step, in which the function is traced.
        peak_memory: bytes that a step needs above what is in use before (`peak_memory`).
        largest_logit: largest absolute entry of the first model's outputs on the first batch.
        logits_difference: largest absolute difference of an output, for all but the first model.
        gradient_differences: weight by weight, for all but the first model.
        seed_generators: number of seed generators; equal ones can draw equal dropout masks.
        held_out_curve: the steps at which the held-out data was looked at, with the results.
        last_batch: checksum of the last batch used, by which a resumed run knows its place.
        notes: sentences on what the models do not have in common.
    """

    names: list[str]
    seed: int
    step: int = 0
    losses: dict[str, list[float]] = field(default_factory=dict)
    seconds: dict[str, list[float | None]] = field(default_factory=dict)
    tracing_seconds: dict[str, float] = field(default_factory=dict)
    peak_memory: dict[str, int | None] = field(default_factory=dict)
    largest_logit: float = 0.0
    logits_difference: dict[str, float] = field(default_factory=dict)
    gradient_differences: dict[str, list[GradientDifference]] = field(default_factory=dict)
    seed_generators: dict[str, int] = field(default_factory=dict)
    held_out_curve: list[tuple[int, dict[str, dict[str, float]]]] = field(default_factory=list)
    last_batch: int | None = None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in self.names:
            self.losses.setdefault(name, [])
            self.seconds.setdefault(name, [])
            self.peak_memory.setdefault(name, None)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Record":
        """The inverse of `to_dict`, also after a trip through JSON."""
        differences = {
            name: [GradientDifference(**entry) for entry in entries]
            for name, entries in content["gradient_differences"].items()
        }
        looks = [(step, results) for step, results in content["held_out_curve"]]
        restored = {"gradient_differences": differences, "held_out_curve": looks}
        return cls(**{**content, **restored})
