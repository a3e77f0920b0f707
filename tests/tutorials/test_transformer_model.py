"""The Transformer of the tutorial: masks, caches, columns of the comparison, and bad input."""

import keras
import keras_hub
import numpy as np
import pytest
import tensorflow as tf

import custom_layers
from custom_layers.data import demo_pairs
from tutorials.transformer.data import PRESETS, prepare
from tutorials.transformer.model import FORMAT, Transformer
from tutorials.transformer.pictures import KINDS, heads_figure, mean_figure
from tutorials.transformer.subwords import SPECIAL, Subwords, learn_subwords
from tutorials.translation.export import load_translator
from tutorials.translation.text import references_of

PAIRS = demo_pairs(600)
CONTEXT, TARGET = (learn_subwords(texts, 200) for texts in (PAIRS.source, PAIRS.target))
SIZES = {"num_layers": 2, "d_model": 16, "num_heads": 4, "dff": 24, "max_tokens": 40}
TEXTS = ["¿Dónde está mi libro?", "La niña no trabajó.", "Ana canta."]


def make(layers=custom_layers, blocks=None, **options):
    """With random weights, so that sentences of several tokens come out."""
    model = Transformer(CONTEXT, TARGET, layers=layers, blocks=blocks, **{**SIZES, **options})
    random = np.random.default_rng(0)
    model.set_weights(
        [
            random.normal(0, 0.6, w.shape) if w.ndim > 1 else w + random.normal(0, 0.1, w.shape)
            for w in model.get_weights()
        ]
    )
    return model


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.fixture(scope="module")
def tokens(model):
    rows = model.context_text.tokens_of(tf.constant(TEXTS)).to_tensor()
    return rows.numpy(), rows.numpy()[:, :7] % len(TARGET)


# -- sub-words --------------------------------------------------------------------------------------


def test_subwords_spell_any_word_and_come_back():
    text = Subwords(CONTEXT)
    assert tuple(CONTEXT[:4]) == SPECIAL
    assert len(CONTEXT) == len(set(CONTEXT)) == 200
    rows = text.tokens_of(tf.constant([*PAIRS.source[:50], "", "Xyzzy-qwrt 12"]))
    assert all(row[0] == text.start and row[-1] == text.end for row in rows.to_list())
    assert rows.to_list()[50] == [text.start, text.end]
    back = [t.decode() for t in text.texts_of(rows.to_tensor()).numpy()]
    assert back[:50] == references_of(PAIRS.source[:50])
    assert any(piece.startswith("##") for piece in text.pieces_of(rows[0]))


def test_equal_texts_give_equal_subwords():
    assert learn_subwords(PAIRS.source, 200) == CONTEXT
    assert learn_subwords(PAIRS.source[::-1], 200) == CONTEXT


def test_bad_vocabularies_are_named():
    with pytest.raises(ValueError, match=r"learn_subwords: `size` must be more than \d+"):
        learn_subwords(PAIRS.source, 20)
    with pytest.raises(ValueError, match=r"Subwords: `vocabulary` must begin with \[PAD\]"):
        Subwords(["", "[UNK]", "a"])


# -- the model --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["keras", "hub", "own blocks"])
def test_every_column_of_the_comparison_is_the_same_function(name, model, tokens):
    layers, blocks = {
        "keras": (keras.layers, None),
        "hub": (keras.layers, keras_hub.layers),
        "own blocks": (custom_layers, custom_layers),
    }[name]
    other = make(layers, blocks)
    assert [w.shape for w in other.weights] == [w.shape for w in model.weights]
    np.testing.assert_allclose(other(tokens), model(tokens), atol=2e-5)
    assert other.translate(TEXTS) == model.translate(TEXTS)
    assert other.translate(TEXTS, method="beam") == model.translate(TEXTS, method="beam")


def test_a_later_token_moves_no_earlier_logit(model, tokens):
    context, target = tokens
    before = model((context, target)).numpy()
    target = target.copy()
    target[:, 4] = (target[:, 4] + 1) % len(TARGET)
    after = model((context, target)).numpy()
    np.testing.assert_allclose(after[:, :4], before[:, :4], atol=1e-5)
    assert np.abs(after[:, 4:] - before[:, 4:]).max() > 0.01


def test_padding_and_neighbours_have_no_say(model, tokens):
    context, target = tokens
    together = model((context, target)).numpy()
    wide = model((np.pad(context, [(0, 0), (0, 4)]), target)).numpy()
    np.testing.assert_allclose(wide, together, atol=2e-5)
    alone = context[1][context[1] != 0][None]
    np.testing.assert_allclose(model((alone, target[1:2])).numpy(), together[1:2], atol=2e-5)


@pytest.mark.parametrize("options", [{"method": "greedy"}, {"method": "beam"}], ids=str)
def test_the_cache_changes_no_token(options, model):
    texts = tf.constant(PAIRS.source[:20])
    cached, whole = (
        tf.function(lambda t, c=c: model.decode(t, cached=c, **options))(texts)
        for c in (True, False)
    )
    np.testing.assert_array_equal(cached[1], whole[1])
    np.testing.assert_array_equal(cached[0], whole[0])
    assert len(np.unique(cached[1])) > 5


def test_decoding_follows_the_logits(model):
    """Greedy: each token is the best of what the whole model says of those before it."""
    context = model.context_text.tokens_of(tf.constant(TEXTS)).to_tensor()
    _, written = model.decode(tf.constant(TEXTS))
    start = np.full((len(TEXTS), 1), Subwords.start)
    logits = model((context, np.concatenate([start, written.numpy()[:, :-1]], axis=1))).numpy()
    logits[..., [0, 1, Subwords.start]] = -np.inf
    best = logits.argmax(axis=-1)
    for row, wanted in zip(written.numpy(), best, strict=True):
        length = np.flatnonzero(row == Subwords.end)
        stop = length[0] + 1 if len(length) else len(row)
        np.testing.assert_array_equal(row[:stop], wanted[:stop])


def test_sampling_takes_its_options(model):
    draws = {model.translate(TEXTS[:1], method="sample", seed=s)[0] for s in range(4)}
    assert len(draws) > 1
    narrow = [model.translate(TEXTS[:1], method="sample", top_k=1, seed=s) for s in range(2)]
    assert narrow[0] == narrow[1] == model.translate(TEXTS[:1])


def test_attention_of_every_block_and_head(model):
    texts = TEXTS[:2]
    found = model.attention_of(texts, model.translate(texts))
    for item in found:
        s, t = len(item.context_pieces), len(item.target_pieces)
        assert item.encoder.shape == (2, 4, s, s)
        assert item.decoder.shape == (2, 4, t, t)
        assert item.cross.shape == (2, 4, t, s)
        for kind in KINDS:
            np.testing.assert_allclose(getattr(item, kind).sum(-1), 1, rtol=1e-5)
            assert heads_figure(item, kind, "title").axes
        assert np.triu(item.decoder[0, 0], 1).max() == 0
    assert mean_figure({"a": found[0], "b": found[0]}).axes
    with pytest.raises(ValueError, match=r"blocks must be those of this tutorial.*'custom_layers'"):
        make(blocks=custom_layers).attention_of(texts, texts)


def test_a_saved_translator_answers_the_same(model, tmp_path):
    model.save(tmp_path / "translator.keras")
    loaded = load_translator(tmp_path / "translator.keras")
    assert loaded.translate(TEXTS) == model.translate(TEXTS)
    assert loaded.config == model.config


# -- data -------------------------------------------------------------------------------------------


def test_batches_are_of_like_lengths_and_leave_out_what_is_too_long():
    preset = PRESETS["quick"]._replace(vocabulary_size=200, batch_size=16, max_tokens=14)
    data = prepare(PAIRS, preset, seed=1)
    longest = max(
        len(Subwords(v).tokens_of(tf.constant([text]))[0])
        for v, texts in (
            (data.context_vocabulary, data.train_pairs.source),
            (data.target_vocabulary, data.train_pairs.target),
        )
        for text in texts
    )
    assert longest <= 14
    assert 0 < len(data.train_pairs.source) < 540
    for (context, target_in), target_out in data.train.take(3):
        assert context.shape[0] == target_in.shape[0] == 16
        np.testing.assert_array_equal(target_in[:, 0], Subwords.start)
        np.testing.assert_array_equal(target_in[:, 1:], target_out[:, :-1])


# -- bad input --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"d_model": 18}, r"`d_model` must be a multiple of `num_heads`.*d_model=18, num_heads=4"),
        ({"num_layers": 0}, "`num_layers` must be a positive integer"),
        ({"layers": "torch.nn"}, "`layers` must be keras.layers or custom_layers"),
        ({"saved_format": FORMAT + 1}, r"a saved translator must be of format \d.*train again"),
    ],
)
def test_bad_settings_are_named(options, message):
    with pytest.raises(ValueError, match=f"Transformer: {message}"):
        Transformer(CONTEXT, TARGET, **{**SIZES, **options})


def test_bad_sentences_are_named(model):
    with pytest.raises(ValueError, match=r"must hold a letter a-z or punctuation.*' 12 '"):
        model.translate([" 12 "])
    with pytest.raises(ValueError, match=r"at most 40 sub-words.*, \d+ of them\. Split it"):
        model.translate(["Ana canta y canta. " * 20])
    with pytest.raises(ValueError, match="beam_width=0"):
        model.translate(TEXTS, method="beam", beam_width=0)
    with pytest.raises(TypeError, match="list of strings"):
        model.translate("Ana canta.")
    with pytest.raises(ValueError, match="`method` must be one of"):
        model.translate(TEXTS, method="best")
    with pytest.warns(UserWarning, match="its translation is a guess"):
        model.translate([next(sign for sign in "wkxz" if sign not in "".join(CONTEXT[4:]))])
