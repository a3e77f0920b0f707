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
# # A Transformer that translates
#
# A recurrent translator reads word after word; what the first word means has to travel through all
# the others. The Transformer (Vaswani et al. 2017,
# [arXiv:1706.03762](https://arxiv.org/abs/1706.03762)) lets every word look at every other one at
# once. This page builds it up from a scaled dot product to BLEU, checks each claim as it makes it,
# and trains the model **twice at once**: with `keras.layers` and with `custom_layers`, from the
# same weights on the same batches.
#
# The architecture and its sizes are those of TensorFlow's tutorial "Neural machine translation with
# a Transformer and Keras"; where we differ, `blocks.py` and `model.py` say so.

# %%
import importlib.util
import inspect
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if importlib.util.find_spec("tutorials") is None:  # a notebook starts in its own folder
    sys.path.insert(0, str(next(p for p in Path.cwd().parents if (p / "tutorials").is_dir())))

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

import custom_layers
from custom_layers.comparison import compare
from custom_layers.data import load_sentence_pairs
from tutorials import page
from tutorials.transformer import blocks, pictures
from tutorials.transformer.data import PRESETS, learning_rate_of, prepare, sizes_of
from tutorials.transformer.model import Transformer, build_transformer
from tutorials.translation import evaluation, export

tf.get_logger().setLevel("ERROR")  # batches differ in length, so that functions are traced anew

# %% [markdown]
# `DATA` is `"demo"` (a generated corpus that needs no network), `"spa-eng"` (real sentence pairs)
# or the path of a tab-separated file. The fast mode goes through the same code with less data and
# fewer steps.

# %%
PAGE = page.begin("transformer", "Spanish to English by attention alone.")
FAST, OUT, show = PAGE.fast, PAGE.out, PAGE.show
DATA = os.environ.get("TUTORIAL_DATA", "demo")
SEED = 0
PRESET = PRESETS["quick"]
if FAST:
    PRESET = PRESET._replace(num_layers=1, d_model=32, dff=64, vocabulary_size=300)
    PRESET = PRESET._replace(steps=40, warmup_steps=30, held_out_limit=64, bleu_limit=16)
rng = np.random.default_rng(SEED)

# %% [markdown]
# ## 1. A question, many answers
#
# A position asks a question, its **query** $q_t$. Every position offers a **key** $k_s$, which says
# how it can be found, and a **value** $v_s$, which is what it hands over. How well a key answers is
# a dot product; the softmax turns the scores into shares; what comes back is the mean of the values
# by these shares:
#
# $$e_{ts} = \frac{q_t \cdot k_s}{\sqrt{d}}, \qquad \alpha_{ts} = \frac{m_{ts}\,e^{e_{ts}}}
# {\sum_{s'} m_{ts'}\,e^{e_{ts'}}}, \qquad c_t = \sum_s \alpha_{ts}\, v_s$$
#
# (How anyone came to do this is a tutorial of its own: `inside_attention`.) In NumPy:


# %%
def attention(q, k, v, keep=True):
    """q (t, d), k (s, d), v (s, d_v), keep (t, s) or True -> context (t, d_v), weights (t, s)."""
    scores = q @ k.T / np.sqrt(q.shape[-1])
    weights = np.where(keep, np.exp(scores), 0)
    weights = weights / weights.sum(axis=-1, keepdims=True)
    return weights @ v, weights


words, width = 6, 8
x = rng.standard_normal((words, width)).astype("float32")
keep = np.arange(words) < 4  # the last two are padding
context, weights = attention(x, x, x, keep)
print(np.round(weights, 2))

# %% [markdown]
# Each row sums to 1 over the words that are there, and padding gets nothing. `MultiHeadAttention`
# does the same in several **heads**, each with its own projection of queries, keys and values. With
# one head and projections that change nothing it is our function:

# %%
layer = custom_layers.MultiHeadAttention(1, width, use_bias=False)
layer.build((1, words, width), (1, words, width))
layer.set_weights([np.eye(width).reshape(w.shape) for w in layer.weights])
by_layer = layer(x[None], x[None], attention_mask=np.broadcast_to(keep, (1, words, words)))
one_head_difference = np.abs(np.asarray(by_layer)[0] - context).max()
print(f"largest difference: {one_head_difference:.1e}")

# %% [markdown]
# ## 2. Who may look where
#
# The decoder learns to guess the next token at all positions at once. Were it to look ahead, it
# would find the answer. So position $t$ sees the positions $s \le t$ alone. Whatever happens later
# moves nothing earlier:

# %%
block = custom_layers.TransformerDecoder(16, 2)
before = np.asarray(block(x[None]))
later = x.copy()
later[4] += 1  # another fifth token
after = np.asarray(block(later[None]))
moved = np.abs(after - before).max(axis=(0, 2))
print("change by position:", np.round(moved, 4))

# %% [markdown]
# ## 3. Order has to be said
#
# Attention has no notion of order. Shuffle the words, and the outputs are shuffled the same way and
# not otherwise changed:

# %%
encoder_block = custom_layers.TransformerEncoder(16, 2)
order = rng.permutation(words)
straight = np.asarray(encoder_block(x[None]))[0]
shuffled = np.asarray(encoder_block(x[None, order]))[0]
equivariance_difference = np.abs(shuffled - straight[order]).max()
print(f"largest difference: {equivariance_difference:.1e}")

# %% [markdown]
# So the place of a word is added to what it means. The paper's code for place $t$ is a row of
# clocks, from one that turns every $2\pi$ words to one that hardly moves; equal distances turn all
# the clocks by equal angles, so that "three words back" is the same linear map everywhere:

# %%
places = custom_layers.SinePositionEncoding()
codes = np.asarray(places(np.zeros((1, 60, PRESET.d_model), "float32")))[0]
sines, cosines = codes[:-3, 0::2], codes[:-3, 1::2]
angle = 3 * 10_000.0 ** (-np.arange(0, PRESET.d_model, 2) / PRESET.d_model)
turned = np.cos(angle) * sines + np.sin(angle) * cosines
clock_difference = np.abs(turned - codes[3:, 0::2]).max()
print(f"three places on by turning: largest difference {clock_difference:.1e}")

with_places = np.asarray(encoder_block((x + codes[:words, :width])[None]))[0]
again = np.asarray(encoder_block((x[order] + codes[:words, :width])[None]))[0]
order_matters = np.abs(again - with_places[order]).max()
print(f"with places, shuffled words are another sentence: {order_matters:.2f}")

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
image = axes.imshow(codes.T, cmap="RdBu", aspect="auto")
axes.set(xlabel="place", ylabel="feature", title="A row of clocks")
figure.colorbar(image, ax=axes)
figure.savefig(OUT / "places.png", dpi=120)
show(OUT / "places.png")

# %% [markdown]
# ## 4. The blocks
#
# An encoder block is self-attention and a small network at each position, a decoder block has
# attention to the encoded sentence in between. Around each part goes a residual connection, and a
# normalization after it. They are written once and take the namespace of layers to build from:

# %%
print(inspect.getsource(blocks.EncoderBlock.call))

# %% [markdown]
# ## 5. Sub-words
#
# A vocabulary of whole words has no entry for the next unknown one. Pieces of words can spell them
# all. They are learned from the corpus in seconds, frequent words stay whole.

# %%
pairs = load_sentence_pairs(DATA)
if FAST:
    pairs = pairs._replace(source=pairs.source[:2000], target=pairs.target[:2000])
begun = time.perf_counter()
data = prepare(pairs, PRESET, SEED)
print(f"{len(pairs.source):,} pairs, prepared in {time.perf_counter() - begun:.0f} s")

# %% [markdown]
# A batch holds sentences of like length: little of it is padding. The decoder's input is the right
# translation without its last token, the labels are the same without its first.

# %%
(context_tokens, target_in), target_out = next(iter(data.train))
print("to translate ", context_tokens.shape)
print("decoder input", target_in.shape, target_in[0].numpy())
print("labels       ", target_out.shape, target_out[0].numpy())
shares = [np.mean(c.numpy() == 0) for (c, _), _ in data.train.take(50)]
print(f"padding: {np.mean(shares):.0%} of the context")


# %% [markdown]
# ## 6. Training, side by side
#
# The learning rate rises for a while, so that the first, wild gradients do no harm, and then falls
# with the root of the step.


# %%
def build_model(layers):
    """A compiled Transformer from `keras.layers` or from `custom_layers`."""
    return build_transformer(
        layers,
        data.context_vocabulary,
        data.target_vocabulary,
        learning_rate_of(PRESET),
        **sizes_of(PRESET),
    )


schedule = learning_rate_of(PRESET)
figure, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
steps = np.arange(0, 5 * PRESET.warmup_steps, 5)
axes.plot(steps, [float(schedule(step)) for step in steps])
axes.set(xlabel="step", ylabel="learning rate", title=f"{PRESET.warmup_steps} steps of warm-up")
figure.savefig(OUT / "learning_rate.png", dpi=120)
show(OUT / "learning_rate.png")

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
show(OUT / "loss.png")

# %% [markdown]
# The two curves lie on one another, with dropout: both draw the same numbers.
#
# The claims of sections 2 and 3 hold for the trained model as well: another last token moves no
# earlier logit, and the attention to the sentence leaves its padding out.

# %%
logits = custom((context_tokens, target_in)).numpy()
other = target_in.numpy().copy()
other[:, -1] = np.where(other[:, -1] == 4, 5, 4)
causal_difference = np.abs(custom((context_tokens, other)).numpy() - logits)[:, :-1].max()
padded = np.pad(context_tokens.numpy(), [(0, 0), (0, 3)])
padding_difference = np.abs(custom((padded, target_in)).numpy() - logits).max()
print(f"earlier logits moved by {causal_difference:.1e}; by padding {padding_difference:.1e}")

# %% [markdown]
# ## 7. Translating, one position at a time
#
# To write token $t$ the decoder needs the keys and values of the tokens before it. They were
# computed already and do not change, so they are kept. A step then costs one position, not the
# whole prefix. The official tutorial computes the prefix anew, eagerly, at every token.

# %%
print(inspect.getsource(Transformer.cached_step))

# %% [markdown]
# With and without the cache the same tokens come out:

# %%
texts = data.held_out_pairs.source[: 16 if FAST else 100]
tokens = {}
for cached in (True, False):
    decode = tf.function(lambda texts, cached=cached: custom.decode(texts, cached=cached)[1])
    decode(tf.constant(texts[:2]))
    tokens[cached] = decode(tf.constant(texts)).numpy()
print("equal:", np.array_equal(tokens[True], tokens[False]))

# %%
sources, references = data.held_out_pairs.source[:8], data.held_out_pairs.target[:8]
shown = evaluation.translations_of({"builtin": builtin, "custom": custom}, sources, references)
print("\n".join(shown.lines()))

# %%
for options in ({"method": "greedy"}, {"method": "beam"}, {"method": "sample", "top_p": 0.9}):
    print(options, custom.translate(sources[:1], seed=SEED, **options)[0])

# %% [markdown]
# ### What the heads look at
#
# Every head of every block, on one sentence. The text layers are a part of the model, so the axes
# show the pieces that it read.

# %%
attended = custom.attention_of(sources[:1], custom.translate(sources[:1], check=False))[0]
for kind in pictures.KINDS:
    pictures.heads_figure(attended, kind, sources[0]).savefig(OUT / f"{kind}.png", dpi=110)
    show(OUT / f"{kind}.png")

# %% [markdown]
# ### How good is it?
#
# BLEU (sacreBLEU, 0 to 100) on held-out sentences.

# %%
bleu = evaluation.bleu_metric(data.held_out_pairs, PRESET.bleu_limit)
scores = {name: bleu(model) for name, model in report.models.items()}
print(scores)

# %% [markdown]
# ## 8. Export
#
# The SavedModel takes strings and returns strings; the `.keras` file keeps the whole translator.

# %%
saved_model = export.export_saved_model(custom, OUT / "saved_model")
keras_file = export.export_keras(custom, OUT / "translator.keras")
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
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-6)
    assert (weights[:, 4:] == 0).all(), "padding gets no attention"
    assert one_head_difference < 1e-5, one_head_difference
    assert (moved[:4] == 0).all(), moved
    assert moved[4:].min() > 1e-4, moved
    assert equivariance_difference < 1e-5, equivariance_difference
    assert clock_difference < 1e-4, clock_difference
    assert order_matters > 0.01, order_matters
    differences = report.check()
    assert not differences, differences  # outputs, gradients and losses of the two are equal
    losses = report.record.losses["custom"]
    assert np.mean(losses[-10:]) < 0.85 * np.mean(losses[:10]), "the loss must fall"
    assert causal_difference < 1e-5, causal_difference
    assert padding_difference < 1e-4, padding_difference
    assert np.array_equal(tokens[True], tokens[False]), "the cache must change no token"
    for kind in pictures.KINDS:
        np.testing.assert_allclose(getattr(attended, kind).sum(axis=-1), 1, rtol=1e-5)
    answers = custom.translate(sources)
    assert exported == answers, "the SavedModel must answer the same"
    assert reloaded == answers, "the .keras file must answer the same"
    if DATA == "demo" and not FAST:
        for name, values in report.held_out.items():
            assert values["masked_accuracy"] >= 0.95, (name, values)
            assert scores[name] > 80, scores


check()
figures: dict[str, object] = {f"BLEU, {name}": score for name, score in scores.items()}
for name, values in report.held_out.items():
    figures[f"held-out accuracy of words, {name}"] = values["masked_accuracy"]
PAGE.report(
    "Attention alone translates; what each part is for is shown by taking it away.",
    figures,
    OUT / "cross.png",
    data=DATA,
)
