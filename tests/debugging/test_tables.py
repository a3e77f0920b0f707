"""Data frames hold the recording's and the log's numbers, row by row."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("recording needs TensorFlow", allow_module_level=True)

import tensorflow as tf

import custom_layers
from custom_layers.debugging import GradientInspector, record
from custom_layers.debugging.tables import read_log, table_of, table_of_weights
from custom_layers.debugging.tensorboard_writer import TensorBoardWriter
from tests.debugging.logs import events

rng = np.random.default_rng(3)
x = rng.integers(1, 9, (10, 6))
x[3:, 4:] = 0  # padding
y = rng.standard_normal((10, 1)).astype("float32")


def make(layers=custom_layers):
    keras.utils.clear_session()
    keras.utils.set_random_seed(4)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Embedding(9, 3, mask_zero=True, name="words"),
            layers.LSTM(5, name="lstm"),
            layers.Dense(1, name="dense"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


@pytest.fixture(scope="module")
def recording():
    model = make()
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(x) - y) ** 2)
    return trace.read(tape, loss)


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory):
    """Twelve looks, which TensorBoard would show a sample of, in two files of one run."""
    folder = tmp_path_factory.mktemp("run")
    model = make()
    inspector = GradientInspector(folder, (x, y), every=1)
    for _ in range(2):
        model.fit(x, y, batch_size=5, epochs=3, verbose=0, callbacks=[inspector])
    return folder


def test_each_step_of_a_quantity_has_its_row(recording):
    table = table_of(recording)
    assert set(table["name"]) == set(recording)
    for name in ("lstm/h", "lstm/c", "lstm/f"):
        rows = table[table["name"] == name]
        gradient = recording[name].gradient.numpy().astype("float64")  # (batch, steps, units)
        assert rows["step"].tolist() == list(range(6))
        assert rows["examples"].tolist() == [10, 10, 10, 10, 3, 3]
        np.testing.assert_allclose(rows["norm"], recording[name].gradient_norms())
        np.testing.assert_allclose(rows["mean"], gradient.mean(axis=(0, 2)))
        np.testing.assert_allclose(rows["largest"], np.abs(gradient).max(axis=(0, 2)))
        np.testing.assert_allclose(rows["zeros"], (gradient == 0).mean(axis=(0, 2)))
        assert set(rows["layer"]) == {"lstm"}
    output = table.query("layer == 'dense' and quantity == 'output'").iloc[0]
    assert output["step"] is table["step"].dtype.na_value
    np.testing.assert_allclose(output["norm"], tf.norm(recording["dense/output"].gradient))


def test_each_weight_has_its_row(recording):
    table = table_of_weights(recording).set_index("name")
    assert table.index.tolist() == list(recording.weights)
    for name, gradient in recording.weights.items():
        dense = tf.convert_to_tensor(gradient).numpy()
        np.testing.assert_allclose(table.loc[name, "norm"], np.linalg.norm(dense), rtol=1e-6)
        assert table.loc[name, "entries"] == dense.size
        assert table.loc[name, "reached"]
    assert table.loc["lstm/lstm_cell/kernel", "layer"] == "lstm/lstm_cell"


def test_a_weight_that_the_loss_does_not_reach_is_said():
    first = keras.layers.Dense(2, name="used")
    second = keras.layers.Dense(2, name="unused")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, [first(inputs), second(inputs)])
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(tf.fill((2, 3), np.nan))[0])
    table = table_of_weights(trace.read(tape, loss)).set_index("name")
    assert not table.loc["unused/kernel", "reached"]
    assert np.isnan(table.loc["unused/kernel", "norm"])
    assert table.loc["used/kernel", "not_finite"] == 1
    assert np.isnan(table.loc["used/kernel", "norm"])


def test_the_log_is_read_whole_and_as_tensorboard_reads_it(log_dir):
    log = read_log(log_dir)
    whole = events(log_dir)
    written = [e for tag in whole.Tags()["tensors"] for e in whole.Tensors(tag)]
    assert log.scalars["step"].is_monotonic_increasing
    assert sorted(log.scalars.query("tag == 'loss/probe'")["step"]) == list(range(13))
    assert len(written) > len(log.scalars) > 12 * 100
    frames = {tag: rows for frame in log for tag, rows in frame.groupby("tag")}
    numbers = 0
    for tag in whole.Tags()["tensors"]:
        if tag.startswith(("_hparams_", "custom_scalars", "verdict")) or tag.endswith("heat_map"):
            continue
        rows = frames[tag]
        for event in whole.Tensors(tag):
            value = tf.make_ndarray(event.tensor_proto)
            found = rows[rows["step"] == event.step]
            if "left" in rows:
                np.testing.assert_array_equal(found[["left", "right", "count"]], value)
            elif "time_step" in rows:
                np.testing.assert_array_equal(found[["time_step", "value"]], value[:, [0, 2]])
            else:
                np.testing.assert_array_equal(found["value"], value)
            numbers += len(found)
    assert numbers == sum(len(frame) for frame in log)


def test_two_writers_of_one_run_are_read_in_the_order_of_steps(tmp_path):
    for steps in [(0, 20), (10, 30)]:
        writer = TensorBoardWriter(tmp_path)
        for step in steps:
            writer.numbers(step, {"a/norm": step / 2}, {"a/norm_by_step": np.ones(2)})
        writer.close()
    log = read_log(tmp_path)
    assert log.scalars["step"].tolist() == [0, 10, 20, 30]
    assert log.scalars["value"].tolist() == [0, 5, 10, 15]


def test_a_tag_is_taken_apart(log_dir):
    log = read_log(log_dir)
    parts = log.scalars.set_index("tag")[["layer", "quantity", "measure"]]
    assert parts.loc["lstm/h/vanishing_ratio"].iloc[0].tolist() == ["lstm", "h", "vanishing_ratio"]
    norm = parts.loc["lstm/lstm_cell/kernel/gradient_norm"].iloc[0].tolist()
    assert norm == ["lstm/lstm_cell", "kernel", "gradient_norm"]
    whole = parts.loc["all_weights/gradient_norm"].iloc[0].tolist()
    assert whole == ["", "all_weights", "gradient_norm"]


def test_a_folder_without_a_log_is_one_line(tmp_path):
    with pytest.raises(ValueError, match=r"read_log: `log_dir` must be .* Received: .* Name the"):
        read_log(tmp_path)
