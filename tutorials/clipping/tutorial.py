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
# # Clipping
#
# The gradient of a recurrent network is a sum of products, with a factor for each time step that it has
# come through. Where the factors are above 1 it **explodes**, and one update throws away what a thousand
# have learned. **Clipping** shortens a gradient that is too long. It is one argument of every Keras
# optimizer, there are three kinds of it, and they are not the same.
#
# This page writes the three down (1), looks at the landscape that makes them necessary (2), trains a
# network that its gradients ruin and clipping saves, watched **before and after** (3), asks how much to
# clip (4), and what is different under Adam (5).

# %%
import importlib.util
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if importlib.util.find_spec("tutorials") is None:  # a notebook starts in its own folder
    sys.path.insert(0, str(next(p for p in Path.cwd().parents if (p / "tutorials").is_dir())))

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

import custom_layers
from tutorials import character_corpus, page
from tutorials.clipping import cliff, pictures, reading, rules

tf.get_logger().setLevel("ERROR")  # a function is traced for every model
PAGE = page.begin("clipping", "Three ways to clip gradients, watched before and after.")

# %% [markdown]
# ## 1. Three rules
#
# Let $g_w$ be the gradient of the loss by the weight $w$, a whole matrix or vector, and $g_i$ one of
# its numbers. Every optimizer of Keras takes at most one of these arguments:
#
# $$\texttt{clipvalue}: \quad g_i \leftarrow \min(\max(g_i, -c), c) \qquad (1)$$
# $$\texttt{clipnorm}: \quad g_w \leftarrow g_w \min\left(1, \frac{c}{|g_w|}\right) \qquad (2)$$
# $$\texttt{global\_clipnorm}: \quad
#   g_w \leftarrow g_w \min\left(1, \frac{c}{\sqrt{\sum_v |g_v|^2}}\right) \qquad (3)$$
#
# `rules.py` has them in a line each. Are these Keras's? We take the gradients of an LSTM, let each rule
# shorten them to half, and compare with what an optimizer makes of the same gradients. And we measure
# the angle between the gradient before and after: did it only get shorter, or does it point elsewhere?

# %%
keras.utils.set_random_seed(0)
rng = np.random.default_rng(0)
lstm = custom_layers.LSTM(16)
x, target = rng.standard_normal((8, 20, 6)).astype("float32"), rng.standard_normal((8, 16))
with tf.GradientTape() as tape:
    loss = tf.reduce_mean((lstm(x) - target) ** 2)
gradients = [g.numpy() for g in tape.gradient(loss, lstm.trainable_weights)]
rules_apart, angles = {}, {}
for argument, rule in rules.RULES.items():
    c = rules.threshold(argument, gradients, share=0.5)
    clipped = rule(gradients, c)
    of_keras = rules.applied(gradients, **{argument: c})
    rules_apart[argument] = max(
        float(np.abs(own - theirs).max()) for own, theirs in zip(clipped, of_keras, strict=True)
    )
    angles[argument] = rules.turned(gradients, clipped)
    print(
        f"{argument:16} c = {c:.4f}: from {rules.length(gradients):.3f} to {rules.length(clipped):.3f}, "
        f"turned by {angles[argument]:4.1f} degrees; from Keras's {rules_apart[argument]:.0e}"
    )

# %% [markdown]
# Only (3) keeps the direction. (2) keeps that of each weight, but a weight whose gradient is long loses
# against one whose gradient is short. (1) cuts off the large entries and leaves the small ones, so
# that in the limit nothing is left but the signs. Where only the length is wrong, (3) is the rule.
#
# **An `Embedding` is a special case.** Its gradient comes as `tf.IndexedSlices`, a slice for each
# occurrence of a word. Keras clips and measures these, and adds up those of a word afterwards. Where
# they point the same way, what it applies is longer than the threshold. (Where they cancel out, it is
# shorter than need be.) Sixty times the same word:

# %%
words = custom_layers.Embedding(5, 8)
words.build((1, 60))
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(words(tf.ones((1, 60), "int32")) * rng.uniform(0, 1, 8))
slices = [tape.gradient(loss, words.trainable_weights)[0]]
summed = [tf.convert_to_tensor(slices[0]).numpy()]
too_long = {}
for argument, rule in rules.RULES.items():
    too_long[argument] = rules.length(rules.applied(slices, **{argument: 0.1}))
    print(
        f"{argument:16} c = 0.1: the rule leaves {rules.length(rule(summed, 0.1)):5.2f}, "
        f"Keras applies {too_long[argument]:5.2f}"
    )

# %% [markdown]
# `GradientInspector` counts as Keras clips: what it shows as left is what is applied.
#
# ## 2. The cliff
#
# What is wrong with a long gradient? It points where the loss falls, after all. Pascanu, Mikolov and
# Bengio (2013, arXiv:1211.5063, figure 6) drew the loss of the smallest network that shows it: one
# unit, no inputs, two weights, and fifty steps to reach 0.7:
#
# $$h_t = \sigma(w\, h_{t-1} + b), \quad h_0 = 0 \qquad (4) \qquad\qquad L(w, b) = (h_{50} - 0.7)^2
#   \qquad (5)$$
#
# (Theirs is $x_t = w\,\sigma(x_{t-1}) + b$ and begins at $x_0 = 0.5$; ours begins at 0, as Keras does.)
# In Keras it is `SimpleRNN(1, activation="sigmoid")`. Three descents with `fit`, from the same point
# and with the same rate, on the built-in layer and on ours. (A weight of one number has one entry:
# rules 1 and 2 are the same here.)

# %%
descents, cliff_apart = {}, {}
for name, clipping in {
    "no clipping": {},
    "clipvalue=1": {"clipvalue": 1.0},
    "global_clipnorm=1": {"global_clipnorm": 1.0},
}.items():
    builtin, descent = (
        cliff.descend(layers, updates=300, **clipping) for layers in (keras.layers, custom_layers)
    )
    descents[name] = descent
    # Over the first updates: later the wall enlarges any difference.
    cliff_apart[name] = float(np.abs(builtin.w - descent.w)[:100].max())
    print(
        f"{name:18} longest gradient {descent.norm.max():6.1f}, longest stride "
        f"{descent.strides.max():6.2f}; at the end w {descent.w[-1]:6.2f}, b {descent.b[-1]:6.2f}, "
        f"loss {descent.loss[-1]:.3f}"
    )

# %%
PAGE.show(pictures.save_cliff(descents, PAGE.out / "cliff.png"))

# %% [markdown]
# Bright is a plateau, where the state stays near 0; dark the land where it climbs towards 1. Between
# them stands a wall. There the state creeps past the point where the factor of a step,
# $w\,\sigma'$, is 1, and from there on every difference grows. All three descents cross the wall, come
# back to its foot, since there the loss is lowest, and touch it.
#
# The gradient is right, and useless: it holds for a hair's breadth. The update trusts it and flies off
# to where the sigmoid is flat and no gradient leads back. With a bounded stride the descent is pushed
# back over the wall, and returns.
#
# ## 3. A network that its gradients ruin
#
# A plain recurrent network reads characters and guesses the next one: an orthogonal start, 50 steps, 64
# units, SGD with a rate of 2. `GradientInspector` looks at every step. The model is an
# `InspectedTraining`, so that it sees the very gradients that move the weights; and it writes their norm
# twice, `all_weights/gradient_norm` and `all_weights/gradient_norm_clipped`. The Custom Scalars of
# TensorBoard show both in one chart.

# %%
corpus = character_corpus.load(300_000)
text = reading.windows(corpus, batches=100 if PAGE.fast else 600)
CLIPPINGS = {
    "no clipping": {},
    "clipvalue=0.1": {"clipvalue": 0.1},
    "clipnorm=0.5": {"clipnorm": 0.5},
    "global_clipnorm=1": {"global_clipnorm": 1.0},
}
RATE, runs, columns_apart = 2.0, {}, {}
SAME = 5  # updates that the columns are compared over: an explosion would enlarge any difference
for name, clipping in tqdm(CLIPPINGS.items(), unit="rule"):
    theirs = reading.train(keras.layers, text.first(SAME), keras.optimizers.SGD(RATE, **clipping))
    runs[name] = reading.train(
        custom_layers, text, keras.optimizers.SGD(RATE, **clipping), PAGE.out / "logs" / name
    )
    columns_apart[name] = float(np.abs(theirs.losses - runs[name].losses[:SAME]).max())

# %%
for name, run in runs.items():
    print(
        f"{name:18} norm {np.median(run.before):.2f} in the median, {run.before.max():.2g} at most; "
        f"{run.cut:5.1%} of the steps cut; loss at the end {run.end:.3f}"
    )
saved = pictures.save_runs(runs, PAGE.out / "picture.png")
PAGE.show(saved)
print(f'tensorboard --logdir "{PAGE.out / "logs"}"')

# %% [markdown]
# Without clipping the gradients explode, up to a hundred thousand times as long as the others, and the
# loss ends above where it began. With clipping the network learns; and the two rules that measure whole
# weights had to cut **a few steps in a hundred**, most of them at the start. `clipvalue=0.1` does worse:
# of $N$ numbers it bounds the length by $c\sqrt N$ alone, which is too long here. Is it the rule, or the
# threshold? Section 4 has the answer.
#
# The inspector has said so in words:

# %%
worst = int(runs["no clipping"].before.argmax()) + 1
said = [(int(line.split(":")[0].removeprefix("step ")), line) for line in runs["no clipping"].said]
warned = [step for step, line in said if "gradients explode" in line]
for step, line in said:
    if worst - 3 <= step <= worst + 1:
        print(line)

# %% [markdown]
# Is it bad luck, or simply a rate that is too high? Other seeds, with and without clipping; and the same
# seed at lower rates. At a quarter of the rate the network learns without clipping, and slower.
# **Clipping is what permits the high rate.**

# %%
by_seed, by_rate = {}, {}
for seed in tqdm(range(1, 2 if PAGE.fast else 4), unit="seed"):
    by_seed[seed] = [
        reading.train(custom_layers, text, keras.optimizers.SGD(RATE, **clipping), seed=seed).end
        for clipping in ({}, {"global_clipnorm": 1.0})
    ]
    print("seed {}: loss at the end {:.2f}, with clipping {:.2f}".format(seed, *by_seed[seed]))
for rate in tqdm((0.5,) if PAGE.fast else (0.1, 0.3, 0.5, 1.0), unit="rate"):
    by_rate[rate] = reading.train(custom_layers, text, keras.optimizers.SGD(rate)).end
    print(f"rate {rate}, no clipping: loss at the end {by_rate[rate]:.2f}")
best_plain = min(by_rate.values())

# %% [markdown]
# ## 4. How much to clip
#
# Look first, then choose: the threshold of a norm belongs above the norms of ordinary steps and below
# those of the explosions. That of a number is a length for each of very many. A range for both:

# %%
thresholds = {
    "global_clipnorm": (0.1, 10.0) if PAGE.fast else (0.03, 0.1, 0.3, 3.0, 10.0, 100.0),
    "clipvalue": (0.01,) if PAGE.fast else (0.001, 0.003, 0.01, 0.03, 1.0),
}
ends = {"global_clipnorm": {1.0: runs["global_clipnorm=1"].end}}
ends["clipvalue"] = {0.1: runs["clipvalue=0.1"].end}
for argument, some in thresholds.items():
    for c in tqdm(some, unit="threshold"):
        optimizer = keras.optimizers.SGD(RATE, **{argument: c})
        ends[argument][c] = reading.train(custom_layers, text, optimizer).end
    ends[argument] = dict(sorted(ends[argument].items()))
    print(f"{argument}, loss at the end:", *(f"{c:g}: {e:.2f}" for c, e in ends[argument].items()))
PAGE.show(pictures.save_thresholds(ends, best_plain, PAGE.out / "thresholds.png"))

# %% [markdown]
# Too high, and the blow lands before it is cut. Too low, and every step is cut: the length of the
# gradient no longer counts, only its direction, and the stride is $c$ times the rate, here too short.
#
# And it was the threshold. With a tenth of it `clipvalue` does as well as the others, although it turns
# the gradient.
#
# ## 5. Adam
#
# Adam divides a running mean $m$ of the gradients by the root of a running mean $v$ of their squares.
# Multiply **all** gradients by the same number, and its steps stay what they are, but for the small
# $\epsilon$:
#
# $$\frac{k\,m}{\sqrt{k^2 v} + \epsilon} \approx \frac{m}{\sqrt{v} + \epsilon} \qquad (6)$$
#
# So the threshold is no matter of the stride here. Ten updates with gradients a hundredth as long, with
# an $\epsilon$ that is next to nothing; then the training of above, without clipping, with a few steps
# cut, and with almost all of them cut:

# %%
moved = {}
for k in (1.0, 0.01):
    weight = keras.Variable(np.zeros(1000), dtype="float64")
    adam = keras.optimizers.Adam(0.01, epsilon=1e-30)
    draws = np.random.default_rng(1)
    for _ in range(10):
        adam.apply([tf.constant(k * draws.standard_normal(1000))], [weight])
    moved[k] = weight.numpy()
adam_apart = float(np.abs(moved[1.0] - moved[0.01]).max() / np.abs(moved[1.0]).max())
print(f"updates of gradients and of hundredths of them: {adam_apart:.0e} apart")
adam_ends = {}
for name, clipping in {
    "no clipping": {},
    "global_clipnorm=1": {"global_clipnorm": 1.0},
    "global_clipnorm=0.01": {"global_clipnorm": 0.01},
}.items():
    adam_ends[name] = reading.train(
        custom_layers, text, keras.optimizers.Adam(0.003, **clipping)
    ).end
    print(f"Adam, {name:20} loss at the end {adam_ends[name]:.3f}")

# %% [markdown]
# Under Adam this network needs no clipping: the rate itself bounds what an update moves. What a gradient
# that has exploded does is something else: it stays in $v$, which forgets a thousandth at each step
# ($\beta_2 = 0.999$), and makes the strides short for thousands of steps. Clipping keeps it out.
#
# What clipping cannot do is make a gradient longer. Against those that **vanish** the page
# [vanishing_gradients](../vanishing_gradients/tutorial.ipynb) has other remedies.
#
# ## What has been claimed


# %%
def check():
    """Raise AssertionError for the first claim that does not hold."""
    for argument, apart in rules_apart.items():
        assert apart <= 1e-7, argument
    assert angles["global_clipnorm"] < 0.1, "a global norm keeps the direction"
    assert angles["clipvalue"] > 5, "a bound on entries turns it"
    assert angles["clipnorm"] > 1, "and so does one on each weight"
    for argument, rule in rules.RULES.items():
        left = rules.length(rule(summed, 0.1))
        assert too_long[argument] > 2 * left, "slices are clipped before they are added up"
    for name, apart in cliff_apart.items():
        assert apart <= 1e-6, f"{name}: built-in and custom go the same way"
    plain, clipped = descents["no clipping"], descents["global_clipnorm=1"]
    assert plain.strides.max() > 10, "thrown off the cliff"
    assert plain.norm[-1] < 1e-6, "to where no gradient leads back"
    assert clipped.strides.max() <= cliff.RATE * (1 + 1e-6)
    assert clipped.loss[-1] < 0.01 < plain.loss[-1], "the descent that is clipped arrives"
    by_entry = descents["clipvalue=1"].strides.max() / cliff.RATE
    assert 1.1 < by_entry <= 2**0.5 * (1 + 1e-6), "two entries, each at most 1"
    for name, apart in columns_apart.items():
        assert apart <= 1e-4, f"{name}: built-in and custom learn alike"
    assert min(len(run.after) for run in runs.values()) == len(text.x) // reading.BATCH
    whole = runs["global_clipnorm=1"]
    assert whole.cut > 0, "the first steps are long"
    assert whole.after.max() < 1.2, "1, but for the embedding's slices"
    assert runs["no clipping"].cut == 0
    assert adam_apart <= 1e-12
    if PAGE.fast or corpus.name != character_corpus.REAL:
        return
    ruined = runs["no clipping"]
    assert ruined.before.max() > 1e3 * np.median(ruined.before), "gradients explode"
    assert ruined.end > ruined.losses[0], "and nothing is learnt"
    assert warned, "and the inspector says so"
    for name, run in runs.items():
        if name != "no clipping":
            assert run.end < ruined.end - 1, f"{name} saves the training"
    for name in ("clipnorm=0.5", "global_clipnorm=1"):
        assert runs[name].cut < 0.1, "by a few steps in a hundred"
        assert runs[name].end < best_plain - 0.1, "no lower rate learns as fast"
    for seed, (plain_end, clipped_end) in by_seed.items():
        assert clipped_end < 2.2 < plain_end - 0.3, f"seed {seed}"
    whole_norm, by_number = ends.values()
    assert min(whole_norm, key=lambda c: whole_norm[c]) in (0.3, 1.0), (
        "neither too much nor too little"
    )
    assert min(whole_norm[0.03], whole_norm[100.0]) > min(whole_norm.values()) + 0.3
    assert min(by_number.values()) < min(whole_norm.values()) + 0.05, "each rule has a threshold"
    assert by_number[0.1] > min(by_number.values()) + 0.2, "it was not the rule"
    assert max(adam_ends.values()) < min(adam_ends.values()) + 0.1, "Adam does not mind"


check()
PAGE.report(
    "Clipping saves a training that exploding gradients ruin, cuts few steps, and permits a high rate.",
    {
        "the rules by hand and Keras's, largest difference": f"{max(rules_apart.values()):.0e}",
        **{f"a gradient halved by {rule} is turned by": f"{a:.0f}°" for rule, a in angles.items()},
        "longest stride at the cliff, without and with clipping": "{:.1f}, {:.1f}".format(
            *(descents[name].strides.max() for name in ("no clipping", "global_clipnorm=1"))
        ),
        **{
            f"nats per character after {len(run.losses)} updates, {name}": (
                f"{run.end:.2f} (longest gradient {run.before.max():.2g}, {run.cut:.0%} of steps cut)"
            )
            for name, run in runs.items()
        },
        "with clipvalue at its best threshold": f"{min(ends['clipvalue'].values()):.2f}",
        "without clipping, at the best of lower rates": f"{best_plain:.2f}",
        "Adam, without clipping, with 1, with 0.01": "{:.2f}, {:.2f}, {:.2f}".format(
            *adam_ends.values()
        ),
    },
    saved,
    corpus.name,
)
print("all claims hold")
