"""A log outlives the process that writes it, and goes on where the training does."""

import subprocess
import sys

import keras
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("logs are TensorFlow's", allow_module_level=True)

from custom_layers.debugging.log_folder import drop_events_after, event_files, events_of
from custom_layers.debugging.tensorboard_writer import TensorBoardWriter

DIES = """
import os, sys, signal
import keras, numpy as np
import custom_layers
from custom_layers.debugging import GradientInspector

x = np.ones((8, 3, 2), "float32")
model = keras.Sequential([keras.Input((3, 2)), custom_layers.GRU(2), custom_layers.Dense(1)])
model.compile("sgd", "mse", run_eagerly=True)
kill = keras.callbacks.LambdaCallback(
    on_train_batch_begin=lambda batch, logs: batch == 5 and os.kill(os.getpid(), signal.SIGKILL)
)
inspector = GradientInspector(sys.argv[1], (x, x[:, 0, :1]), every=2)
model.fit(x, x[:, 0, :1], batch_size=1, verbose=0, callbacks=[inspector, kill])
"""


def steps_in(folder):
    events = [event for path in event_files(folder) for event in events_of(path)]
    return sorted({event.step for event in events if event.HasField("summary")})


def test_what_was_seen_before_a_crash_is_on_the_disk(tmp_path):
    died = subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], capture_output=True)
    assert died.returncode == -9, died.stderr.decode()[-2000:]
    assert steps_in(tmp_path) == [0, 2, 4]


def test_an_event_that_was_cut_off_is_left_out_and_the_rest_is_kept(tmp_path):
    for steps in ((0, 2, 4), (6, 8)):  # two files, one of each process
        writer = TensorBoardWriter(tmp_path)
        for step in steps:
            writer.numbers(step, {"a": float(step)})
        writer.close()
    last = event_files(tmp_path)[-1]
    last.write_bytes(last.read_bytes()[:-7])
    assert steps_in(tmp_path) == [0, 2, 4, 6]
    assert drop_events_after(tmp_path, 4) == 4
    assert steps_in(tmp_path) == [0, 2, 4]
    assert drop_events_after(tmp_path, 3) == 2
    assert drop_events_after(tmp_path / "none", 3) is None


def test_files_of_others_are_left_alone(tmp_path):
    theirs = tmp_path / "events.out.tfevents.1.machine"
    theirs.write_bytes(b"not ours")
    TensorBoardWriter(tmp_path).close()
    drop_events_after(tmp_path, -1)
    assert theirs.read_bytes() == b"not ours"
