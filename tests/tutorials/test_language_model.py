"""The page on language models: its measures against derivations of their own, and its longer run."""

import json
import math
import re
from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf

import custom_layers
from custom_layers.data import CharacterVocabulary, TextStreams, generated_play
from tutorials import character_corpus
from tutorials.language_model import borders, learning, longer_run, pictures, sampling, units
from tutorials.language_model.counting import nats_by_counting
from tutorials.language_model.model import Dropouts, Sizes, build

SIZES = Sizes(embedding=5, units=6)
NUMBERS = np.random.default_rng(0).integers(0, 7, 400).astype("int32")


def model_of(layers=custom_layers, batch=4, jit=False, rate=0.01, **options):
    keras.utils.set_random_seed(0)
    own = {"gradient": "bptt"} if layers is custom_layers else {}
    return learning.compiled(build(layers, 7, SIZES, batch, **own, **options), rate, 100, jit)


@pytest.mark.parametrize("context", range(6))
def test_counting_by_dictionaries(context):
    training, held_out = NUMBERS[:250].tolist(), NUMBERS[250:].tolist()
    tables = [
        Counter(tuple(training[t - k : t + 1]) for t in range(k, len(training)))
        for k in range(context + 1)
    ]
    total = 0.0
    for t, x in enumerate(held_out):
        p = 1 / 7
        for k in range(min(context, t) + 1):
            before = tuple(held_out[t - k : t])
            seen = sum(tables[k][(*before, other)] for other in range(7))
            p = (tables[k][(*before, x)] + 5 * p) / (seen + 5)
        total -= math.log(p)
    found = nats_by_counting(np.array(training), np.array(held_out), 7, context)
    assert found == pytest.approx(total / len(held_out), rel=1e-12)


@pytest.mark.parametrize(("kind", "jit"), [("GRU", True), ("LSTM", False)])
def test_built_in_and_custom_learn_alike_on_streams(kind, jit):
    """XLA compiles the custom layers alone: what Keras's give is compared with that, too."""
    streams = TextStreams(np.arange(400) % 7, 4, 9)
    built_in = learning.first_losses(model_of(keras.layers, kind=kind), streams, 5)
    custom = learning.first_losses(model_of(kind=kind, jit=jit), streams, 5)
    np.testing.assert_allclose(custom, built_in, atol=2e-6)  # measured: 2e-7
    assert custom[-1] < custom[0] - 0.01


def test_the_loss_of_each_update_is_its_own():
    streams = TextStreams(NUMBERS, 4, 9)
    model = model_of(rate=0.0)
    told = learning.first_losses(model, streams, 3)
    forgetting = model_of(stateful=False)
    forgetting.set_weights(model.get_weights())
    x, y = (np.concatenate([streams.window(n)[i] for n in range(3)], axis=1) for i in (0, 1))
    by_hand = learning.cross_entropies(forgetting.predict_on_batch(x), y)
    np.testing.assert_allclose(told, by_hand.reshape(4, 3, 9).mean(axis=(0, 2)), atol=1e-5)


def test_cross_entropy_is_keras_s():
    rng = np.random.default_rng(1)
    logits, targets = 5 * rng.standard_normal((3, 4, 7)), rng.integers(0, 7, (3, 4))
    expected = keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
    np.testing.assert_allclose(learning.cross_entropies(logits, targets), expected, rtol=1e-5)


def test_nats_of_a_text_and_by_place():
    keeping, forgetting = model_of(), model_of(stateful=False)
    x, y = TextStreams(NUMBERS, 4, 96).window(0)
    whole = learning.cross_entropies(forgetting.predict_on_batch(x), y)
    assert learning.nats_of(keeping, NUMBERS, steps=12) == pytest.approx(whole.mean(), abs=1e-5)
    by_place = learning.nats_by_place(keeping, NUMBERS, 12)
    np.testing.assert_allclose(by_place, whole.reshape(4, 8, 12).mean(axis=(0, 1)), atol=1e-5)
    windows = [
        learning.cross_entropies(forgetting.predict_on_batch(x[:, t : t + 12]), y[:, t : t + 12])
        for t in range(0, 96, 12)
    ]
    anew = learning.nats_by_place(forgetting, NUMBERS, 12)
    np.testing.assert_allclose(anew, np.mean(windows, axis=(0, 1)), atol=1e-5)
    assert np.abs(anew - by_place).max() > 1e-4, "the windows' beginnings differ"


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_truncation_and_windows_give_one_gradient(kind):
    rng = np.random.default_rng(2)
    x, cotangent = rng.standard_normal((2, 12, 3)), rng.standard_normal((2, 12, 4))

    def layer(**options):
        keras.utils.set_random_seed(1)
        options = {"return_sequences": True, "dtype": "float64", "gradient": "bptt"} | options
        return getattr(custom_layers, kind)(4, **options)

    whole, whole_gradient = borders.outputs_and_gradient(layer(), x, cotangent)
    outputs, added = borders.in_windows(layer(stateful=True), x, cotangent, 4)
    _, cut = borders.outputs_and_gradient(layer(truncate_every=4), x, cotangent)
    np.testing.assert_allclose(outputs, whole, atol=1e-13)
    assert borders.relative(added, cut) < 1e-13
    assert borders.relative(added, whole_gradient) > 0.01


def test_the_reach_of_a_gradient_step_by_step():
    model = model_of(stateful=False)
    streams = TextStreams(NUMBERS, 4, 6)
    found = borders.reach_of_gradient(model, streams, windows=2)
    cell = model.get_layer("recurrent_1").cell
    shares = []
    for n in range(2):
        x, y = streams.window(n)
        norms = []
        for begin in range(6):
            embedded = model.get_layer("embedding")(x)
            h = tf.zeros((4, 6))
            for t in range(begin + 1):
                h, _ = cell(embedded[:, t], [h])
            with tf.GradientTape() as tape:
                tape.watch(h)
                last = h
                for t in range(begin + 1, 6):
                    last, _ = cell(embedded[:, t], [last])
                logits = model.get_layer("logits")(last)
                loss = keras.losses.sparse_categorical_crossentropy(y[:, -1], logits, True)
            norms.append(np.linalg.norm(tape.gradient(loss, h), axis=-1))
        shares.append(np.transpose(norms) / norms[-1][:, None])
    np.testing.assert_allclose(found, np.mean(shares, axis=(0, 1)), rtol=1e-4)


@pytest.mark.parametrize(
    ("dropouts", "kept"), [(Dropouts(fresh=0.5), False), (Dropouts(kept=0.5), True)]
)
def test_fresh_masks_change_at_every_step_and_kept_ones_do_not(dropouts, kept):
    """A GRU that listens to no state, on one character over and over: only masks can differ."""
    model = model_of(dropouts=dropouts)
    layer = model.get_layer("recurrent_1")
    kernel, recurrent, bias = layer.get_weights()
    bias[0, :6] = -50  # the update gate is shut
    layer.set_weights([kernel, 0 * recurrent, bias])
    logits = np.array(model(np.full((4, 8), 3, "int32"), training=True))
    steps_apart = np.abs(logits - logits[:, :1]).max()
    assert steps_apart < 1e-6 if kept else steps_apart > 0.01
    assert np.abs(logits - logits[:1]).max() > 0.01, "rows have masks of their own"


def test_masks_of_the_state_are_drawn_as_asked_for():
    layer = model_of(dropouts=Dropouts(kept=0.2, kept_state=0.4)).get_layer("recurrent_1")
    ones = np.ones((500, 6), "float32")
    masks = np.array(layer.cell.get_recurrent_dropout_mask(ones))
    assert np.mean(masks == 0) == pytest.approx(0.4, abs=0.03)
    assert np.mean(np.array(layer.cell.get_dropout_mask(ones)) == 0) == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(("layers", "kind"), [(keras.layers, "LSTM"), (custom_layers, "GRU")])
def test_a_writer_writes_what_the_model_guesses(layers, kind):
    keras.utils.set_random_seed(5)
    vocabulary = CharacterVocabulary("abcdefg")
    model = build(layers, 7, SIZES._replace(layers=2), 1, kind=kind, stateful=False)
    model.set_weights([3 * weight for weight in model.get_weights()])
    writer = sampling.Writer(model, vocabulary)
    (cold,) = writer.write("fade", 12, temperature=0.01)
    text = "fade"
    for _ in range(12):
        logits = model.predict_on_batch(vocabulary.encode(text)[None])[0, -1]
        text += vocabulary.decode([logits.argmax()])
    assert cold == text[4:]
    hot = writer.write("fade", 40, temperature=3.0, seed=1, rows=3)
    assert hot == writer.write("fade", 40, temperature=3.0, seed=1, rows=3)
    assert len({*hot, *writer.write("fade", 40, temperature=3.0, seed=2, rows=3)}) == 6
    nucleus = sampling.Writer(model, vocabulary, top_p=0.01)
    assert nucleus.write("fade", 12, temperature=1.0, seed=3) == [cold]


def test_words_and_what_is_known_of_them():
    assert sampling.words_of("O, what's THIS?\nA rose") == ["o", "what's", "this", "a", "rose"]
    texts = ["the rose that blarg", "a rosy the tail-cut"]
    assert sampling.share_of_known_words(texts, {"the", "rose", "that"}) == pytest.approx(4 / 7)
    assert sampling.share_of_known_words(["?!"], {"the"}) == 0


def test_features_of_a_text_by_hand():
    text = "BO:\nI'm in\nit.\n\nAL:\nO"
    features = units.features_of(text)
    expected = {
        "characters since the line began": [
            1,
            2,
            3,
            0,
            *range(1, 7),
            0,
            1,
            2,
            3,
            0,
            0,
            1,
            2,
            3,
            0,
            1,
        ],
        "letters since the word began": [
            1,
            2,
            0,
            0,
            1,
            2,
            3,
            0,
            1,
            2,
            0,
            1,
            2,
            0,
            0,
            0,
            1,
            2,
            0,
            0,
            1,
        ],
        "within the speaker's name": [1, 1, 1] + 13 * [0] + [1, 1, 1, 0, 0],
        "lines since the speaker's name": [0, 0, 0] + 7 * [1] + 4 * [2] + [3, 0, 0, 0, 0, 1, 1],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(features[name], values, err_msg=name)


def test_correlations_are_pearson_s():
    rng = np.random.default_rng(3)
    states, feature = rng.standard_normal((2, 50, 9)), rng.standard_normal((2, 50))
    states[..., 7] = 1.0
    found = units.correlations(states, feature)
    of_numpy = [np.corrcoef(states[..., k].ravel(), feature.ravel())[0, 1] for k in range(7)]
    np.testing.assert_allclose(found[:7], of_numpy, rtol=1e-9)
    assert found[7] == 0


def test_a_unit_is_chosen_on_one_text_and_told_on_another(monkeypatch):
    """States that are made up: unit 4 follows the words on both texts, unit 2 on the first alone."""
    parts = [units.Part(text, np.arange(len(text))) for text in ("ab cde f " * 60, "g hijkl " * 70)]
    feature, rng = "letters since the word began", np.random.default_rng(4)
    made = []
    for part, noise in zip(parts, (0.1, 0.0), strict=True):
        places = units.places_of(len(part.text), 2)
        states = rng.standard_normal((*places.shape, 6))
        states[..., 4] = -units.features_of(part.text)[feature][places]
        states[..., 2] = -states[..., 4] + noise * rng.standard_normal(places.shape)
        made.append(states)
    made[0][..., 4] += 0.01 * rng.standard_normal(made[0].shape[:2])
    made[1][..., 2] = rng.standard_normal(made[1].shape[:2])
    monkeypatch.setattr(units, "states_of", lambda model, numbers: made[len(numbers) == 560])
    unit = units.search(model_of(batch=2), *parts)[feature]
    assert unit.number == 4
    assert unit.chosen == pytest.approx(-1, abs=1e-3)
    assert unit.told == pytest.approx(-1, abs=1e-9)
    np.testing.assert_array_equal(unit.values, made[1][0, :, 4])


def test_states_stand_at_the_places_of_their_characters():
    model = model_of()
    states, places = units.states_of(model, NUMBERS, steps=12), units.places_of(len(NUMBERS), 4, 12)
    assert states.shape == (4, 96, 6)
    cell = model.get_layer("recurrent_1").cell
    h = tf.zeros((4, 6))
    for t in range(96):
        h, _ = cell(model.get_layer("embedding")(NUMBERS[places[:, t]]), [h])
        np.testing.assert_allclose(states[:, t], h, atol=1e-5)


TINY = longer_run.Settings(units=8, layers=1, dropout=0.2, rate=0.01, batch=4, steps=20, epochs=3)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run of one pass of three: its folder, and the command that began it."""
    folder = tmp_path_factory.mktemp("longer_run")
    (folder / "play.txt").write_text(generated_play(6000), encoding="utf-8")
    settings = [
        part for name, value in TINY._asdict().items() for part in (f"--{name}", str(value))
    ]
    folders = ["--out", "out", "--report", "report.json", "--data", "play.txt"]
    places = [part if part.startswith("--") else str(folder / part) for part in folders]
    command = [*settings, *places]
    assert longer_run.main([*command, "--passes", "1"]) == 0
    return folder, command


def test_a_longer_run_goes_on_as_if_it_had_not_stopped(begun, tmp_path):
    folder, command = begun
    report = folder / "report.json"
    assert not report.exists(), "it is written at the end"
    assert longer_run.main(command) == 0
    resumed = json.loads(report.read_text(encoding="utf-8"))
    corpus = character_corpus.corpus_of(generated_play(6000), "play.txt")
    whole = longer_run.run(TINY, corpus, tmp_path)
    assert resumed["settings"] == TINY._asdict()
    assert resumed["passes"] == whole["passes"] == 3
    for name, value in whole.items():
        if name.startswith(("nats", "perplexity")):
            assert resumed[name] == pytest.approx(value, rel=1e-6), name
    assert whole["perplexity, held out"] == math.exp(whole["nats per character, held out"])
    assert whole["nats per character, held out"] < math.log(len(corpus.vocabulary))
    ((name, value),) = longer_run.recorded(report).items()
    assert value == resumed["nats per character, held out"]
    assert name.startswith("nats of 1 x 8 units, 3 passes (")
    assert longer_run.recorded(tmp_path / "none.json") == {}


def test_a_longer_run_refuses_what_is_not_its_own(begun, tmp_path, capsys):
    _, command = begun
    assert longer_run.main([*command, "--units", "9"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(r"^longer_run: .*with units=8\. Choose another --out", line)
    (tmp_path / "checkpoint.npz").write_bytes(b"no checkpoint")
    assert longer_run.main([*command, "--out", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("longer_run: a checkpoint must be readable. Received: ")
    (tmp_path / "bad.txt").write_bytes(b"\0")
    assert longer_run.main([*command, "--data", str(tmp_path / "bad.txt")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("read_text: ")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(
            (name, "0")
            for name in ("units", "layers", "batch", "steps", "epochs", "passes", "rate")
        ),
        ("dropout", "1"),
        ("seed", "-1"),
    ],
)
def test_settings_of_a_longer_run_are_checked_before_it_begins(option, value, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        longer_run.main(["--out", str(tmp_path), f"--{option}", value])
    assert stopped.value.code == 2
    assert f"argument --{option}: must be a " in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_units_places_characters_in_rows():
    assert pictures._places("ab\ncdefg", 3, 3) == [
        *((0, 0, 0), (0, 1, 1), (0, 2, 2)),
        *((1, 0, 3), (1, 1, 4), (1, 2, 5), (2, 0, 6), (2, 1, 7)),
    ]
