"""Settings, the page of charts and the model's graph: written once a log, by TensorBoard's own forms."""

import re

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("the inspector writes TensorFlow summaries", allow_module_level=True)

import tensorflow as tf
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata as hparams_metadata

import custom_layers
from custom_layers.debugging import GradientInspector
from custom_layers.debugging.dashboard import settings_of
from custom_layers.debugging.layer_graph import layer_graph
from custom_layers.debugging.log_folder import event_files, events_of
from custom_layers.debugging.tables import read_log

rng = np.random.default_rng(0)
x = rng.integers(1, 9, (12, 5))
y = rng.standard_normal((12, 1)).astype("float32")


def make(layers=custom_layers):
    keras.utils.clear_session()
    model = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Embedding(9, 3, mask_zero=True, name="words"),
            layers.Bidirectional(layers.GRU(4), name="both"),
            layers.Dense(1, name="dense"),
        ]
    )
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)
    model.compile(keras.optimizers.Adam(schedule, global_clipnorm=1.0), "mse")
    return model


def events(folder):
    return [event for path in event_files(folder) for event in events_of(path)]


def entries(folder, tag):
    return [v for event in events(folder) for v in event.summary.value if v.tag == tag]


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory):
    """Two runs of `fit` into one log."""
    folder = tmp_path_factory.mktemp("run")
    model = make()
    settings = {"data": "demo", "dropout": np.float32(0.25)}
    inspector = GradientInspector(folder, (x[:6], y[:6]), every=2, hparams=settings)
    for _ in range(2):
        model.fit(x, y, batch_size=4, verbose=0, callbacks=[inspector])
    return folder


def test_settings_are_written_once_with_the_users_own(log_dir):
    (entry,) = entries(log_dir, hparams_metadata.SESSION_START_INFO_TAG)
    content = entry.metadata.plugin_data.content
    start = hparams_metadata.parse_session_start_info_plugin_data(content)
    found = {
        name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()
    }
    expected = {
        "optimizer": "Adam",
        "optimizer/learning_rate": "ExponentialDecay",
        "optimizer/global_clipnorm": 1.0,
        "optimizer/beta_1": 0.9,
        "loss": "mse",
        "weights": sum(w.shape.num_elements() for w in map(tf.convert_to_tensor, make().weights)),
        "layers": "Bidirectional, Dense, Embedding, 2 × GRU",
        "layers from": "custom_layers",
        "precision": "float32",
        "every": 2,
        "probe batch": 6,
        "data": "demo",
        "dropout": 0.25,
    }
    assert {name: found[name] for name in expected} == expected
    (entry,) = entries(log_dir, hparams_metadata.EXPERIMENT_TAG)
    columns = hparams_metadata.parse_experiment_plugin_data(entry.metadata.plugin_data.content)
    assert {info.name for info in columns.hparam_infos} == set(found)
    tags = set(read_log(log_dir).scalars["tag"])
    assert {info.name.tag for info in columns.metric_infos} <= tags


def test_every_chart_of_the_layout_finds_what_it_is_of(log_dir):
    (entry,) = entries(log_dir, "custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(entry.tensor.string_val[0])
    tags = set(read_log(log_dir).scalars["tag"])
    shown = {}
    for category in layout.category:
        for chart in category.chart:
            patterns = chart.multiline.tag
            found = {tag for tag in tags for pattern in patterns if re.match(pattern, tag)}
            assert found, (category.title, chart.title)
            assert not any(re.match(p, f"{tag}_more") for p in patterns for tag in found)
            shown.setdefault(category.title, {})[chart.title] = found
    whole, vanishing, gradients, updates, saturation = shown.values()
    assert {"all_weights/gradient_norm", "all_weights/gradient_norm_clipped"} in whole.values()
    assert {"all_weights/noise_scale"} in whole.values()
    assert set().union(*vanishing.values()) == {t for t in tags if t.endswith("vanishing_ratio")}
    weights = {t.removesuffix("/update_ratio") for t in tags if t.endswith("/update_ratio")}
    assert set().union(*gradients.values()) == {f"{w}/gradient_norm" for w in weights}
    assert set().union(*updates.values()) == {f"{w}/update_ratio" for w in weights}
    assert set(gradients) == set(updates) == {w.rpartition("/")[0] for w in weights}
    assert set(saturation) == {"both/forward_gru", "both/backward_gru"}
    assert set().union(*saturation.values()) == {t for t in tags if "/saturated_" in t}


def test_the_graph_is_written_once(log_dir):
    graphs = [event.graph_def for event in events(log_dir) if event.HasField("graph_def")]
    assert len(graphs) == 1
    assert len(graphs[0]) < 5_000


@pytest.mark.parametrize("layers", [custom_layers, keras.layers], ids=["custom", "builtin"])
def test_the_graph_is_one_of_layers(layers):
    model = make(layers)
    before = [variable.numpy() for variable in model.variables]
    graph = layer_graph(model, tf.constant(x))
    nodes = {node.name: (node.op, set(node.input)) for node in graph.node}
    assert nodes == {
        "input_1": ("Placeholder", set()),
        "words": ("Embedding", {"input_1"}),
        # the mask comes from the input, past the embedding
        "both/forward_gru": ("GRU", {"words", "input_1"}),
        "both/backward_gru": ("GRU", {"words", "input_1"}),
        "both": ("Bidirectional", {"both/forward_gru", "both/backward_gru"}),
        "dense": ("Dense", {"both"}),
    }
    shape = next(n for n in graph.node if n.name == "both").attr["_output_shapes"].list.shape[0]
    assert [axis.size for axis in shape.dim] == [12, 8]
    assert graph.node[0].name == "input_1"
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_a_layer_that_is_called_twice_and_several_outputs():
    first, second = keras.Input((3,), name="a"), keras.Input((3,), name="b")
    shared = keras.layers.Dense(3, name="shared")
    sequence = keras.layers.Reshape((1, 3), name="sequence")(shared(first) - shared(second))
    output, state = custom_layers.GRU(2, return_state=True, name="gru")(sequence)
    model = keras.Model([first, second], [output, keras.layers.Dense(1, name="end")(state)])
    graph = layer_graph(model, [tf.ones((2, 3)), tf.ones((2, 3))])
    nodes = {node.name: set(node.input) for node in graph.node}
    assert nodes["shared"] | nodes["shared.2"] == {"input_1", "input_2"}
    assert nodes["sequence"] == {"shared", "shared.2"}  # past the operation, which is no layer
    assert nodes["end"] == {"gru"}


def test_both_houses_differ_in_where_their_layers_are_from_only():
    ours, theirs = settings_of(make()), settings_of(make(keras.layers))
    assert {name for name in ours if ours[name] != theirs[name]} == {"layers from"}
    assert theirs["layers from"] == "keras"


@pytest.mark.parametrize("hparams", [["data"], {"data": [1]}, {1: "data"}], ids=str)
def test_settings_are_simple(hparams, tmp_path):
    with pytest.raises(
        ValueError, match=r"`hparams` must be a dict of names to.*Received: hparams"
    ):
        GradientInspector(tmp_path, (x, y), hparams=hparams)
