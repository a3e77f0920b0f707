"""Checkpoints, the way back from them, and Ctrl-C."""

import json
import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from custom_layers.comparison import ComparisonInterrupted, compare

BOTH = {"one": keras.layers, "two": keras.layers}


class Stopping(keras.Model):
    """A Functional model that runs `on_step(step)` after each of its training steps."""

    on_step = staticmethod(lambda step: None)

    def train_on_batch(self, *args, **kwargs):
        result = super().train_on_batch(*args, **kwargs)
        self.on_step(int(self.optimizer.iterations))
        return result


@pytest.fixture
def build_stopping(build_model):
    def builder(on_step, only="two"):
        made = []

        def build(layers):
            made.append(layers)
            plain = build_model(layers)
            model = Stopping(plain.inputs, plain.outputs)
            model.compile(keras.optimizers.Adam(0.01), "mse", run_eagerly=True)
            if len(made) == 2:
                model.on_step = on_step
            return model

        return build

    return builder


def datasets(arrays):
    """Shuffled with a seed, anew in each pass; a new object each time, as a new process has."""
    keras.utils.set_random_seed(3)
    return tf.data.Dataset.from_tensor_slices(arrays).shuffle(40, seed=9).batch(16)


@pytest.mark.parametrize("kind", ["arrays", "dataset"])
def test_a_resumed_run_ends_with_the_numbers_of_an_unbroken_one(
    kind, build_model, arrays, tmp_path
):
    def run(steps, **options):
        keras.utils.clear_session()  # layers are named as in a new process
        data = arrays if kind == "arrays" else datasets(arrays)
        return compare(
            build_model, data, steps=steps, namespaces=BOTH, batch_size=16, held_out=arrays,
            evaluate_every=3, progress=False, seed=5, **options,
        )  # fmt: skip

    unbroken = run(9)
    run(5, log_dir=tmp_path, checkpoint_every=2)
    resumed = run(9, log_dir=tmp_path, checkpoint_every=2, resume=True)
    for name in BOTH:
        assert resumed.record.losses[name] == unbroken.record.losses[name]  # bit for bit
        assert resumed.held_out[name] == unbroken.held_out[name]
        weights = zip(
            resumed.models[name].get_weights(), unbroken.models[name].get_weights(), strict=True
        )
        assert all(np.array_equal(ours, theirs) for ours, theirs in weights)
    assert resumed.record.gradient_differences == unbroken.record.gradient_differences
    assert [step for step, _ in resumed.record.held_out_curve] == [3, 5, 6, 9]
    assert resumed.record.seconds["one"][5] is None  # traced again, so not timed
    assert len(resumed.record.seconds["one"]) == 9


def test_one_whole_checkpoint_is_kept(build_model, arrays, tmp_path):
    compare(
        build_model, arrays, steps=5, namespaces=BOTH, checkpoint_every=1,
        checkpoint_dir=tmp_path, progress=False,
    )  # fmt: skip
    assert os.listdir(tmp_path) == ["step-00000005"]
    content = sorted(os.listdir(tmp_path / "step-00000005"))
    assert content == ["one.npz", "record.json", "two.npz"]


def test_an_unfinished_checkpoint_is_not_used(build_model, arrays, tmp_path, capsys):
    (tmp_path / "step-00000003.unfinished").mkdir()
    report = compare(
        build_model, arrays, steps=2, namespaces=BOTH, checkpoint_dir=tmp_path, resume=True,
        progress=False,
    )  # fmt: skip
    assert report.record.step == 2
    assert "no checkpoint in" in capsys.readouterr().err


def test_ctrl_c_finishes_the_step_and_names_the_checkpoint(
    build_stopping, arrays, tmp_path, capsys
):
    def press_ctrl_c(step):
        if step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    def run(on_step, **options):
        return compare(
            build_stopping(on_step), arrays, steps=7, namespaces=BOTH, progress=False, **options
        )

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt) as stop:
        run(press_ctrl_c, log_dir=tmp_path)
    assert isinstance(stop.value, ComparisonInterrupted)
    assert stop.value.step == 4
    assert stop.value.checkpoint == tmp_path / "checkpoints" / "step-00000004"
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line == str(stop.value)
    assert "stopped after step 4 of 7" in line
    assert str(stop.value.checkpoint) in line
    assert signal.getsignal(signal.SIGINT) is before
    resumed = run(lambda step: None, log_dir=tmp_path, resume=True)
    unbroken = run(lambda step: None)
    assert resumed.record.losses == unbroken.record.losses


def test_an_interrupt_from_the_data_loses_nothing(build_model, arrays, tmp_path, monkeypatch):
    from custom_layers.comparison import runner

    def interrupted(dataset):
        for i, batch in enumerate(original(dataset)):
            if i == 3:
                raise KeyboardInterrupt
            yield batch

    original = runner.endless_batches
    monkeypatch.setattr(runner, "endless_batches", interrupted)
    with pytest.raises(ComparisonInterrupted) as stop:
        compare(build_model, arrays, steps=7, namespaces=BOTH, log_dir=tmp_path, progress=False)
    assert stop.value.step == 3
    record = json.loads((stop.value.checkpoint / "record.json").read_text())
    assert len(record["losses"]["one"]) == len(record["losses"]["two"]) == 3


def test_an_interrupt_inside_a_step_keeps_the_checkpoint_before(build_stopping, arrays, tmp_path):
    def interrupt(step):
        if step == 4:
            raise KeyboardInterrupt  # one model has done step 4, perhaps the other one has not

    with pytest.raises(ComparisonInterrupted) as stop:
        compare(
            build_stopping(interrupt), arrays, steps=7, namespaces=BOTH, log_dir=tmp_path,
            checkpoint_every=2, progress=False,
        )  # fmt: skip
    assert stop.value.checkpoint.name == "step-00000002"
    assert stop.value.step == 3
    assert stop.value.checkpoint.exists()


def test_a_second_ctrl_c_does_not_wait(build_stopping, arrays, tmp_path):
    def press_twice(step):
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(ComparisonInterrupted) as stop:
        compare(build_stopping(press_twice), arrays, steps=7, namespaces=BOTH, progress=False)
    assert stop.value.step == 1
    assert stop.value.checkpoint is None
    assert "nothing was kept" in str(stop.value)


def refused(build_model, data, tmp_path, **options):
    with pytest.raises(ValueError, match=r"^compare: ") as error:
        compare(
            build_model, data, checkpoint_dir=tmp_path, resume=True, progress=False,
            **{"steps": 9, "namespaces": BOTH, **options},
        )  # fmt: skip
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_does_not_fit_the_checkpoint_is_refused(build_model, arrays, tmp_path):
    compare(build_model, arrays, steps=3, namespaces=BOTH, checkpoint_dir=tmp_path, progress=False)
    x, y = arrays
    assert "batch 3 of `data` is not the one" in refused(build_model, (x[::-1], y), tmp_path)
    assert "is beyond the last step" in refused(build_model, arrays, tmp_path, steps=2)
    other_names = {"one": keras.layers, "three": keras.layers}
    assert "of the models ['one', 'two']" in refused(
        build_model, arrays, tmp_path, namespaces=other_names
    )

    def wider(layers):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    assert "variables" in refused(wider, arrays, tmp_path)
    (tmp_path / "step-00000003" / "two.npz").write_bytes(b"damaged")
    assert "cannot be read" in refused(build_model, arrays, tmp_path)


def test_bfloat16_weights_survive_a_checkpoint(arrays, tmp_path):
    def build_model(layers):
        model = keras.Sequential([keras.Input((4,)), layers.Dense(2, dtype="bfloat16")])
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    def run(steps, **options):
        return compare(build_model, arrays, steps=steps, namespaces=BOTH, progress=False, **options)

    run(2, checkpoint_dir=tmp_path)
    resumed = run(4, checkpoint_dir=tmp_path, resume=True)
    assert resumed.record.losses == run(4).record.losses
