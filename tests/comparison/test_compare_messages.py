"""What `compare` refuses, in one line and before any training; and what it says while it runs."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import custom_layers
from custom_layers.comparison import compare

BAD_ARGUMENTS = {
    "steps": ({"steps": 0}, ValueError, r"`steps` must be an int >= 1\. Received: 0"),
    "namespaces": ({"namespaces": {}}, ValueError, "`namespaces` must hold one entry"),
    "name": ({"namespaces": {"a/b": keras.layers}}, ValueError, r"become folders.*'a/b'"),
    "data": ({"data": [1, 2]}, TypeError, "`data` must be a tf.data.Dataset.*Received: list"),
    "lengths": (
        {"data": (np.zeros((3, 4)), np.zeros((2, 2)))},
        ValueError,
        r"length.*Received.*\[2, 3\]",
    ),
    "no examples": ({"data": (np.zeros((0, 4)),)}, ValueError, r"length of 1 or more.*\[0\]"),
    "batch size": ({"batch_size": 0}, ValueError, "`batch_size` must be 1 or more"),
    "no batch": (
        {"data": tf.data.Dataset.range(0).map(lambda i: (i, i))},
        ValueError,
        "holds no batch",
    ),
    "held_out": (
        {"held_out": tf.data.Dataset.range(3).repeat()},
        ValueError,
        "never ends",
    ),
    "evaluate": ({"evaluate_every": 2}, ValueError, "`evaluate_every` needs `held_out`"),
    "folder": ({"checkpoint_every": 2}, ValueError, "need a folder for the checkpoints"),
    "resume": ({"resume": True}, ValueError, "need a folder for the checkpoints"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_get_one_clear_line(case, build_model, arrays):
    changed, kind, message = BAD_ARGUMENTS[case]
    arguments = {"data": arrays, "steps": 2, "progress": False, **changed}
    with pytest.raises(kind, match=message) as error:
        compare(build_model, **arguments)
    assert str(error.value).startswith("compare: ")
    assert "\n" not in str(error.value)


def test_a_builder_must_return_new_compiled_models(build_model, arrays):
    both = {"a": keras.layers, "b": custom_layers}
    same = build_model(keras.layers)
    cases = [
        (lambda layers: None, TypeError, "must return a keras.Model.*NoneType"),
        (lambda layers: keras.Sequential([keras.Input((4,))]), ValueError, "a compiled model"),
        (lambda layers: same, ValueError, "a new model each time"),
        (lambda layers: build_model(keras.layers), ValueError, "compared with itself"),
    ]
    for builder, kind, message in cases:
        with pytest.raises(kind, match=message):
            compare(builder, arrays, steps=1, namespaces=both, progress=False)


@pytest.mark.parametrize("argument", ["log_dir", "checkpoint_dir"])
def test_a_folder_that_cannot_be_written_gives_one_line_before_training(
    argument, build_model, arrays, tmp_path
):
    (tmp_path / "file").write_text("not a folder")
    built = []

    def counting(layers):
        built.append(layers)
        return build_model(layers)

    with pytest.raises(ValueError, match=f"`{argument}` cannot be written: .*file") as error:
        compare(counting, arrays, steps=1, progress=False, **{argument: tmp_path / "file" / "runs"})
    assert "\n" not in str(error.value)
    assert built == []


def test_progress_without_a_terminal_is_a_line_now_and_then(build_model, arrays, capsys):
    both = {"a": keras.layers, "b": keras.layers}
    compare(build_model, arrays, steps=20, namespaces=both)
    lines = [s for s in capsys.readouterr().err.splitlines() if s.startswith("compare: step")]
    assert len(lines) == 10
    assert lines[-1].startswith("compare: step 20/20  loss  a ")
    compare(build_model, arrays, steps=2, namespaces=both, progress=False)
    assert "compare: step" not in capsys.readouterr().err
