"""What is drawn is what was recorded: the data in the axes equal the arrays."""

import keras
import numpy as np
import pandas as pd
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("recording needs TensorFlow", allow_module_level=True)

import tensorflow as tf
from IPython.core.formatters import DisplayFormatter
from matplotlib.colors import to_hex
from matplotlib.patches import StepPatch

import custom_layers
from custom_layers.debugging import pictures, record

rng = np.random.default_rng(6)
x = rng.integers(1, 9, (4, 7))
x[2, 5:] = 0  # padding


@pytest.fixture(scope="module")
def model():
    keras.utils.clear_session()
    keras.utils.set_random_seed(4)
    inputs = keras.Input((7,))
    words = custom_layers.Embedding(9, 3, mask_zero=True, name="words")(inputs)
    state = custom_layers.GRU(5, name="gru")(words)
    used = custom_layers.Dense(2, name="used")(state)
    unused = custom_layers.Dense(2, name="unused")(state)
    return keras.Model(inputs, [used, unused])


@pytest.fixture(scope="module")
def recording(model):
    with record(model) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x)[0] ** 2)
    return trace.read(tape, loss)


def legend_of(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_heat_map_holds_the_norms_and_shows_zero_and_nan_apart():
    steps = np.array([0, 100, 200, 400])
    norms = 10.0 ** rng.uniform(-6, 0, (5, 4))
    norms[0, 1], norms[3, 2], norms[4, 3] = 0, np.nan, np.inf
    places = [(t, s) for t in range(5) for s in range(4)]
    frame = pd.DataFrame(
        [("a/h/gradient_norm_by_step", steps[s], t, norms[t, s]) for t, s in places],
        columns=["tag", "step", "time_step", "value"],
    )
    figure = pictures.heat_map(frame, "a/h/gradient_norm_by_step")
    axes = figure.axes[0]
    drawn, wrong = axes.collections
    shown = drawn.get_array()
    hidden = ~np.isfinite(norms) | (norms == 0)
    np.testing.assert_array_equal(np.ma.getmaskarray(shown), hidden)
    np.testing.assert_array_equal(shown.compressed(), norms[~hidden])
    np.testing.assert_array_equal(~np.ma.getmaskarray(wrong.get_array()), ~np.isfinite(norms))
    edges = drawn.get_coordinates()[0, :, 0]
    np.testing.assert_array_equal(edges, [-50, 50, 150, 300, 500])
    assert legend_of(figure) == ["exactly 0", "NaN or inf"]
    assert to_hex(axes.get_facecolor()) == pictures.ZERO.lower()
    assert (drawn.norm.vmin, drawn.norm.vmax) == (shown.min(), shown.max())
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first time step on top
    assert set(axes.get_xticks()) <= set(steps)


@pytest.mark.parametrize("value", [0.0, np.nan, 1e-3])
def test_heat_map_of_one_look_and_of_nothing_to_draw(value):
    figure = pictures.draw_heat_map(np.full((3, 1), value), np.array([7]), "a/h/x")
    figure.canvas.draw()
    expected = {0.0: ["exactly 0"], 1e-3: []}.get(value, ["NaN or inf"])
    assert legend_of(figure) == expected


def test_gates_are_drawn_by_word_and_masked_steps_are_not(recording):
    words = ["[start]", "the", "cat", "sat", "[end]"]
    figure = pictures.gates_over_time(recording, "gru", words, example=2)
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_ylabel().split("\n")[0] for axes in panels] == ["z", "r", "n", "h"]
    for axes, kind in zip(panels, "zrnh", strict=True):
        values = axes.images[0].get_array()  # (units, steps)
        assert values.mask[:, 5:].all()
        assert not values.mask[:, :5].any()
        np.testing.assert_array_equal(
            values[:, :5], recording[f"gru/{kind}"].value[2, :5].numpy().T
        )
        limits = axes.images[0].get_clim()
        assert limits == (0, 1) if kind in "zr" else limits[0] == -limits[1]
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[4].lines}
    for kind in "zrnh":
        norms = np.linalg.norm(recording[f"gru/{kind}"].gradient[2].numpy(), axis=-1)
        drawn = lines[kind][:5]
        np.testing.assert_allclose(drawn, np.where(norms[:5] > 0, norms[:5], np.nan), rtol=1e-6)
        assert np.isnan(lines[kind][5:]).all()
    labels = [label.get_text() for label in figure.axes[4].get_xticklabels()]
    assert labels == [*words, "", ""]


def test_gradient_flow_has_a_bar_for_each_layer_in_order(recording):
    figure = pictures.gradient_flow(recording)
    outputs, weights = figure.axes
    layers = [name.removesuffix("/output") for name in recording if name.endswith("/output")]
    assert layers[:2] == ["words", "gru"]
    assert [label.get_text() for label in outputs.get_yticklabels()] == layers
    bars = {round(bar.get_y() + 0.35): bar.get_width() for bar in outputs.patches}
    reached = [(place, layer) for place, layer in enumerate(layers) if layer != "unused"]
    for place, layer in reached:
        norm = np.linalg.norm(recording[f"{layer}/output"].gradient)
        np.testing.assert_allclose(bars[place], norm, rtol=1e-6)
    bars = {round(bar.get_y() + 0.35): bar.get_width() for bar in weights.patches}
    gradients = {k: tf.convert_to_tensor(g) for k, g in recording.weights.items() if g is not None}
    for place, layer in reached:
        own = [g for name, g in gradients.items() if name.startswith(f"{layer}/")]
        np.testing.assert_allclose(bars[place], tf.linalg.global_norm(own), rtol=1e-6)
    for axes in (outputs, weights):
        assert len(axes.patches) == 3
        assert [(t.get_position()[1], t.get_text()) for t in axes.texts] == [
            (layers.index("unused"), "not reached")
        ]
        assert axes.get_xscale() == "log"


def test_gradient_flow_says_zero_and_nan(model):
    with record(model) as trace, tf.GradientTape() as tape:
        used, unused = model(x)
        loss = tf.reduce_sum(used) * np.nan + tf.reduce_sum(unused) * 0
    outputs = pictures.gradient_flow(trace.read(tape, loss)).axes[0]
    layers = [label.get_text() for label in outputs.get_yticklabels()]
    said = {layers[text.get_position()[1]]: text.get_text() for text in outputs.texts}
    assert said == {layer: "0" if layer == "unused" else "NaN or inf" for layer in layers}


def test_ridges_are_the_histograms():
    rows = [
        ("a/kernel/gradient", step, left, left + 0.5, count + step)
        for step in range(40)
        for left, count in ((-0.5, 3), (0.0, 0), (0.5, 9))
    ]
    frame = pd.DataFrame(rows, columns=["tag", "step", "left", "right", "count"])
    axes = pictures.histograms_over_training(frame, "a/kernel/gradient").axes[0]
    ridges = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
    labels = [int(label.get_text()) for label in axes.get_yticklabels()]
    assert len(ridges) == len(labels) == pictures.RIDGES
    assert (labels[0], labels[-1]) == (0, 39)
    assert f"{pictures.RIDGES} of 40 looks" in axes.get_title(loc="left")
    for place, (step, ridge) in enumerate(zip(labels, ridges, strict=True)):
        values, edges, baseline = ridge.get_data()
        counts = np.log1p(np.array([3, 0, 9]) + step)
        np.testing.assert_allclose((place - values) / 1.6, counts / counts.max())
        np.testing.assert_array_equal(edges, [-0.5, 0, 0.5, 1])
        assert baseline == place


def test_a_notebook_shows_a_picture_without_pyplot(recording):
    shown, _ = DisplayFormatter().format(pictures.gradient_flow(recording))
    assert shown["image/png"].startswith(b"\x89PNG")


def test_bad_input_gets_one_line(recording):
    frame = pd.DataFrame({"tag": ["a/h/x"], "step": [0], "time_step": [0], "value": [1.0]})
    with pytest.raises(
        ValueError, match=r"heat_map: `tag` must .* Received: tag='b'.*holds: a/h/x"
    ):
        pictures.heat_map(frame, "b")
    with pytest.raises(ValueError, match=r"`layer` must .* Received: layer='lstm'.*Recorded: gru"):
        pictures.gates_over_time(recording, "lstm")
    with pytest.raises(
        ValueError, match=r"`example` must be a row of the batch, 0 to 3.*example=4"
    ):
        pictures.gates_over_time(recording, "gru", example=4)
    with pytest.raises(ValueError, match=r"`words` must name each of the 5 steps.*2 words"):
        pictures.gates_over_time(recording, "gru", ["a", "b"], example=2)
