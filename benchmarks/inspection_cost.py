"""What watching costs: time and memory of the NMT tutorial with and without a GradientInspector.

    CUSTOM_LAYERS_DATA=DIR python -m benchmarks.inspection_cost            # real sentence pairs
    python -m benchmarks.inspection_cost --data demo --preset quick

One model trains in turns, a block of steps without inspection, one with `every=100`, one with
`every=1`, and so on; the ratios are of the medians over the blocks. Everything is in one process.
"""

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import keras

import custom_layers
from custom_layers.debugging import GradientInspector
from tutorials.nmt_with_attention.data import PRESETS, learning_rate_of, load
from tutorials.nmt_with_attention.model import build_translator
from tutorials.translation.inspection import probe_of

NAMESPACES = {"builtin": keras.layers, "custom": custom_layers}


class Clock(keras.callbacks.Callback):
    """Seconds from the first step's end to the last one's: without tracing."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 0:
            self.begun = time.perf_counter()
        self.seconds = time.perf_counter() - self.begun


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="spa-eng", help="as the tutorial's (default: spa-eng)")
    parser.add_argument("--preset", choices=list(PRESETS), default="tutorial")
    parser.add_argument("--layers", choices=list(NAMESPACES), default="custom")
    parser.add_argument("--steps", type=int, default=100, help="in a block (default: 100)")
    parser.add_argument("--blocks", type=int, default=5, help="of each kind (default: 5)")
    parser.add_argument("--looks", type=int, default=1000, help="for the memory; 0 leaves it out")
    arguments = parser.parse_args()

    preset = PRESETS[arguments.preset]
    data = load(arguments.data, preset, seed=0)
    model = build_translator(
        *(NAMESPACES[arguments.layers], data.context_vocabulary, data.target_vocabulary),
        *(preset.units, "multi_head", learning_rate_of(preset, 2000)),
    )
    probe = probe_of(data)
    folder = Path(tempfile.mkdtemp())
    inspectors = {
        "without": None,
        "every=100": GradientInspector(folder / "hundred", probe, every=100),
        "every=1": GradientInspector(folder / "one", probe, every=1),
    }
    batches = data.train.take(arguments.steps + 1).cache()  # the same ones in every block

    def block(inspector: Any) -> float:
        clock = Clock()
        callbacks = [clock] if inspector is None else [inspector, clock]
        model.fit(batches, verbose=0, shuffle=False, callbacks=callbacks)
        return clock.seconds / arguments.steps

    begun = time.perf_counter()
    block(None)
    tracing = {}
    for name, inspector in inspectors.items():
        before = time.perf_counter()
        block(inspector)
        tracing[name] = time.perf_counter() - before
    seconds: dict[str, list[float]] = {name: [] for name in inspectors}
    for _ in range(arguments.blocks):
        for name, inspector in inspectors.items():
            seconds[name].append(block(inspector))
    plain = statistics.median(seconds["without"])
    print(f"{arguments.layers}, {arguments.data}, {arguments.preset}; probe of {len(probe[1])}")
    print(f"{'':<12} {'ms per step':>12} {'ratio':>8} {'first block, s':>16}")
    for name, values in seconds.items():
        middle = statistics.median(values)
        ratio = statistics.median(v / p for v, p in zip(values, seconds["without"], strict=True))
        print(f"{name:<12} {1e3 * middle:>12.1f} {ratio:>8.3f} {tracing[name]:>16.1f}")
    if arguments.looks:
        inspector = inspectors["every=1"]
        inspector.on_train_begin()
        memory = {}
        for look in range(1, arguments.looks + 1):
            inspector.look()
            if look in (10, arguments.looks):
                memory[look] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        inspector.on_train_end()
        for look, megabytes in memory.items():
            print(f"peak memory of the process after {look:,} looks: {megabytes:,.0f} MB")
    print(f"{time.perf_counter() - begun:.0f} s; a step without inspection {1e3 * plain:.1f} ms")


if __name__ == "__main__":
    main()
