"""Record the small run that ships with the repository, so that TensorBoard opens on something.

    python -m tutorials.nmt_with_attention.record_example      tensorboard_logs/example, two minutes

The translator with `keras.layers` and with `custom_layers`, 300 steps from the same weights on the same
batches of the demo data, a look every 100 steps.
"""

import sys
import time
from pathlib import Path

import keras

import custom_layers
from custom_layers.debugging import GradientInspector
from custom_layers.debugging.log_folder import event_files
from tutorials.nmt_with_attention.data import PRESETS, learning_rate_of, load
from tutorials.nmt_with_attention.model import build_translator

FOLDER = Path("tensorboard_logs/example")
LIMIT = 500_000  # bytes of both runs together: they are under version control
NAMESPACES = {"builtin": keras.layers, "custom": custom_layers}


def record_example(folder: Path = FOLDER, steps: int = 300, every: int = 100) -> int:
    """Train both and write `<folder>/builtin` and `<folder>/custom`, in place of what is there.

    Returns:
        Bytes written.
    """
    preset = PRESETS["quick"]
    data = load("demo", preset)
    probe = next(iter(data.held_out))  # 64 sentence pairs that no step trains on
    for name, layers in NAMESPACES.items():
        for path in event_files(folder / name):
            path.unlink()
        keras.utils.clear_session()  # both count their layers' names from one, so that tags are equal
        keras.utils.set_random_seed(0)
        rate = learning_rate_of(preset, preset.steps)
        translator = build_translator(
            layers,
            data.context_vocabulary,
            data.target_vocabulary,
            preset.units,
            learning_rate=rate,
        )
        inspector = GradientInspector(folder / name, probe, every, hparams={"data": "demo"})
        translator.fit(
            data.train, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[inspector]
        )
        for path in event_files(folder / name):  # a name without the machine's
            path.rename(path.with_name(f"events.out.tfevents.{time.time():.0f}.example.inspector"))
    return sum(path.stat().st_size for name in NAMESPACES for path in event_files(folder / name))


def main() -> int:
    """Record, and refuse what is too large to ship."""
    size = record_example()
    print(f"{FOLDER}: {size:,} bytes; tensorboard --logdir tensorboard_logs")
    if size > LIMIT:
        print(f"record_example: more than {LIMIT:,} bytes. Look less often.", file=sys.stderr)
    return int(size > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
