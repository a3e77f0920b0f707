# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Neural machine translation with attention
#
# We build a small translator, Spanish to English, and train it **twice at once**: with the layers
# of Keras (`keras.layers`) and with layers whose every line can be read (`custom_layers`). Both
# start from the same weights and see the same batches, so that every difference between the two
# would show. At the end stands an exported model that takes and returns strings.
#
# The architecture is that of TensorFlow's tutorial of the same name:
#
# | part | equation | layers |
# |---|---|---|
# | encoder | $c_1 \dots c_S = \mathrm{BiGRU}(E_s\,x)$ | Embedding, Bidirectional, GRU |
# | decoder | $s_1 \dots s_T = \mathrm{GRU}(E_t\,y)$ | Embedding, GRU |
# | attention | $a_t = \sum_s \alpha_{ts}\, W_v c_s$ | MultiHeadAttention with one head |
# | output | $\ell_t = W\,\mathrm{LayerNorm}(s_t + a_t) + b$ | Add, LayerNormalization, Dense |
#
# $x$ are the words to translate, $y$ the words written so far, $\ell_t$ the logits of the next one.

# %%
import importlib.util
import inspect
import itertools
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if importlib.util.find_spec("tutorials") is None:  # a notebook starts in its own folder
    sys.path.insert(0, str(next(p for p in Path.cwd().parents if (p / "tutorials").is_dir())))

import keras
import numpy as np
import tensorflow as tf

import custom_layers
from custom_layers.comparison import compare
from custom_layers.data import load_sentence_pairs
from custom_layers.training import masked_loss
from tutorials import page
from tutorials.nmt_with_attention import encoder_decoder, pictures
from tutorials.nmt_with_attention.data import PRESETS, learning_rate_of, prepare
from tutorials.nmt_with_attention.model import Translator, build_translator
from tutorials.translation import evaluation, export
from tutorials.translation.text import standardize

tf.get_logger().setLevel("ERROR")  # batches differ in length, so that functions are traced anew

# %% [markdown]
# `DATA` is `"demo"` (a generated corpus that needs no network), `"spa-eng"` (the real sentence
# pairs of the original tutorial) or the path of a tab-separated file. The fast mode goes through
# all the same code with less data and fewer steps.

# %%
PAGE = page.begin(
    "nmt_with_attention", "Spanish to English with a recurrent network that looks at the source."
)
FAST, OUT = PAGE.fast, PAGE.out
DATA = os.environ.get("TUTORIAL_DATA", "demo")
SEED = 0
PRESET = PRESETS["quick"]
if FAST:
    PRESET = PRESET._replace(units=32, vocabulary_size=600, steps=40, learning_rate=1e-2)
    PRESET = PRESET._replace(held_out_limit=64, bleu_limit=16)

# %% [markdown]
# ## 1. Sentence pairs

# %%
pairs = load_sentence_pairs(DATA)
if FAST:
    pairs = pairs._replace(source=pairs.source[:2000], target=pairs.target[:2000])
print(f"{len(pairs.source):,} pairs")
for source, target in itertools.islice(zip(pairs.source, pairs.target, strict=True), 5):
    print(f"{source:50} {target}")

# %% [markdown]
# ### Standardisation
#
# The text vectorisation is a part of the model: whoever uses the model later hands it plain
# strings. NFKD splits an accent off its letter, then only letters and punctuation stay, and
# punctuation becomes words of its own.

# %%
print(standardize(tf.constant(["¿Dónde está la niña?"])).numpy()[0].decode())

# %% [markdown]
# ### Batches for teacher forcing
#
# In training the decoder reads the *right* words so far and guesses the next one. So each target
# sentence is used twice: without its last token as input, without its first one as label. Token 0
# is padding, up to the longest sentence of each batch.

# %%
data = prepare(pairs, PRESET, SEED)
(context, target_in), target_out = next(iter(data.train))
print("words to translate", context.shape)
print("decoder input     ", target_in.shape, target_in[0].numpy())
print("labels            ", target_out.shape, target_out[0].numpy())

# %% [markdown]
# ## 2. The model, written once
#
# A class of the model takes the namespace that it builds from. `layers.GRU` is `keras.layers.GRU`
# in one translator and `custom_layers.GRU` in the other. Nothing else differs.

# %%
print(inspect.getsource(encoder_decoder.Encoder))

# %% [markdown]
# The decoder asks, at each word, which words of the source matter now. With one head, a query
# matrix, a key matrix and a value matrix:
#
# $$e_{ts} = \frac{(W_q s_t)\cdot(W_k c_s)}{\sqrt{d}}, \qquad
# \alpha_{ts} = \frac{m_s\,e^{e_{ts}}}{\sum_{s'} m_{s'}\,e^{e_{ts'}}}$$
#
# The mask $m_s$ is 0 for padding. On Keras 3 the original loses this mask on its way from the
# encoder, and padding gets attention; here it is an argument.

# %%
print(inspect.getsource(encoder_decoder.CrossAttention.call))

# %% [markdown]
# And the decoder around it:

# %%
print(inspect.getsource(encoder_decoder.Decoder.call))

# %% [markdown]
# `attention="bahdanau"` and `attention="luong"` exchange the attention for that of the two papers
# (arXiv:1409.0473 and arXiv:1508.04025), which Keras does not have.
#
# ## 3. Loss
#
# The mean cross entropy over the real tokens; padding has no part in it, and no gradient.
#
# $$L = \frac{\sum_{b,t} m_{bt}\,(-\log p_{bt}[y_{bt}])}{\sum_{b,t} m_{bt}}$$

# %%
print(inspect.getsource(masked_loss))


# %%
def build_model(layers):
    """A compiled translator from `keras.layers` or from `custom_layers`."""
    return build_translator(
        layers,
        data.context_vocabulary,
        data.target_vocabulary,
        units=PRESET.units,
        learning_rate=learning_rate_of(PRESET, PRESET.steps),
    )


build_model(custom_layers).summary()

# %% [markdown]
# A translator that knows nothing spreads its bets: the first loss is close to the logarithm of the
# size of the vocabulary.

# %%
print(f"log({len(data.target_vocabulary)}) = {np.log(len(data.target_vocabulary)):.2f}")

# %% [markdown]
# ## 4. Training, side by side
#
# `compare` copies the weights of the first model into the second, gives every batch to both, and
# keeps the books: outputs and gradients before the first step, losses of every step, time.

# %%
report = compare(
    build_model,
    data.train,
    steps=PRESET.steps,
    held_out=data.held_out,
    namespaces={"builtin": keras.layers, "custom": custom_layers},
    seed=SEED,
    log_dir=OUT / "tensorboard",
    progress=not FAST,
)
builtin, custom = report.models["builtin"], report.models["custom"]
print(report)

# %%
report.save(OUT)
PAGE.show(OUT / "loss.png")

# %% [markdown]
# The two curves lie on one another. What is left is rounding: the two add up the same numbers in a
# different order. `tensorboard --logdir` on the folder below shows the same curves, and more.

# %%
print(OUT / "tensorboard")

# %% [markdown]
# ## 5. Padding has no say
#
# The same sentences with three more columns of padding give the same logits, to rounding.

# %%
narrow = custom((context, target_in)).numpy()
wide = custom((np.pad(context, [(0, 0), (0, 3)]), np.pad(target_in, [(0, 0), (0, 3)]))).numpy()
padding_difference = np.abs(wide[:, : narrow.shape[1]] - narrow)[target_in.numpy() != 0].max()
print(f"largest difference of a logit: {padding_difference:.1e}")

# %% [markdown]
# ## 6. Translating
#
# Decoding is one loop in the graph for a whole batch, which ends as soon as all sentences have
# ended. `greedy` takes the best word each time, `sample` draws one, `beam` keeps several
# hypotheses. The unknown word is never written.

# %%
print(inspect.getsource(Translator.decode))

# %%
sources, references = data.held_out_pairs.source[:8], data.held_out_pairs.target[:8]
shown = evaluation.translations_of({"builtin": builtin, "custom": custom}, sources, references)
print("\n".join(shown.lines()))

# %%
for method in ("greedy", "beam", "sample"):
    print(f"{method:7}", custom.translate(sources[:1], method=method, seed=SEED)[0])

# %% [markdown]
# ### What it looked at
#
# Each row is a word of the translation; the row sums to 1 over the words of the source. Adjectives
# that change places with their nouns leave the diagonal.

# %%
attention_pictures = pictures.save_attention_figures(
    {"builtin": builtin, "custom": custom}, sources[:2], OUT / "pictures"
)
for path in attention_pictures:
    PAGE.show(path)

# %% [markdown]
# ### How good is it?
#
# BLEU (sacreBLEU, 0 to 100) on held-out sentences. The demo corpus is regular and can be learned
# to the end; real sentences cannot, in so few steps.

# %%
bleu = evaluation.bleu_metric(data.held_out_pairs, PRESET.bleu_limit)
scores = {name: bleu(model) for name, model in report.models.items()}
print(scores)

# %% [markdown]
# ## 7. Export
#
# The SavedModel takes strings and returns strings; `load.py` in its folder holds the one import
# that its text operators need. The `.keras` file keeps the whole translator.

# %%
saved_model = export.export_saved_model(custom, OUT / "saved_model")
keras_file = export.export_keras(custom, OUT / "translator.keras")
print((saved_model / "load.py").read_text())

# %%
signature = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
exported = [text.decode() for text in signature(texts=tf.constant(sources))["translations"].numpy()]
reloaded = export.load_translator(keras_file).translate(sources)
print(exported[0], "|", reloaded[0])


# %% [markdown]
# ## What has been claimed
#
# Every claim of this page, checked.


# %%
def check():
    """Raise AssertionError for the first claim that does not hold."""
    differences = report.check()
    assert not differences, differences  # outputs, gradients and losses of the two are equal
    losses = report.record.losses["custom"]
    assert np.mean(losses[-10:]) < 0.85 * np.mean(losses[:10]), "the loss must fall"
    assert abs(losses[0] - np.log(len(data.target_vocabulary))) < 0.5
    assert padding_difference < 1e-5, padding_difference
    for attended in custom.attention_of(sources, custom.translate(sources, check=False)):
        np.testing.assert_allclose(attended.weights.sum(axis=-1), 1, rtol=1e-5)
    answers = custom.translate(sources)
    assert exported == answers, "the SavedModel must answer the same"
    assert reloaded == answers, "the .keras file must answer the same"
    assert not any("[UNK]" in answer for answer in answers)
    if DATA == "demo" and not FAST:
        for name, values in report.held_out.items():
            assert values["masked_accuracy"] >= 0.95, (name, values)
            assert scores[name] > 80, scores


check()
figures: dict[str, object] = {f"BLEU, {name}": score for name, score in scores.items()}
for name, values in report.held_out.items():
    figures[f"held-out accuracy of words, {name}"] = values["masked_accuracy"]
PAGE.report(
    "The official translator runs again, and built-in and custom layers train to the same one.",
    figures,
    attention_pictures[0],
    data=DATA,
)
