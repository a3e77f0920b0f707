"""Notice when a change made training slower: a few ratios, measured anew beside the committed ones.

python -m benchmarks.guard            fails if a ratio is worse by more than a quarter, three times over
python -m benchmarks.guard --update   writes the ratios to `guard.json`, after a change that was meant

A ratio is ours by Keras's, in turns in one process, so that a slow machine slows both.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import custom_layers
from benchmarks.harness import ratio_of
from benchmarks.training_step import WAYS, seconds_in_turns, twins

FILE = Path(__file__).with_suffix(".json")
WORSE = 1.25  # times the committed ratio
RUNS = 3
SECONDS = 5.0  # of a layer
FEATURES = 128
LAYERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "LSTM": ("one", lambda layers: layers.LSTM(FEATURES, return_sequences=True)),
    "GRU": ("one", lambda layers: layers.GRU(FEATURES, return_sequences=True)),
    "Dense": ("one", lambda layers: layers.Dense(512)),
    "MultiHeadAttention": ("itself", lambda layers: layers.MultiHeadAttention(8, FEATURES // 8)),
}
Ratios = Mapping[str, float]
Measure = Callable[[Iterable[str]], Ratios]


def worse(measured: Ratios, committed: Ratios) -> list[str]:
    """What is slower than committed by more than WORSE; what is new is not judged."""
    return [
        name
        for name, ratio in measured.items()
        if name in committed and ratio > WORSE * committed[name]
    ]


def judge(measure: Measure, committed: Ratios, runs: int = RUNS) -> dict[str, list[float]]:
    """The ratios of what was worse in all runs; each run measures what the one before found worse."""
    names = list(committed)
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(runs):
        if not names:
            break
        measured = measure(names)
        for name in names:
            found[name].append(measured[name])
        names = worse(measured, committed)
    return {name: found[name] for name in names}


def line_of(name: str, ratios: Iterable[float], committed: float) -> str:
    """What is told of a row that failed."""
    told = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    limit = WORSE * committed
    return f"{name}, training step by Keras's: {told}; committed {committed:.2f}, limit {limit:.2f}"


def measure(names: Iterable[str]) -> dict[str, float]:
    """The ratio of each layer's training step."""
    import keras

    from benchmarks import plain_layers

    namespaces = dict(zip(WAYS, (custom_layers, keras.layers), strict=True))
    ratios = {}
    for name in names:
        inputs, make = LAYERS[name]
        found = twins(make, namespaces, getattr(plain_layers, inputs)(FEATURES))
        seconds = seconds_in_turns({way: found[way].step for way in WAYS}, SECONDS, rounds=21)
        ratios[name] = ratio_of(*(seconds[way] for way in WAYS)).median
    return ratios


def main(argv: list[str] | None = None) -> int:
    """Measure, compare, tell; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.guard",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # --update writes a file
    )
    parser.add_argument("--update", action="store_true", help=f"write {FILE.name}")
    if parser.parse_args(argv).update:
        ratios = {name: round(ratio, 3) for name, ratio in measure(LAYERS).items()}
        FILE.write_text(json.dumps(ratios, indent=1) + "\n", encoding="utf-8")
        print(f"{FILE.name}: {ratios}")
        return 0
    committed = json.loads(FILE.read_text(encoding="utf-8"))
    failed = judge(measure, committed)
    for name, ratios in failed.items():
        print(line_of(name, ratios, committed[name]))
    if not failed:
        print(f"{', '.join(committed)}: none slower than committed by more than {WORSE - 1:.0%}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
