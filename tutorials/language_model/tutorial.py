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
# # A language model of characters
#
# A language model says how probable a text is. It reads from left to right and guesses, at each place,
# what comes next. The probability of the whole is the product of the guesses:
#
# $$p(x_1 \dots x_T) = \prod_t p(x_t \mid x_1 \dots x_{t-1}) \qquad (1)$$
#
# Here the $x_t$ are characters, and the guesses come from a recurrent network. The text is one string
# of a million characters, and nobody can back-propagate through a million steps. So this page is about
# **streams**: the text is read in windows, the state is carried from window to window, and the gradient
# is cut between them. Then: dropout that helps, sampling, and a look for units that mean something.
#
# A text is scored by the mean of $-\log p$ over its characters, in **nats per character**. Its
# exponential is the **perplexity**: as if the model guessed among so many equally good characters.
#
# $$L = -\tfrac1T \sum_t \log p(x_t \mid x_1 \dots x_{t-1}) \qquad \mathrm{perplexity} = e^L \qquad (2)$$

# %%
import importlib.util
import math
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if importlib.util.find_spec("tutorials") is None:  # a notebook starts in its own folder
    sys.path.insert(0, str(next(p for p in Path.cwd().parents if (p / "tutorials").is_dir())))

import keras
import numpy as np
import tensorflow as tf

import custom_layers
from custom_layers.data import TextStreams
from custom_layers.debugging import GradientInspector
from tutorials import character_corpus, page
from tutorials.language_model import borders, learning, longer_run, pictures, sampling, units
from tutorials.language_model.counting import nats_by_counting
from tutorials.language_model.model import Dropouts, Sizes, build

tf.get_logger().setLevel("ERROR")  # models by the dozen: it would count their graphs
PAGE = page.begin("language_model", "Truncated back-propagation over streams, dropout, sampling.")
XLA = not PAGE.fast  # compiling takes longer than the few steps of a fast run
corpus = character_corpus.load(120_000 if PAGE.fast else None)
letters, (training, validation, held_out) = corpus.vocabulary, corpus.numbers
parts = "to learn from {:,}, to choose by {:,}, held out {:,}".format(*map(len, corpus.parts))
print(f"{corpus.name}, {len(letters)} different characters; {parts}")

# %% [markdown]
# ## 1. What counting reaches
#
# Before any network: how far does a table get? Count how often each character follows the $k$ before
# it, and trust a longer context only as far as it was seen. With $k = 0$ these are the frequencies of
# the letters. More context helps, up to four: the table grows as $65^k$, and most of it stays empty.

# %%
levels, of_validation = ({"all characters alike": math.log(len(letters))} for _ in range(2))
for k in range(6):
    name = f"counting, {k} before" if k else "frequency alone"
    for into, text in ((levels, held_out), (of_validation, validation)):
        into[name] = nats_by_counting(training, text, len(letters), k)
for name, level in levels.items():
    print(f"{name:22} held out {level:.3f} nats, on validation {of_validation[name]:.3f}")

# %% [markdown]
# ## 2. Streams
#
# `TextStreams` lays the text out in rows of equal length $S$, and cuts the rows into windows. Row $i$
# of batch $n$ begins at the place $p$ of the text; the target of each character is the next one:
#
# $$x_t = c_{p+t} \qquad y_t = c_{p+t+1} \qquad p = i S + n \cdot \mathrm{steps} \qquad (3)$$
#
# So row $i$ of the next batch goes on where this one ended:

# %%
BATCH, STEPS = (16, 50) if PAGE.fast else (32, 100)
streams = TextStreams(training, BATCH, STEPS)
for n in range(3):
    x, y = TextStreams(training, batch=3, steps=24).window(n)
    print(f"batch {n}", [letters.decode(row) for row in x])
rows = np.concatenate([streams.window(n)[0] for n in range(streams.windows)], axis=1)
targets = np.concatenate([streams.window(n)[1] for n in range(streams.windows)], axis=1)

# %% [markdown]
# ## 3. The model
#
# A row of a table for each character, a GRU, and a layer that scores the next one: written once, in
# `model.py`, for Keras's layers or ours. `stateful=True` makes the GRU begin a batch with the state that
# the last one ended with; `gradient="bptt"` is our own back-propagation, the fastest way on a CPU.

# %%
sizes = Sizes(embedding=16, units=48) if PAGE.fast else Sizes(embedding=64, units=256)
ours: Any = {"gradient": "bptt"}
keras.utils.set_random_seed(0)
model = build(custom_layers, len(letters), sizes, BATCH, **ours)
model.summary()

# %% [markdown]
# ## 4. A border between two windows
#
# First on a small GRU in float64, where "equal" means twelve digits. **The state passes:** five windows,
# one after the other, give the outputs of one sequence five times as long. **The gradient does not:**
# the kept state is a number to the next window, and nobody asks how it came about. With $L_n$ the loss
# of window $n$, and $h_{n-1}$ held still, the gradients add up to
#
# $$\sum_n \left.\frac{\partial L_n}{\partial \theta}\right|_{h_{n-1}} \;\ne\;
#   \frac{\partial}{\partial \theta} \sum_n L_n \qquad (4)$$
#
# The left side is **truncated** back-propagation (Williams and Peng 1990), and what a layer gives on one
# long sequence when it is told to cut: `truncate_every=12`.

# %%
rng = np.random.default_rng(0)
cut_at, x64 = 12, np.eye(len(letters))[training[: 4 * 60].reshape(4, 60)]
cotangent = rng.standard_normal((4, 60, 8))  # any loss, as seen from the outputs


def small_gru(**options):
    keras.utils.set_random_seed(1)
    return custom_layers.GRU(8, return_sequences=True, dtype="float64", gradient="bptt", **options)


whole, whole_gradient = borders.outputs_and_gradient(small_gru(), x64, cotangent)
carried, left_of_4 = borders.in_windows(small_gru(stateful=True), x64, cotangent, cut_at)
_, cut_gradient = borders.outputs_and_gradient(small_gru(truncate_every=cut_at), x64, cotangent)
state_passes = float(np.abs(carried - whole).max())
gradient_is_cut = borders.relative(left_of_4, cut_gradient)
cut_is_not_whole = borders.relative(left_of_4, whole_gradient)
print(f"windows - one sequence: outputs {state_passes:.1e}, gradients {cut_is_not_whole:.1e}")
print(f"windows - truncate_every={cut_at}: gradients {gradient_is_cut:.1e}")

# %% [markdown]
# The same for the logits of the whole model in float32, along ten windows of a hundred characters:

# %%
keeping = build(custom_layers, len(letters), sizes, 8, **ours)
forgetting = build(custom_layers, len(letters), sizes, 8, stateful=False, **ours)
for built in (keeping, forgetting):
    built.set_weights(model.get_weights())
logits_apart = borders.logits_apart(keeping, forgetting, training[:9000], windows=10, steps=100)
print(f"logits of ten windows and of one: {logits_apart:.1e} apart")

# %% [markdown]
# ## 5. Two sets of layers
#
# From the same weights, on the same streams, with the same optimizer: do Keras's layers and ours learn
# the same? Ours is watched meanwhile: `GradientInspector` writes its gates, states and gradients for
# TensorBoard, and puts back the states that its look has moved.

# %%
UPDATES, RATE = (6, 5e-3) if PAGE.fast else (100, 3e-3)
first = {}
for name, layers, options in (("built-in", keras.layers, {}), ("custom", custom_layers, ours)):
    keras.utils.set_random_seed(0)
    compared = build(layers, len(letters), sizes, BATCH, **options)
    learning.compiled(compared, RATE, 1000, XLA)
    look = GradientInspector(PAGE.out / "logs", probe=streams.window(0), every=UPDATES // 2)
    watched = [look] if layers is custom_layers else []
    first[name] = learning.first_losses(compared, streams, UPDATES, watched)
apart = np.abs(first["custom"] - first["built-in"])
print(f"apart: first 5 updates {apart[:5].max():.1e}, all {UPDATES} {apart.max():.1e}")

# %% [markdown]
# ## 6. Training
#
# `fit`, a pass over the streams an epoch. `StreamStates` is a callback that resets the kept states
# when a pass begins, and gives the evaluation between two epochs states of its own. Adam, its rate
# falling along a half cosine; the gradient is clipped to length 1. (What a larger model learns in more
# passes, `python -m tutorials.language_model.longer_run`, is recorded beside this page.)

# %%
EPOCHS = 3 if PAGE.fast else 10
learning.compiled(model, RATE, EPOCHS * streams.windows, XLA)
curve = learning.learn(model, streams, TextStreams(validation, BATCH, STEPS), EPOCHS)
for built in (keeping, forgetting):  # eight rows read each text, and no row is short
    built.set_weights(model.get_weights())
    learning.compiled(built, RATE, 1, XLA)
nats, recorded = learning.nats_of(keeping, held_out), longer_run.recorded()
print(f"held out: {nats:.3f} nats per character, perplexity {math.exp(nats):.2f}", recorded)
drawn = dict(list(of_validation.items())[:-1])  # five before is no better than four
PAGE.show(pictures.save_learning(curve, drawn, first, PAGE.out / "learning.png"))

# %% [markdown]
# ## 7. What carrying the state brings
#
# Let the trained model forget everything where a window of 200 characters begins. The first guess is
# then made from nothing, the second from one character; the loss falls until it meets that of carrying.

# %%
by_place = {
    "forgetting": learning.nats_by_place(forgetting, held_out, 200),
    "carrying the state": learning.nats_by_place(keeping, held_out, 200),
}
for name, values in by_place.items():
    print(f"{name:18} characters 1, 2, 5, 20, 200:", values[[0, 1, 4, 19, 199]].round(2), "nats")

# %% [markdown]
# The same in training. A smaller GRU learns from windows of 20 characters, once carrying its state, once
# not, each measured as it was trained, and the forgetful one carrying as well. (8 wants two more.)

# %%
SMALL = Sizes(16, 32) if PAGE.fast else Sizes(32, 128)
TEXT, PASSES = (training[:20_000], 1) if PAGE.fast else (training[:450_000], 3)


def small_training(steps, **options):
    keras.utils.set_random_seed(2)
    learner = build(custom_layers, len(letters), SMALL, 32, **{**ours, **options})
    texts = TEXT, validation
    curve = learning.learn_text(learner, texts, steps, PASSES, rate=RATE, jit=XLA)
    return curve, learner.get_weights()


trained = {
    "windows of 20, forgetting": small_training(20, stateful=False),
    "windows of 20, carrying": small_training(20),
    "windows of 100, cut every 20": small_training(100, truncate_every=20),
    "windows of 100": small_training(100),
}
small = {name: curve for name, (curve, _) in trained.items()}
two, three = dict(list(small.items())[:2]), dict(list(small.items())[1:])
carrier = learning.compiled(build(custom_layers, len(letters), SMALL, 32, **ours), RATE, 1, XLA)
carrier.set_weights(trained["windows of 20, forgetting"][1])
read_carrying = learning.nats_of(carrier, validation, 20)
forgetting_, carrying_, cut_, _ = (curve.validation[-1] for curve in small.values())
print(f"forgetting {forgetting_:.3f}, read carrying {read_carrying:.3f}; carrying {carrying_:.3f}")
PAGE.show(pictures.save_carrying(by_place, two, PAGE.out / "carrying.png"))

# %% [markdown]
# Nearly all of the difference is in the *reading*, at the first characters of each window. Training with
# the state adds little to it: neither gradient goes back further than 20 steps.
#
# ## 8. Where to cut
#
# Five windows of 20, or one window of 100 whose gradient is cut every 20 steps? By (4) the gradients
# are the same, as long as the weights stand still. The difference is when the weights move: after each
# 20 characters, or once after 100, along the mean of five gradients.
#
# And is it worth going back further? Of the gradient of a window's last guess alone arrives so much:

# %%
reach = borders.reach_of_gradient(forgetting, TextStreams(held_out, 8, 100), 1 if PAGE.fast else 6)
print("left 1, 5, 10, 20, 50 characters back:", reach[[-2, -6, -11, -21, -51]].round(3))
PAGE.show(pictures.save_truncation(reach, three, PAGE.out / "truncation.png"))

# %% [markdown]
# ## 9. Dropout that helps
#
# On a small text the model learns by heart what does not come again. Dropout inside a recurrence was
# said to do harm: if at every step other units are dropped, nothing survives a long way. Two answers:
#
# - **Zaremba et al. 2014**: drop only what goes up, from the table to the GRU and from the GRU to the
#   scores, never what goes along in time. A **fresh** mask at each step: `Dropout` between layers.
# - **Gal and Ghahramani 2016**: draw a mask once for a window and **keep** it at all its steps; then the
#   state may be dropped, too: `dropout=`, `recurrent_dropout=`, and above `Dropout(noise_shape=...)`.

# %%
keras.utils.set_random_seed(3)
ones = np.ones((1, 30, 24), "float32")
fresh = np.array(custom_layers.Dropout(0.5)(ones, training=True))[0]
kept = np.array(custom_layers.Dropout(0.5, noise_shape=(None, 1, None))(ones, training=True))[0]
masks = {"fresh masks (Zaremba)": fresh, "a kept mask (Gal)": kept}

# %%
LITTLE, ROUNDS = training[:20_000], 1 if PAGE.fast else 40
OF_LITTLE = SMALL if PAGE.fast else Sizes(64, 192)
KINDS = {
    "no dropout": Dropouts(),
    "fresh masks (Zaremba)": Dropouts(fresh=0.4),
    "kept masks (Gal)": Dropouts(kept=0.3, kept_state=0.3),
}
dropped, dropped_nats = {}, {}
reader = learning.compiled(build(custom_layers, len(letters), OF_LITTLE, 8, **ours), RATE, 1, XLA)
for name, dropouts in KINDS.items():
    print(name)
    keras.utils.set_random_seed(4)
    learner = build(custom_layers, len(letters), OF_LITTLE, 16, dropouts=dropouts, **ours)
    best = keras.callbacks.EarlyStopping(patience=ROUNDS, restore_best_weights=True)
    pair = LITTLE, validation[:20_000]  # without XLA, which draws random masks slowly on a CPU
    of_learning: Any = {"rate": RATE, "jit": False, "callbacks": [best]}
    dropped[name] = learning.learn_text(learner, pair, 50, ROUNDS, **of_learning)
    reader.set_weights(learner.get_weights())  # of its best epoch: all may stop early
    dropped_nats[name] = learning.nats_of(reader, held_out)
for name, value in dropped_nats.items():
    lowest, last = dropped[name].best, dropped[name].validation[-1]
    print(f"{name:22} held out {value:.3f}; validation best {lowest:.3f}, at the end {last:.3f}")
PAGE.show(pictures.save_dropout(masks, dropped, len(LITTLE), PAGE.out / "dropout.png"))

# %% [markdown]
# ## 10. Writing
#
# To write, draw the next character from the guess, read it, and draw again:
# `custom_layers.decoding.sample` does it in one graph. A **temperature** divides the logits: below 1 the
# model keeps to what it is sure of, above 1 it dares more. A **nucleus** (Holtzman et al. 2020) draws
# from the fewest characters that have 90% of the probability together.

# %%
known = set(sampling.words_of(corpus.parts.training))
LENGTH, WRITERS = (60, 4) if PAGE.fast else (400, 16)
writers = {p: sampling.Writer(model, letters, top_p=p) for p in (None, 0.9)}
known_words = {}
for temperature, top_p in ((0.4, None), (0.7, None), (1.0, None), (1.4, None), (1.0, 0.9)):
    texts = writers[top_p].write("\n\n", LENGTH, temperature, seed=5, rows=WRITERS)
    share = known_words[temperature, top_p] = sampling.share_of_known_words(texts, known)
    print(f"--- temperature {temperature}, nucleus {top_p}: {share:.0%} of the words are known")
    print(texts[0].strip()[:300])
x, _ = TextStreams(held_out, 8, 20).window(0)
loop_apart = np.abs(sampling.logits_by_steps(model, x) - forgetting.predict_on_batch(x)).max()
print(f"the logits of the loop's steps and of the model: {loop_apart:.1e} apart")

# %% [markdown]
# ## 11. What a unit follows
#
# Karpathy et al. 2015 (section 4.2) found units that count the characters of a line, and units that open
# and close with quotes. We look for such units by correlation, and with care: among so many, *some* unit
# correlates with anything. So a unit is chosen on the validation text and its correlation is told on the
# held-out text, beside that of the best unit of random weights. Those follow the letters of a word, too;
# none of them measures the line as a trained unit does.

# %%
keras.utils.set_random_seed(6)
random = build(custom_layers, len(letters), sizes, 8, **ours)
choose, tell = (units.Part(corpus.parts[n], corpus.numbers[n]) for n in (1, 2))
found, of_random = (units.search(reader, choose, tell) for reader in (keeping, random))
for feature, unit in found.items():
    print(f"{feature:32} unit {unit.number:3}: r = {unit.told:+.2f}", end="")
    print(f"   (best of random weights {of_random[feature].told:+.2f})")
PAGE.show(pictures.save_units(found, of_random, corpus.parts.held_out, PAGE.out / "units.png"))

# %% [markdown]
# ## What has been claimed
#
# Every claim of this page, checked; what is learnt, on the real text alone, and not in a fast run.


# %%
def check():
    np.testing.assert_array_equal(rows[:, 1:], targets[:, :-1])  # the target is the next character
    begin = streams.stretch * np.arange(streams.batch)[:, None]  # a row's batches are the text
    np.testing.assert_array_equal(rows, training[begin + np.arange(rows.shape[1])])
    assert state_passes < 1e-12
    assert gradient_is_cut < 1e-12 < 0.01 < cut_is_not_whole
    assert 10 * logits_apart < 1e-4 > loop_apart  # windows, and the loop; the logits are of 10
    assert apart.max() < 1e-5, "built-in and custom learn alike"
    assert nats < levels["frequency alone"]
    assert np.all(kept == kept[0])
    assert np.any(fresh != fresh[0])
    if PAGE.fast or corpus.name != character_corpus.REAL:
        return
    assert nats <= 1.6 < min(levels.values()) == levels["counting, 4 before"]
    forgets, carries = by_place.values()
    assert forgets[0] > 2.5 > carries[0], "without its past the first guess is a poor one"
    assert abs(forgets[-50:].mean() - carries[-50:].mean()) < 0.02, "it finds back in"
    assert read_carrying < forgetting_ - 0.04, "a carried state helps in reading"
    assert abs(read_carrying - carrying_) < 0.03, "in training it adds little"
    assert carrying_ < cut_, "more updates of the same text"
    assert reach[-21] < 0.2, "little of a gradient comes from further back"
    plain, *others = (dropped_nats[name] for name in KINDS)
    assert max(others) < plain - 0.02, "both kinds of dropout help, early stopping or not"
    assert dropped["no dropout"].validation[-1] > dropped["no dropout"].best + 0.1, "it overfits"
    *shares, in_nucleus = known_words.values()
    assert shares == sorted(shares, reverse=True), "the hotter, the more words that nobody knows"
    assert in_nucleus > known_words[1.0, None]
    gains = [abs(unit.told) - abs(of_random[name].told) for name, unit in found.items()]
    assert gains[0] > 0.2, "a unit measures the line"  # the others come out as they come


check()
print("all claims hold")
by_reading = " / ".join(f"{value:.3f}" for value in (forgetting_, read_carrying, carrying_))
by_masks = " / ".join(f"{value:.3f}" for value in dropped_nats.values())
PAGE.report(
    "A text read as streams: the state is carried, the gradient cut; two kinds of dropout help.",
    {
        "nats per character, held out": nats,
        "perplexity, held out": math.exp(nats),
        **recorded,
        "nats of counting with 4 before, held out": levels["counting, 4 before"],
        "windows of 20, forgetting / the same read carrying / carrying, nats": by_reading,
        "little text, plain / fresh / kept masks, nats": by_masks,
        f"{UPDATES} losses, built-in and custom apart": float(apart.max()),
    },
    PAGE.out / "learning.png",
    corpus.name,
)
