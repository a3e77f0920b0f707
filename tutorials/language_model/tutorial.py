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
# Here the $x_t$ are characters, and the guesses come from a recurrent network. The text is one long
# string, a million characters. Nobody can back-propagate through a million steps. So this page is about
# **streams**: the text is read in windows, the state is carried from window to window, and the gradient
# is cut between them. Then: dropout that helps, sampling, and a look for units that mean something.
#
# A text is scored by the mean of $-\log p$ over its characters, in **nats per character**. Its
# exponential is the **perplexity**: as if the model had to guess among so many equally good characters.
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

import custom_layers
from custom_layers.data import TextStreams
from custom_layers.debugging import GradientInspector
from tutorials import page
from tutorials.language_model import borders, data, learning, pictures, sampling, units
from tutorials.language_model.counting import nats_by_counting
from tutorials.language_model.model import Dropouts, Sizes, build, recurrent_layers

PAGE = page.begin("language_model", "Truncated back-propagation over streams, dropout, sampling.")
XLA = not PAGE.fast  # compiling takes longer than the few steps of a fast run
corpus = data.load(120_000 if PAGE.fast else None)
letters, (training, validation, held_out) = corpus.vocabulary, corpus.numbers
print(f"{corpus.name}: {len(letters)} different characters; {len(training):,} to learn from,")
print(f"{len(validation):,} to choose by, {len(held_out):,} held out. It begins:\n")
print(corpus.parts.training[:120])

# %% [markdown]
# ## 1. What counting reaches
#
# Before any network: how far does a table get? Count how often each character follows the $k$ before
# it, and trust a longer context only as far as it was seen. With $k = 0$ these are the frequencies of the
# letters. More context helps, but the table grows as $65^k$, and most of it stays empty.

# %%
levels = {"all characters alike": math.log(len(letters))}
for k in range(4):
    name = f"counting, {k} before" if k else "frequency alone"
    levels[name] = nats_by_counting(training, held_out, len(letters), k)
for name, nats in levels.items():
    print(f"{name:22} {nats:.3f} nats per character, perplexity {math.exp(nats):5.1f}")

# %% [markdown]
# ## 2. Streams
#
# `TextStreams` lays the text out in rows of equal length $S$, and cuts the rows into windows. Row $i$ of
# batch $n$ begins at the place $p$ of the text; the target of each character is the next one:
#
# $$x_t = c_{p+t} \qquad y_t = c_{p+t+1} \qquad p = i S + n \cdot \mathrm{steps} \qquad (3)$$
#
# So row $i$ of the next batch goes on where this one ended:

# %%
BATCH, STEPS = (16, 50) if PAGE.fast else (64, 100)
streams = TextStreams(training, BATCH, STEPS)
for n in range(3):
    x, y = TextStreams(training, batch=3, steps=24).window(n)
    print(f"batch {n}", [letters.decode(row) for row in x])
rows = np.concatenate([streams.window(n)[0] for n in range(streams.windows)], axis=1)
targets = np.concatenate([streams.window(n)[1] for n in range(streams.windows)], axis=1)
print(f"{streams.windows} batches a pass, of {streams.batch} rows x {streams.steps} characters")

# %% [markdown]
# ## 3. The model
#
# A row of a table for each character, a GRU, and a layer that scores the next character. It is written
# once, in `model.py`, and takes the layers that it is built from: Keras's or ours. `stateful=True` makes
# the GRU begin each batch with the state that the last one ended with. `gradient="bptt"` is our own
# back-propagation through time; compiled with XLA it is the fastest way to train on a CPU.

# %%
sizes = Sizes(embedding=16, units=48) if PAGE.fast else Sizes(embedding=64, units=256)
ours: Any = {"gradient": "bptt"}
keras.utils.set_random_seed(0)
model = build(custom_layers, len(letters), sizes, BATCH, **ours)
model.summary()

# %% [markdown]
# ## 4. A border between two windows
#
# What does a border do? Two claims, first on a small GRU in float64, where "equal" means twelve digits.
#
# **The state passes.** Five windows, one after the other, give the outputs of one sequence five times as
# long.
#
# **The gradient does not.** The kept state is a number to the next window: nobody asks how it came about.
# With $L_n$ the loss of window $n$, and $h_{n-1}$ held still, the gradients add up to
#
# $$\sum_n \left.\frac{\partial L_n}{\partial \theta}\right|_{h_{n-1}} \;\ne\; \frac{\partial}{\partial \theta} \sum_n L_n \qquad (4)$$
#
# The left side is **truncated** back-propagation (Williams and Peng 1990). It is also what one long
# sequence gives whose layer is told to cut: `truncate_every=12`.

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
print(f"outputs, windows by one sequence:            {state_passes:.1e} apart")
print(f"gradient, windows by truncate_every={cut_at}:      {gradient_is_cut:.1e} apart")
print(f"gradient, windows by the whole sequence's:   {cut_is_not_whole:.1e} apart")

# %% [markdown]
# The same for the whole model in float32, along ten windows of the real streams: the logits are those of
# one sequence of a thousand characters.

# %%
ten, long = (TextStreams(training[:9000], batch=8, steps=n) for n in (100, 1000))
keeping = build(custom_layers, len(letters), sizes, 8, **ours)
forgetting = build(custom_layers, len(letters), sizes, 8, stateful=False, **ours)
for built in (keeping, forgetting):
    built.set_weights(model.get_weights())
in_ten = np.concatenate([keeping.predict_on_batch(ten.window(n)[0]) for n in range(10)], axis=1)
in_one = forgetting.predict_on_batch(long.window(0)[0])
logits_apart = float(np.abs(in_ten - in_one).max())
print(f"logits of ten windows and of one: {logits_apart:.1e} apart")

# %% [markdown]
# ## 5. Two sets of layers
#
# From the same weights, on the same streams, with the same optimizer: do Keras's layers and ours learn
# the same? A GRU is a chaotic thing to train. A difference in the seventh digit, from adding the same
# numbers in another order, grows from update to update. At first it is rounding; later it is
# still harmless, and no longer small. Ours is watched meanwhile: `GradientInspector` writes its gates, states
# and gradients for TensorBoard, and puts back the states that its look has moved.

# %%
UPDATES, RATE = (6, 5e-3) if PAGE.fast else (120, 4e-3)
first = {}
for name, layers, options in (("built-in", keras.layers, {}), ("custom", custom_layers, ours)):
    keras.utils.set_random_seed(0)
    compared = build(layers, len(letters), sizes, BATCH, **options)
    learning.compiled(compared, RATE, 1000, XLA)
    watched = [GradientInspector(PAGE.out / "logs", probe=streams.window(0), every=UPDATES // 2)]
    first[name] = learning.first_losses(
        compared, streams, UPDATES, watched if layers is custom_layers else ()
    )
apart = np.abs(first["custom"] - first["built-in"])
print(f"losses {first['custom'][0]:.4f} ... {first['custom'][-1]:.4f}")
print(f"apart: first 5 updates {apart[:5].max():.1e}, all {UPDATES} {apart.max():.1e}")

# %% [markdown]
# ## 6. Training
#
# `fit`, a pass over the streams an epoch. `StreamStates` is a callback that resets the kept states when a
# pass begins, and gives the evaluation between two epochs states of its own. Adam, its rate falling along
# a half cosine; the gradient is clipped to length 1.

# %%
EPOCHS = 3 if PAGE.fast else 12
learning.compiled(model, RATE, EPOCHS * streams.windows, XLA)
validation_streams = TextStreams(validation, BATCH, STEPS)
curve = learning.learn(model, streams, validation_streams, EPOCHS)

# %%
for built in (keeping, forgetting):  # eight rows read each text, and no row is short
    built.set_weights(model.get_weights())
    learning.compiled(built, RATE, 1, XLA)
nats = {"validation": validation, "held out": held_out}
nats = {name: learning.nats_of(keeping, text) for name, text in nats.items()}
for name, value in nats.items():
    print(f"{name:10} {value:.3f} nats per character, perplexity {math.exp(value):.2f}")
PAGE.show(pictures.save_learning(curve, levels, apart, PAGE.out / "learning.png"))

# %% [markdown]
# ## 7. What carrying the state brings
#
# Take the trained model, and let it forget everything at the beginning of each window of 200 characters.
# The first guess of a window is then made from nothing, the second from one character. The loss falls
# along the window, and meets that of the model that carries its state: so many characters it takes to
# find back in.

# %%
by_place = {
    "forgetting": learning.nats_by_place(forgetting, held_out, 200),
    "carrying the state": learning.nats_by_place(keeping, held_out, 200),
}
for place in (1, 2, 5, 10, 50, 200):
    both = ", ".join(f"{name} {values[place - 1]:.2f}" for name, values in by_place.items())
    print(f"character {place:3} of a window: {both} nats")

# %% [markdown]
# The same in training. A smaller GRU learns from windows of 20 characters, once carrying its state and
# once not. The gradient never goes back further than 20 steps in either. And yet the one that
# carries learns to *use* what is older. (Both are measured as they were trained.)
#
# And two more, for the next section: windows of 100 characters, and the same with
# `truncate_every=20` inside them.

# %%
SMALL = Sizes(16, 32) if PAGE.fast else Sizes(32, 128)
TEXT, PASSES = (training[:20_000], 1) if PAGE.fast else (training[:450_000], 3)


def small_training(steps, **options):
    """The curve of a small GRU on windows of so many steps."""
    keras.utils.set_random_seed(2)
    learner = build(custom_layers, len(letters), SMALL, 32, **{**ours, **options})
    text = TextStreams(TEXT, 32, steps)
    learning.compiled(learner, RATE, PASSES * text.windows, XLA)
    print(f"windows of {steps}, {options}")
    return learning.learn(learner, text, TextStreams(validation, 32, steps), PASSES)


small = {
    "windows of 20, forgetting": small_training(20, stateful=False),
    "windows of 20, carrying": small_training(20),
    "windows of 100, cut every 20": small_training(100, truncate_every=20),
    "windows of 100": small_training(100),
}
of_carrying = {name: small[name] for name in list(small)[:2]}
PAGE.show(pictures.save_carrying(by_place, of_carrying, PAGE.out / "carrying.png"))

# %% [markdown]
# ## 8. Where to cut
#
# Five windows of 20, or one window of 100 whose gradient is cut every 20 steps? By (4) the gradients
# are the same, as long as the weights stand still. The difference is when the weights move: after each 20
# characters, or once after 100, along the mean of five gradients. The long window is one big piece of
# work, and so takes less time a character; the short ones make five times as many updates of the same text.
#
# And is it worth going back further? Let only the last guess of a window count, and see how much of its gradient
# arrives so many characters before (`record`, which listens to the states of our layers):

# %%
WINDOWS = 1 if PAGE.fast else 4
reach = borders.reach_of_gradient(forgetting, TextStreams(held_out, 8, 100), WINDOWS)
for back in (1, 5, 10, 20, 50):
    print(f"{back:3} characters back: {reach[-1 - back]:.1%} of the gradient")
of_windows = {name: small[name] for name in list(small)[1:]}
PAGE.show(pictures.save_truncation(reach, of_windows, PAGE.out / "truncation.png"))

# %% [markdown]
# ## 9. Dropout that helps
#
# A million characters are too many for this model to learn by heart. On a small text it does just that.
# Plain dropout inside a recurrence was long said to do harm: if at every step other units of the state
# are dropped, nothing survives a long way. There are two answers, and we have both:
#
# - **Zaremba et al. 2014**: drop only what goes up, from the table to the GRU and from the GRU to the
#   scores, never what goes along in time. A **fresh** mask at each step: `Dropout` between the layers.
# - **Gal and Ghahramani 2016**: draw a mask once for a window and **keep** it at all its steps; then the state
#   may be dropped as well: `dropout=` and `recurrent_dropout=` of the layer, and
#   `Dropout(noise_shape=(None, 1, None))` above it.

# %%
keras.utils.set_random_seed(3)
ones = np.ones((1, 30, 24), "float32")
masks = {
    "fresh masks (Zaremba)": custom_layers.Dropout(0.5)(ones, training=True),
    "a kept mask (Gal)": custom_layers.Dropout(0.5, (None, 1, None))(ones, training=True),
}
masks = {name: keras.ops.convert_to_numpy(mask)[0] for name, mask in masks.items()}
for name, mask in masks.items():
    print(f"{name:22} unit 0 over the steps: {(mask[:, 0] > 0).astype(int)}")

# %%
LITTLE = training[:20_000] if PAGE.fast else training[:50_000]
ROUNDS = 1 if PAGE.fast else 30
KINDS = {
    "no dropout": Dropouts(),
    "fresh masks (Zaremba)": Dropouts(fresh=0.5),
    "kept masks (Gal)": Dropouts(kept=0.4, kept_state=0.3),
}
dropped, dropped_nats = {}, {}
for name, dropouts in KINDS.items():
    keras.utils.set_random_seed(4)
    learner = build(custom_layers, len(letters), sizes, 32, dropouts=dropouts, **ours)
    text = TextStreams(LITTLE, 32, 50)
    learning.compiled(learner, RATE, ROUNDS * text.windows, XLA)
    best = keras.callbacks.EarlyStopping(patience=ROUNDS, restore_best_weights=True)
    print(name)
    dropped[name] = learning.learn(
        learner, text, TextStreams(validation, 32, 50), ROUNDS, callbacks=[best]
    )
    keeping.set_weights(learner.get_weights())  # those of its best epoch on the validation text
    dropped_nats[name] = learning.nats_of(keeping, held_out)
keeping.set_weights(model.get_weights())
for name, value in dropped_nats.items():
    best_, last = dropped[name].best, dropped[name].validation[-1]
    print(f"{name:22} held out {value:.3f}; validation best {best_:.3f}, at the end {last:.3f}")
PAGE.show(pictures.save_dropout(masks, dropped, len(LITTLE), PAGE.out / "dropout.png"))

# %% [markdown]
# Each is measured on the held-out text with the weights of its best epoch: so stopping early is granted to
# all three.
#
# ## 10. Writing
#
# To write, draw the next character from the guess, read it, and draw again. The loop is
# `custom_layers.decoding.sample`: one graph, the states handed from step to step. A **temperature** divides
# the logits before the softmax: below 1 the model keeps to what it is sure of, above 1 it dares
# more. The **nucleus** draws from the fewest characters that have 90% of the probability together
# (Holtzman et al. 2020).

# %%
known = set(sampling.words_of(corpus.parts.training))
writer = sampling.Writer(model, letters)
LENGTH, WRITERS = (60, 4) if PAGE.fast else (400, 16)
known_words = {}
for temperature in (0.4, 0.7, 1.0, 1.4):
    texts = writer.write("\n\n", LENGTH, temperature, seed=5, rows=WRITERS)
    known_words[temperature] = sampling.share_of_known_words(texts, known)
    print(f"--- temperature {temperature}: {known_words[temperature]:.0%} of the words are known")
    print(texts[0].strip()[:300])
nucleus = sampling.Writer(model, letters, top_p=0.9).write("\n\n", LENGTH, 1.0, 5, WRITERS)
known_in_nucleus = sampling.share_of_known_words(nucleus, known)
print(
    f"--- nucleus of 0.9: {known_in_nucleus:.0%} of the words are known\n{nucleus[0].strip()[:300]}"
)

# %% [markdown]
# Does the loop guess what the model guesses? The step function's logits, along a text, beside the model's:

# %%
x, _ = TextStreams(held_out, 8, 20).window(0)
loop_apart = float(
    np.abs(sampling.logits_by_steps(model, x) - forgetting.predict_on_batch(x)).max()
)
print(f"the loop's logits and the model's: {loop_apart:.1e} apart")

# %% [markdown]
# ## 11. What a unit follows
#
# Karpathy et al. 2015 found units that open and close with quotes, and units that count the characters of
# a line. We look for such units by correlation, and with care: among so many units, *some* unit
# correlates with anything. So a unit is chosen on the validation text and its correlation is told on the
# held-out text; and the best unit of a model with random weights stands beside it.

# %%
keras.utils.set_random_seed(6)
random = build(custom_layers, len(letters), sizes, 8, **ours)
choose, tell = (units.Part(corpus.parts[n], corpus.numbers[n]) for n in (1, 2))
found = {
    name: units.search(m, choose, tell) for name, m in (("trained", keeping), ("random", random))
}
for feature, unit in found["trained"].items():
    print(f"{feature:32} unit {unit.number:3}: r = {unit.told:+.2f}", end="")
    print(f"   (best of random weights {found['random'][feature].told:+.2f})")
begin = corpus.parts.held_out.index("\n\n") + 2  # a speech begins
coloured = [
    pictures.Coloured(
        f"unit {unit.number} and {feature}: correlation {unit.told:+.2f}",
        corpus.parts.held_out[begin : begin + 460],
        unit.values[begin : begin + 460],
    )
    for feature, unit in found["trained"].items()
]
PAGE.show(pictures.save_units(coloured, PAGE.out / "units.png"))

# %% [markdown]
# ## What has been claimed
#
# Every claim of this page, checked. A fast run learns too little for those about learning.


# %%
def check():
    """Raise AssertionError for the first claim that does not hold."""
    np.testing.assert_array_equal(rows[:, 1:], targets[:, :-1])  # the target is the next character
    for i in (0, streams.batch - 1):  # a row's batches, one after the other, are the text
        begin = i * streams.stretch
        np.testing.assert_array_equal(rows[i], training[begin : begin + rows.shape[1]])
    assert state_passes < 1e-12
    assert gradient_is_cut < 1e-12 < 0.01 < cut_is_not_whole
    assert logits_apart < 1e-5
    assert apart[:5].max() < 1e-5, "built-in and custom begin alike"
    assert loop_apart < 1e-5, "the sampling loop guesses as the model does"
    assert nats["held out"] < levels["frequency alone"]
    fresh, kept = masks.values()
    assert np.all(kept == kept[0])
    assert np.any(fresh != fresh[0])
    if PAGE.fast:
        return
    assert nats["held out"] <= 1.6 < min(levels.values())
    forgets, carries = by_place.values()
    assert forgets[0] > 2.5 > carries[0], "without its past the first guess is a poor one"
    assert abs(forgets[-50:].mean() - carries[-50:].mean()) < 0.02, "it finds back in"
    forgetting_, carrying_, cut_, whole_ = (c.validation[-1] for c in small.values())
    assert carrying_ < forgetting_ - 0.05
    assert carrying_ < cut_, "more updates of the same text"
    assert reach[-21] < 0.1
    plain, *others = (dropped_nats[name] for name in KINDS)
    assert max(others) < plain - 0.02, "both kinds of dropout help, early stopping or not"
    assert dropped["no dropout"].validation[-1] > dropped["no dropout"].best + 0.1, "it overfits"
    shares = list(known_words.values())
    assert shares == sorted(shares, reverse=True), "the hotter, the more words that nobody knows"
    assert known_in_nucleus > known_words[1.0]
    for feature, unit in found["trained"].items():
        assert abs(unit.told) > abs(found["random"][feature].told) + 0.1, feature


check()
print("all claims hold")
PAGE.report(
    "A GRU reads a text as streams, carrying its state and cutting the gradient; both dropouts help it.",
    {
        "nats per character, held out": nats["held out"],
        "perplexity, held out": math.exp(nats["held out"]),
        "nats, counting with 3 before": levels["counting, 3 before"],
        "nats, windows of 20, forgetting / carrying": " / ".join(
            f"{curve.validation[-1]:.3f}" for curve in of_carrying.values()
        ),
        "nats, little text, plain / fresh / kept masks": " / ".join(
            f"{value:.3f}" for value in dropped_nats.values()
        ),
        "built-in and custom, first 5 losses apart": float(apart[:5].max()),
    },
    PAGE.out / "learning.png",
    corpus.name,
)
