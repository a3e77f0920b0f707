"""Callbacks of a comparison: each model has its own, and what they look at changes no number."""

import keras
import numpy as np
import pytest

from custom_layers.comparison import compare
from custom_layers.debugging import GradientInspector
from custom_layers.debugging.log_folder import event_files
from tests.debugging.logs import steps_looked_at

BOTH = {"one": keras.layers, "two": keras.layers}


def test_inspectors_change_no_loss_and_a_log_goes_on_without_a_gap(build_model, arrays, tmp_path):
    x, y = arrays

    def run(steps, **options):
        shared = {"namespaces": BOTH, "batch_size": 16, "progress": False, "seed": 5}
        return compare(build_model, arrays, steps=steps, **shared, **options).record.losses

    def inspectors(name):
        return [GradientInspector(tmp_path / name, (x[:4], y[:4]), every=2)]

    watched = {"callbacks": inspectors, "checkpoint_dir": tmp_path / "checkpoints"}
    plain = run(9)
    run(5, checkpoint_every=2, **watched)
    assert run(9, resume=True, **watched) == plain  # bit for bit
    for name in BOTH:
        assert steps_looked_at(tmp_path / name) == [0, 2, 4, 6, 8]


def test_a_log_that_is_ahead_of_the_checkpoint_is_cut_back(build_model, arrays, tmp_path):
    """After a crash: the checkpoint is of step 4, the log went on to step 6."""
    x, y = arrays

    def inspectors(name):
        return [GradientInspector(tmp_path / name, (x[:4], y[:4]), every=1)]

    def run(steps, folder, **options):
        compare(
            *(build_model, arrays),
            **{"steps": steps, "namespaces": BOTH, "batch_size": 16, "progress": False},
            **{"callbacks": inspectors, "checkpoint_dir": tmp_path / folder, **options},
        )

    run(4, "kept")
    for name in BOTH:
        for path in event_files(tmp_path / name):
            path.unlink()
    run(6, "lost")
    run(8, "kept", resume=True)
    for name in BOTH:
        assert steps_looked_at(tmp_path / name) == list(range(9))


def test_each_model_has_its_own_callbacks_and_they_end_with_an_error(build_model, arrays):
    class Teller(keras.callbacks.Callback):
        def __init__(self, name):
            super().__init__()
            self.told = [name]

        def on_train_begin(self, logs=None):
            self.told.append("begin")

        def on_train_batch_end(self, batch, logs=None):
            assert np.isfinite(logs["loss"])
            self.told.append(batch)
            if batch == 1 and self.told[0] == "two":
                raise KeyError("mine")

        def on_train_end(self, logs=None):
            self.told.append("end")

    tellers = {name: Teller(name) for name in BOTH}
    with pytest.raises(KeyError, match="mine"):
        compare(
            *(build_model, arrays),
            **{"steps": 4, "namespaces": BOTH, "progress": False},
            callbacks=lambda name: [tellers[name]],
        )
    assert tellers["two"].told == ["two", "begin", 0, 1, "end"]
    assert tellers["one"].told[-1] == "end"
