"""The translator: padding has no say, both namespaces agree, decoding follows training."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import custom_layers
from custom_layers.training import masked_loss
from tutorials.nmt_with_attention.encoder_decoder import ATTENTIONS
from tutorials.nmt_with_attention.model import Translator, build_translator

CONTEXT = ["", "[UNK]", "[START]", "[END]", ".", "?", "¿", *"abcdefghijklm"]
TARGET = ["", "[UNK]", "[START]", "[END]", ".", "?", *"nopqrstuvwxyz"]
NAMESPACES = {"builtin": keras.layers, "custom": custom_layers}
both_namespaces = pytest.mark.parametrize("layers", NAMESPACES.values(), ids=NAMESPACES.keys())
every_attention = pytest.mark.parametrize("attention", ATTENTIONS)
every_translator = pytest.mark.parametrize(
    ("layers", "attention"),
    [
        pytest.param(keras.layers, "multi_head", id="builtin-multi_head"),
        *(pytest.param(custom_layers, kind, id=f"custom-{kind}") for kind in ATTENTIONS),
        pytest.param(keras.layers, "bahdanau", id="builtin-bahdanau", marks=pytest.mark.slow),
        pytest.param(keras.layers, "luong", id="builtin-luong", marks=pytest.mark.slow),
    ],
)


@functools.cache
def built(layers, attention, max_words, floatx):
    return Translator(CONTEXT, TARGET, 6, attention, layers, max_words)


def translator(layers=keras.layers, attention="multi_head", seed=0, max_words=50):
    """A translator with the random weights of `seed`; building one takes a second, so they stay."""
    model = built(layers, attention, max_words, keras.config.floatx())
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(0, 0.7, w.shape) for w in model.get_weights()])
    return model


def batch(seed=1):
    random = np.random.default_rng(seed)
    context = random.integers(2, len(CONTEXT), (4, 7))
    target = random.integers(2, len(TARGET), (4, 6))
    for row, (length, other) in enumerate([(7, 4), (3, 6), (5, 1), (1, 5)]):
        context[row, length:] = 0
        target[row, other:] = 0
    return context, target[:, :-1], target[:, 1:]


def logits_and_gradients(model, context, target_in, target_out):
    with tf.GradientTape() as tape:
        logits = model((context, target_in))
        loss = masked_loss(target_out, logits)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    gradients = [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]
    return logits.numpy()[target_in != 0], gradients


def assert_equal(found, expected, tolerance=1e-12):
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=tolerance)
    largest = max(np.abs(gradient).max() for gradient in expected[1])
    for gradient, other in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(gradient, other, rtol=0, atol=tolerance * largest)


def widen(tokens, columns):
    return np.pad(tokens, [(0, 0), (0, columns)])


@every_translator
def test_padding_changes_no_logit_and_no_gradient(layers, attention):
    keras.config.set_floatx("float64")
    model = translator(layers, attention)
    context, target_in, target_out = batch()
    expected = logits_and_gradients(model, context, target_in, target_out)

    wider = (widen(context, 3), widen(target_in, 2), widen(target_out, 2))
    assert_equal(logits_and_gradients(model, *wider), expected)

    for embedding in (model.encoder.embedding, model.decoder.embedding):
        table = embedding.get_weights()[0]
        table[0] += 10 * np.random.default_rng(2).normal(size=table.shape[1])
        embedding.set_weights([table])
    assert_equal(logits_and_gradients(model, *wider), expected)


@every_translator
def test_without_the_mask_padding_would_be_attended(layers, attention):
    model = translator(layers, attention)
    context, target_in, _ = batch()
    encoded = ops.copy(model.encoder(context))  # without the mask that Keras hangs on a tensor
    masked, _ = model.decoder(target_in, encoded, ops.not_equal(context, 0))
    blind, _ = model.decoder(target_in, encoded, ops.ones(context.shape, "bool"))
    difference = np.abs(masked - blind).max(axis=(1, 2))
    assert difference[0] == 0  # this sentence has no padding
    assert np.all(difference[1:] > 1e-3)


@every_attention
def test_both_namespaces_give_the_same_logits_and_gradients(attention):
    keras.config.set_floatx("float64")
    builtin, custom = (translator(layers, attention) for layers in NAMESPACES.values())
    custom.set_weights(builtin.get_weights())
    assert [w.shape for w in builtin.weights] == [w.shape for w in custom.weights]
    # Keras computes the softmax of its fused attention in float32, whatever the dtype.
    tolerance = 1e-6 if attention == "multi_head" else 1e-12
    found, expected = (logits_and_gradients(model, *batch()) for model in (custom, builtin))
    assert_equal(found, expected, tolerance)


def test_attention_of_a_paper_is_really_another_one():
    logits = [translator(attention=attention)(batch()[:2]).numpy() for attention in ATTENTIONS]
    assert np.abs(logits[0] - logits[1]).max() > 1e-2
    assert np.abs(logits[1] - logits[2]).max() > 1e-2


@every_translator
def test_attention_rows_sum_to_one_over_the_words(layers, attention):
    model = translator(layers, attention)
    texts, translations = ["a b c d . ¿ e ?", "f ."], ["n", "o p q ."]
    first, second = model.attention_of(texts, translations)
    assert first.context_words == ["[START]", "a", "b", "c", "d", ".", "¿", "e", "?", "[END]"]
    assert second.target_words == ["o", "p", "q", ".", "[END]"]
    for item in (first, second):
        assert item.weights.shape == (len(item.target_words), len(item.context_words))
        np.testing.assert_allclose(item.weights.sum(axis=-1), 1, rtol=1e-5)
    alone = model.attention_of(texts[1:], translations[1:])[0]
    np.testing.assert_allclose(alone.weights, second.weights, atol=1e-6)


@both_namespaces
def test_decoding_step_by_step_follows_the_training_graph(layers):
    """The greedy tokens are the largest allowed logits of one teacher-forced call."""
    model = translator(layers, max_words=7)
    texts = tf.constant(["a b c", "¿ d ?", "e f g h i ."])
    _, tokens = model.decode(texts)
    tokens = tokens.numpy()
    starts = np.full((3, 1), model.start)
    context = model.context_text(texts).to_tensor()
    logits = model((context, np.concatenate([starts, tokens[:, :-1]], axis=1))).numpy()
    logits[..., [0, 1, model.start]] = -np.inf
    real = tokens != 0
    np.testing.assert_array_equal(logits.argmax(axis=-1)[real], tokens[real])
    assert real.sum() > 6


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_a_batch_is_translated_as_its_sentences_alone(method):
    model = translator(seed=3, max_words=7)
    texts = ["a b c.", "¿d?", "e f g h i j k.", "m"]
    together = model.translate(texts, method=method)
    assert together == [model.translate([text], method=method)[0] for text in texts]
    assert len(set(together)) > 1


def test_samples_depend_on_seed_and_temperature_only():
    model = translator(max_words=7)
    texts = ["a b c."] * 20
    one, again, other = (
        model.translate(texts, method="sample", seed=seed, temperature=2.0) for seed in (1, 1, 2)
    )
    assert one == again != other
    assert len(set(one)) > 10
    cold = model.translate(texts, method="sample", temperature=1e-5)
    assert cold == model.translate(texts)


def test_unknown_word_is_never_written():
    model = translator(max_words=7)
    bias = model.decoder.output_layer.bias
    bias.assign(np.where(np.arange(len(TARGET)) == 1, 100.0, bias.numpy()))
    for method in ("greedy", "sample", "beam"):
        for sentence in model.translate(["a b", "zzz yyy ."], method=method):
            assert "UNK" not in sentence


def test_sentences_that_need_a_word():
    model = translator(max_words=7)
    for empty in ("", "   ", "!", "12 34"):
        text = empty.replace("!", "¡")
        with pytest.raises(ValueError, match="must hold a letter a-z or punctuation"):
            model.translate(["a b", text])
        assert model.translate([text], check=False) == [""]
    with pytest.warns(UserWarning, match="no word of 'nothing known'.*guess"):
        model.translate(["a b", "nothing known"])
    with pytest.warns(UserWarning, match="has 500 words, more than the 7") as caught:
        long = model.translate(["a b c d e " * 100])[0]
    assert len(caught) == 1
    assert len(long.split()) <= 8
    assert model.translate([]) == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"texts": "a b"}, TypeError, "must be a list of strings"),
        ({"texts": [1]}, TypeError, "must be a list of strings"),
        ({"texts": ["a"], "method": "best"}, ValueError, "one of greedy, sample, beam"),
        ({"texts": ["a"], "method": "sample", "temperature": 0}, ValueError, "greater than 0"),
        ({"texts": ["a"], "method": "beam", "beam_width": 0}, ValueError, "`beam_width` must"),
    ],
)
def test_wrong_arguments_of_translate(arguments, error, message):
    with pytest.raises(error, match=message):
        translator().translate(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "`units` must be at least 1"),
        ({"attention": "best"}, "`kind` must be one of multi_head, bahdanau, luong"),
        ({"layers": "os"}, "`layers` must be keras.layers or custom_layers"),
    ],
)
def test_wrong_arguments_of_the_translator(arguments, message):
    with pytest.raises(ValueError, match=message):
        Translator(CONTEXT, TARGET, **{"units": 4, **arguments})


def test_fit_lowers_the_loss_and_reports_masked_numbers():
    keras.utils.set_random_seed(0)
    model = build_translator(keras.layers, CONTEXT, TARGET, units=8, learning_rate=0.02)
    context, target_in, target_out = batch()
    history = model.fit((context, target_in), target_out, epochs=8, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    logits = model((context, target_in))
    loss, accuracy = model.evaluate((context, target_in), target_out, verbose=0)
    np.testing.assert_allclose(loss, masked_loss(target_out, logits), rtol=1e-5)
    hits = (logits.numpy().argmax(-1) == target_out)[target_out != 0]
    np.testing.assert_allclose(accuracy, hits.mean(), rtol=1e-5)
