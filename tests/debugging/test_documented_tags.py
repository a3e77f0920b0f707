"""Each tag that is written is explained in tensorboard_logs/README.md, and the other way round."""

import pathlib
import re

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("the inspector writes TensorFlow summaries", allow_module_level=True)

import custom_layers
from custom_layers.debugging import GradientInspector
from custom_layers.debugging.log_folder import event_files, events_of
from tutorials.nmt_with_attention.record_example import LIMIT, record_example

LOGS = pathlib.Path(__file__).parents[2] / "tensorboard_logs"
NAMES = {  # what stands in angle brackets on the page
    "<layer>": ".+",
    "<quantity>": "[^/]+",
    "<output>": "output(_[0-9]+)?",
    "<state>": "[hc]",
    "<gate>": "[ifgozrn]",
    "<attention>": "attention_(scores|weights)",
}


ONLY_OF_NAN = "(.+)/([^/]+)/first_not_finite_step"


def tags_of(folder):
    events = [event for path in event_files(folder) for event in events_of(path)]
    return {entry.tag for event in events for entry in event.summary.value}


def patterns(weights):
    """The page's tags as patterns; `weights` are the names of weights, without their layers."""
    page = (LOGS / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `([^`]+)` \|", page, flags=re.MULTILINE)
    names = NAMES | {"<weight>": "|".join(map(re.escape, sorted(weights)))}
    assert len(found) == len(set(found)) > 40
    return [re.sub(r"<\w+>", lambda name: f"({names[name.group()]})", tag) for tag in found]


def undocumented_and_unwritten(tags, weights):
    explained = patterns(weights)
    undocumented = {tag for tag in tags if not any(re.fullmatch(p, tag) for p in explained)}
    unwritten = {p for p in explained if not any(re.fullmatch(p, tag) for tag in tags)}
    return undocumented, unwritten


def test_all_that_is_written_is_explained_and_the_other_way_round(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(1, 9, (8, 5)), rng.standard_normal((8, 5, 2))
    inputs = keras.Input((5,))
    sequence = custom_layers.Embedding(9, 4, mask_zero=True)(inputs)
    sequence = custom_layers.LSTM(4, return_sequences=True)(sequence)
    sequence, state = custom_layers.GRU(4, return_sequences=True, return_state=True)(sequence)
    sequence = custom_layers.MultiHeadAttention(2, 2)(query=sequence, value=sequence)
    model = keras.Model(inputs, custom_layers.Dense(2)(sequence + state[:, None]))
    model.compile(keras.optimizers.Adam(clipnorm=1.0), "mse")
    model.fit(x, y, verbose=0, epochs=2, callbacks=[GradientInspector(tmp_path, (x, y), every=1)])
    weights = {weight.name for weight in model.weights}
    undocumented, unwritten = undocumented_and_unwritten(tags_of(tmp_path), weights)
    assert undocumented == set()
    assert unwritten == {ONLY_OF_NAN}


def test_the_example_is_small_enough_to_ship_and_holds_the_explained_tags():
    files = [path for run in ("builtin", "custom") for path in event_files(LOGS / "example" / run)]
    assert len(files) == 2
    assert sum(path.stat().st_size for path in files) <= LIMIT
    builtin, custom = (tags_of(LOGS / "example" / run) for run in ("builtin", "custom"))
    assert builtin < custom  # what both write lies over each other
    weights = {tag.split("/")[-2] for tag in builtin if tag.endswith("/update_ratio")}
    undocumented, unwritten = undocumented_and_unwritten(custom, weights)
    assert undocumented == set()
    assert unwritten == {ONLY_OF_NAN, "all_weights/gradient_norm_clipped"}  # it does not clip
    for part in ("h/heat_map", "h/vanishing_ratio", "attention_weights/entropy", "r/saturated_low"):
        assert any(tag.endswith(part) for tag in custom)


@pytest.mark.slow
def test_the_example_is_what_its_command_records(tmp_path):
    record_example(tmp_path, steps=4, every=1)
    for run in ("builtin", "custom"):
        assert tags_of(tmp_path / run) == tags_of(LOGS / "example" / run)
