"""Two models side by side: equal ones are found equal, and planted faults are found."""

import glob
import random
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import custom_layers
from custom_layers.comparison import ComparisonReport, compare


def test_our_layers_and_the_builtin_ones_are_equal(arrays):
    def build_model(layers):
        model = keras.Sequential(
            [
                keras.Input((None,), dtype="int32"),
                layers.Embedding(12, 8, mask_zero=True),
                layers.Bidirectional(layers.GRU(6, return_sequences=True, dropout=0.2)),
                layers.LayerNormalization(),
                layers.Dropout(0.2),
                layers.Dense(12),
            ]
        )
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"], jit_compile=False)
        return model

    x = np.random.default_rng(0).integers(0, 12, (64, 7))
    report = compare(
        build_model, (x, x[:, ::-1]), steps=6, batch_size=16, held_out=(x, x), progress=False
    )
    assert report.record.names == ["builtin", "custom"]
    assert type(report.models["custom"].layers[0]) is custom_layers.Embedding
    assert report.check(held_out=1e-4) == []
    assert max(report.loss_differences("custom")) < 2e-6
    assert report.held_out["custom"].keys() == {"loss", "accuracy"}
    paths = [entry.path for entry in report.record.gradient_differences["custom"]]
    assert len(paths) == 11
    assert any("forward_gru/gru_cell/recurrent_kernel" in path for path in paths)


@pytest.mark.parametrize("run_eagerly", [True, False], ids=["eager", "graph"])
def test_two_equal_models_differ_by_nothing(run_eagerly, build_model, arrays):
    both = {"one": keras.layers, "two": keras.layers}

    def build(layers):
        return build_model(layers, run_eagerly=run_eagerly, jit_compile=False)

    report = compare(build, arrays, steps=5, namespaces=both, progress=False)
    assert report.execution == ("eager" if run_eagerly else "graph, without XLA")
    assert report.loss_differences("two") == [0.0] * 5
    assert report.record.logits_difference == {"two": 0.0}
    assert {e.difference for e in report.record.gradient_differences["two"]} == {0.0}
    assert len(set(report.record.losses["one"])) == 5
    for ours, theirs in zip(*(m.get_weights() for m in report.models.values()), strict=True):
        np.testing.assert_array_equal(ours, theirs)


class NegatedDense(keras.layers.Dense):
    """The last layer's sign turned; two turned layers would cancel out, as tanh is odd."""

    def call(self, x, training=None):
        return -super().call(x) if self.units == 2 else super().call(x)


class GradientCut(keras.layers.Dense):
    """The same outputs, but no gradient flows to the layers before."""

    def call(self, x, training=None):
        return super().call(keras.ops.stop_gradient(x))


class OtherDropout(keras.layers.Dropout):
    def __init__(self, rate, **kwargs):
        super().__init__(rate / 2, **kwargs)


class NoDropout(keras.layers.Layer):
    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)

    def call(self, x):
        return x


class RedrawnDropout(keras.layers.Dropout):
    """The same rate, but the seed generator is advanced once more."""

    def call(self, x, training=False):
        if training:
            self.seed_generator.next()
        return super().call(x, training=training)


class SwappedGates(keras.layers.GRUCell):
    """Update and reset gate exchanged: the same shapes, other values."""

    def call(self, x, states, training=False):
        z, r, n = keras.ops.split(self.kernel, 3, axis=-1)
        kernel = keras.ops.concatenate([r, z, n], axis=-1)
        delta = keras.ops.matmul(x, kernel - self.kernel)
        h, _ = super().call(x, states, training=training)
        return h + 0.1 * delta[:, : self.units], [h + 0.1 * delta[:, : self.units]]


FAULTS = {
    "sign": ({"Dense": NegatedDense}, "outputs on the first batch"),
    "gradient": ({"Dense": GradientCut}, "the gradient of"),
    "rate": ({"Dropout": OtherDropout}, "the gradient of"),
    "mask": ({"Dropout": RedrawnDropout}, "the loss differs"),
    "no dropout": ({"Dropout": NoDropout}, "seed generators"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_noticed(fault, build_model, layers_with, arrays):
    replaced, noticed = FAULTS[fault]
    both = {"builtin": keras.layers, "faulty": layers_with(**replaced)}
    report = compare(build_model, arrays, steps=4, namespaces=both, progress=False)
    found = report.check()
    assert any(noticed in sentence for sentence in found), found
    assert all(sentence.startswith("faulty: ") and "\n" not in sentence for sentence in found)


def test_exchanged_gates_are_noticed(layers_with):
    def build_model(layers):
        model = keras.Sequential([keras.Input((5, 3)), keras.layers.RNN(layers.GRUCell(4))])
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(8, 5, 3)), generator.normal(size=(8, 4))
    both = {"builtin": keras.layers, "faulty": layers_with(GRUCell=SwappedGates)}
    report = compare(build_model, (x, y), steps=2, namespaces=both, progress=False)
    assert report.check()[0].startswith("faulty: outputs on the first batch differ")


def test_an_optimizer_that_differs_is_noticed_in_the_curves(build_model, arrays):
    def with_other_beta(layers):
        model = build_model(layers)
        beta = 0.9 if layers is keras.layers else 0.5
        model.compile(keras.optimizers.Adam(0.01, beta_1=beta), "mse", run_eagerly=True)
        return model

    both = {"builtin": keras.layers, "faulty": SimpleNamespace(**vars(keras.layers))}
    report = compare(with_other_beta, arrays, steps=4, namespaces=both, progress=False)
    (sentence,) = report.check()
    assert "the loss differs from builtin's by" in sentence
    assert "at step 3" in sentence  # the first update of Adam does not depend on beta


def test_other_weights_seeds_and_optimizer_states_are_made_equal(build_model, arrays):
    def with_other_start(layers):
        if layers is not keras.layers:
            random.random()  # Keras draws the seeds of its generators from here
        model = build_model(layers)
        if layers is not keras.layers:
            model.set_weights([w + 1 for w in model.get_weights()])
            model.optimizer.learning_rate = 0.5
        return model

    both = {"builtin": keras.layers, "other": SimpleNamespace(**vars(keras.layers))}
    report = compare(with_other_start, arrays, steps=3, namespaces=both, progress=False)
    assert report.check() == []


def test_a_weight_that_does_not_fit_is_named(build_model, layers_with, arrays):
    class Wider(keras.layers.Dense):
        def __init__(self, units, **kwargs):
            super().__init__(units + 1, **kwargs)

    both = {"builtin": keras.layers, "wide": layers_with(Dense=Wider)}
    with pytest.raises(ValueError, match=r"compare: builtin: weight 0 is `\S+/kernel` \(4, 8\)"):
        compare(build_model, arrays, steps=2, namespaces=both, progress=False)


def test_a_missing_weight_is_named(build_model, layers_with, arrays):
    class Unbiased(keras.layers.Dense):
        def __init__(self, units, **kwargs):
            super().__init__(units, use_bias=units != 2, **kwargs)

    both = {"builtin": keras.layers, "short": layers_with(Dense=Unbiased)}
    with pytest.raises(ValueError, match=r"has 4 weights, short has 3; `\S+/bias` is the first"):
        compare(build_model, arrays, steps=2, namespaces=both, progress=False)


def test_measuring_the_start_leaves_no_trace(build_model, arrays):
    with_partner = compare(
        build_model,
        arrays,
        steps=3,
        namespaces={"a": keras.layers, "b": keras.layers},
        progress=False,
    )
    alone = compare(build_model, arrays, steps=3, namespaces={"a": keras.layers}, progress=False)
    assert alone.record.losses["a"] == with_partner.record.losses["a"]
    assert alone.check() == []
    assert "difference" not in str(alone)


def test_batches_are_drawn_once_and_repeated_when_too_few(build_model, arrays):
    drawn = []

    def generate():
        for i in range(3):
            drawn.append(i)
            yield arrays[0][i : i + 2], arrays[1][i : i + 2]

    signature = (tf.TensorSpec((2, 4)), tf.TensorSpec((2, 2), "float64"))
    data = tf.data.Dataset.from_generator(generate, output_signature=signature)
    both = {"a": keras.layers, "b": keras.layers}
    report = compare(build_model, data, steps=5, namespaces=both, progress=False)
    assert drawn[:5] == [0, 1, 2, 0, 1]
    assert len(drawn) <= 6  # TensorFlow may fetch one batch ahead
    assert report.check() == []


def test_weighted_examples_and_several_inputs(arrays):
    def build_model(layers):
        a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
        model = keras.Model({"a": a, "b": b}, layers.Dense(2)(a) + layers.Dense(2)(b))
        model.compile("sgd", "mse", run_eagerly=True)
        return model

    x, y = arrays
    weights = np.linspace(0, 1, len(x)).astype("float32")
    report = compare(build_model, ({"a": x, "b": -x}, y, weights), steps=3, progress=False)
    assert report.check() == []


def test_all_run_eagerly_when_one_has_to(build_model, arrays):
    def compiled_unequally(layers):
        return build_model(layers, run_eagerly=layers is keras.layers)

    both = {"builtin": keras.layers, "other": SimpleNamespace(**vars(keras.layers))}
    report = compare(compiled_unequally, arrays, steps=1, namespaces=both, progress=False)
    assert report.execution == "eager"
    assert "all run eagerly now" in str(report)


def test_xla_is_used_by_all_or_none(build_model, arrays):
    def compiled_unequally(layers):
        return build_model(layers, run_eagerly=False, jit_compile=layers is keras.layers)

    both = {"builtin": keras.layers, "other": SimpleNamespace(**vars(keras.layers))}
    report = compare(compiled_unequally, arrays, steps=2, namespaces=both, progress=False)
    assert not any(model.jit_compile for model in report.models.values())
    assert report.record.notes == ["Only builtin would have run under XLA: all run without it."]
    assert report.execution == "graph, without XLA"


def test_the_clock_decides_on_times_and_ratio(build_model, arrays):
    """A step of `slow` takes 30 ms by this clock, one of `fast` 20 ms, the first of each 5 s."""
    now, calls = [0.0], {"n": 0}

    def clock():
        calls["n"] += 1
        if calls["n"] % 2 == 0:  # the end of a step
            pair, turn = divmod(calls["n"] // 2 - 1, 2)
            timed_step = pair if pair == 0 else pair + 3  # steps 1 to 3 measure memory instead
            is_slow = (turn == 0) == (timed_step % 2 == 0)
            now[0] += 5.0 if pair == 0 else 0.03 if is_slow else 0.02
        return now[0]

    both = {"slow": keras.layers, "fast": keras.layers}
    report = compare(build_model, arrays, steps=9, namespaces=both, progress=False, clock=clock)
    assert report.record.tracing_seconds == {"slow": 5.0, "fast": 5.0}
    assert report.seconds_per_step("slow").median == pytest.approx(0.03)
    assert report.seconds_per_step("fast") == pytest.approx((0.02, 0.02, 0.02))
    assert report.time_ratio("fast") == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert report.record.seconds["slow"][:4] == [None] * 4
    assert report.check(time_ratio=0.6) == [
        "fast: a step takes 0.67 times as long as slow's, more than 0.60."
    ]
    assert report.check(time_ratio=1.1) == []


def test_metrics_and_held_out_results(build_model, arrays):
    both = {"a": keras.layers, "b": keras.layers}
    report = compare(
        build_model,
        arrays,
        steps=4,
        namespaces=both,
        held_out=arrays,
        evaluate_every=2,
        metrics={"bleu": lambda model: model.count_params() / 2},
        progress=False,
    )
    assert isinstance(report, ComparisonReport)
    assert report.metrics == {"a": {"bleu": 29.0}, "b": {"bleu": 29.0}}
    assert [step for step, _ in report.record.held_out_curve] == [2, 4]
    expected = report.models["a"].evaluate(*arrays, verbose=0, return_dict=True)
    assert report.held_out["a"] == pytest.approx(expected)
    assert report.parameters == {"a": 58, "b": 58}


def test_tensorboard_runs_have_equal_tags(build_model, arrays, tmp_path):
    both = {"builtin": keras.layers, "custom": custom_layers}
    compare(
        build_model,
        arrays,
        steps=6,
        namespaces=both,
        held_out=arrays,
        log_dir=tmp_path,
        metrics={"bleu": lambda model: 1.0},
        progress=False,
    )
    tags = {}
    for name in both:
        (file,) = glob.glob(str(tmp_path / name / "events*"))
        events = [v for e in tf.compat.v1.train.summary_iterator(file) for v in e.summary.value]
        tags[name] = [value.tag for value in events]
    assert tags["builtin"].count("loss") == tags["custom"].count("loss") == 6
    shared = {"loss", "seconds_per_step", "held_out/loss", "held_out/mae", "metrics/bleu"}
    assert shared <= set(tags["builtin"])
    assert set(tags["builtin"]) < set(tags["custom"])
    only_custom = {tag.split("/")[0] for tag in set(tags["custom"]) - set(tags["builtin"])}
    assert only_custom == {"loss_difference", "first_gradient_differences"}
