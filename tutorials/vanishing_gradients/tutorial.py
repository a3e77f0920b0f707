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
# # Vanishing gradients, and what helps
#
# A recurrent network can in principle use what it read a thousand steps ago. It is another question
# whether it can **learn** to. What it read then reaches the loss through a thousand steps, and the
# gradient has to come back the same way. The page
# [`backpropagation_through_time`](../backpropagation_through_time/tutorial.ipynb) derives the way
# back. From one step to the step before it is
#
# $$dh_{t-1} = \big(dh_t \odot f'(a_t)\big)\, U^\top, \qquad
#   \lVert dh_{t-1} \rVert \le \max f' \cdot \lVert U \rVert \cdot \lVert dh_t \rVert \qquad (1)$$
#
# the same factor again and again. A factor of 0.9 leaves $10^{-9}$ of a gradient after 200 steps,
# one of 1.1 makes it $10^8$ times as large.
#
# Here we look at four things: what the **initializer** makes of that factor; two **tasks** that
# nothing but a long memory can solve; which **networks** solve them, and from which length on they
# do not; and each of the well-known **remedies** by itself.

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

from custom_layers.data import AddingProblem, CopyingProblem
from custom_layers.debugging import GradientInspector, record
from custom_layers.debugging.tables import read_log
from tutorials import page
from tutorials.vanishing_gradients import initializers, pictures
from tutorials.vanishing_gradients.grid import REMEDIES_AT, STEPS, Grid
from tutorials.vanishing_gradients.networks import CELLS, REMEDIES, network, recipe_for
from tutorials.vanishing_gradients.runs import BATCH, LIMITS, LOOK, SHARE, Run, learn

PAGE = page.begin("vanishing_gradients", "Which networks learn to remember, and what helps them.")
tf.get_logger().setLevel("ERROR")  # many networks: functions are traced anew

# %% [markdown]
# ## 1. The first factor: the initializer
#
# Before anything is learnt, $U$ is what the initializer has drawn. Say its entries have the variance
# $v$, there are $n$ units, and the activation is linear. Then one step multiplies the mean square of
# the state by $n v$, and on the way back that of its gradient, too:
#
# $$\mathbb{E}\,\lVert h U \rVert^2 = n v \,\lVert h \rVert^2 \qquad (2)$$
#
# | initializer | variance $v$, square matrix | factor $\sqrt{n v}$ | made for |
# |---|---|---|---|
# | Glorot | $1/n$ | 1 | tanh |
# | He | $2/n$ | $\sqrt 2$ | ReLU, which drops half of the square |
# | orthogonal | $1/n$, no length changes | 1 | linear, deep |
# | identity | the state stays as it is | 1 | ReLU over time (IRNN) |
# | uniform in $\pm 1/\sqrt n$ | $1/3n$ | $0.58$ | the default of many lecture notes |
#
# Measured, on networks of linear layers:

# %%
LENGTH = 20 if PAGE.fast else 60
WIDTH = 64 if PAGE.fast else 128
factors = {}
for name in initializers.NAMES:
    passage = initializers.over_depth(name, "linear", WIDTH, LENGTH)
    forwards = float(passage.activations[-1] ** (1 / LENGTH))
    backwards = float(passage.gradients[0] ** (1 / (LENGTH - 1)))
    factors[name] = forwards, backwards
    print(f"{name:13} factor a layer: forwards {forwards:.3f}, backwards {backwards:.3f}")

# %% [markdown]
# With real activations, over depth (a new matrix at every layer):

# %%
ACTIVATIONS = ("tanh", "relu")
deep, long = (
    {
        (name, activation): way(name, activation, WIDTH, LENGTH)
        for name in initializers.NAMES
        for activation in ACTIVATIONS
    }
    for way in (initializers.over_depth, initializers.over_time)
)
PAGE.show(pictures.save_passages(deep, ACTIVATIONS, "layer", PAGE.out / "depth.png"))

# %% [markdown]
# Above: do activations stay alive on the way forward? Below: do gradients on the way back? For ReLU
# both do with He, and with the identity, which lets pass what was not cut off at the first layer.
# For tanh Glorot and orthogonal are near: the slope of a tanh is below 1, and so something is lost
# at every layer. The uniform one of the lecture notes loses more than four tenths at every layer,
# whatever the activation.
#
# And over time, where it is the same matrix again and again:

# %%
PAGE.show(pictures.save_passages(long, ACTIVATIONS, "step", PAGE.out / "time.png"))

# %% [markdown]
# Now averages do not decide, but the largest eigenvalue: the same direction is stretched at every
# step. Only two of the five keep every direction, orthogonal and identity, and ReLU keeps the
# second alone. An initializer that is right for a deep network need not be right for a recurrent
# one.
#
# ## 2. Two tasks for a memory
#
# **The adding problem** (Hochreiter and Schmidhuber 1997; here as in Le et al. 2015,
# arXiv:1504.00941, and Arjovsky et al. 2016, arXiv:1511.06464). A random number comes at each step,
# and two of them are marked, one in each half. After the last step the network is asked for the sum
# of the two:
#
# $$y = u_p + u_q, \qquad u_t \sim \mathcal U[0, 1) \qquad (3)$$
#
# Who cannot find out says 1, the mean, and has the squared error $2 \cdot \tfrac1{12} = 0.167$.
#
# **The copying problem** (as in Arjovsky et al.). Ten symbols out of eight come first, then nothing
# for $T$ steps, then a bell rings and the ten are to be repeated in their order. Who remembers
# nothing of them, but knows when to speak, has a cross-entropy of $10 \ln 8 / (T + 20)$ a step.

# %%
adding, copying = AddingProblem(24), CopyingProblem(12)
(adding_x, adding_y), (copying_x, copying_y) = (task.draw(20_000, 0) for task in (adding, copying))
says_one = float(np.mean((adding_y - 1) ** 2))
asked = copying_y < copying.symbols
frequency = np.bincount(copying_y[asked], minlength=copying.symbols) / asked.sum()
remembers_nothing = float(-np.sum(frequency * np.log(frequency)) * asked.mean())
print(f"adding:  baseline {adding.baseline:.4f}, measured {says_one:.4f}")
print(f"copying: baseline {copying.baseline:.4f}, measured {remembers_nothing:.4f}")
example = (adding_x[0], adding_y[0]), (copying_x[0], copying_y[0])
PAGE.show(pictures.save_tasks(*example, PAGE.out / "tasks.png"))

# %% [markdown]
# Both are short to state, and cannot be solved by half: there is nothing to see near the answer. We
# call a task **solved** when the loss is below a tenth of the baseline. The data have no end
# (`AddingProblem(50).batches(64, seed=0)`), every batch is new, and so the loss of training is the
# loss on sequences never seen.
#
# ## 3. How much gradient arrives
#
# Five networks of 64 units: the plain tanh network; the same with ReLU; IRNN, which is ReLU with $U
# = 1$ at first; LSTM and GRU. Each with its usual initializers, before any training, on the adding
# problem. The recorder of `custom_layers.debugging` tells $|dL/dh_t|$ for every step: how loudly
# does the loss, at the end, speak to step $t$?

# %%
FAR = 50 if PAGE.fast else 200
LIVE = 10 if PAGE.fast else 50  # steps of the task that is trained here
LIVE_LIMIT = 200 if PAGE.fast else None


def gradient_over_time(model, steps):
    """|dL/dh_t|, (steps,)."""
    inputs, answers = AddingProblem(steps).draw(BATCH, seed=1)
    with record(model, outputs=False) as trace, tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(inputs) - answers) ** 2)
    return trace.gradient_norms(tape, loss)["memory/h"].numpy().astype("float64")


def fresh(name, steps, seed=0, **options):
    keras.utils.set_random_seed(seed)
    return network(recipe_for("adding", name), AddingProblem(steps), **options)


at_first = {name: gradient_over_time(fresh(name, FAR), FAR) for name in CELLS}
for name, norms in at_first.items():
    print(f"{name:9} |dL/dh_1| / |dL/dh_{FAR}| = {norms[0] / norms[-1]:.1e}")
title = f"The adding problem over {FAR} steps, before training"
PAGE.show(pictures.save_gradients_over_time({title: at_first}, PAGE.out / "at_first.png"))

# %% [markdown]
# IRNN starts with a factor of exactly 1 for the units that are not cut off. For the others the
# gradient that reaches the first steps is too small for training to notice... unless training
# itself changes that. A gate can be *learnt* to stay open: LSTM and GRU begin with a vanishing
# gradient, too, and what counts is that they can get out of it.
#
# ## 4. A small part, live
#
# The adding problem with `fit`, one seed each. First, that our layers train as Keras's do: the LSTM
# from `keras.layers` and from `custom_layers`, from the same weights on the same batches. Ours
# differentiates by its own back-propagation through time (`gradient="bptt"`), which is also the
# faster way.

# %%
twins = {
    "keras.layers": fresh("LSTM", LIVE, layers=keras.layers),
    "custom_layers": fresh("LSTM", LIVE),
}
twins["custom_layers"].set_weights(twins["keras.layers"].get_weights())
twin_losses = {}
for name, model in twins.items():
    batches = AddingProblem(LIVE).batches(BATCH, seed=3)
    fitted = model.fit(batches, steps_per_epoch=10, epochs=3 if PAGE.fast else 10, verbose=0)
    twin_losses[name] = fitted.history["loss"]
twins_apart = float(np.abs(np.subtract(*twin_losses.values())).max())
print(f"largest difference of two losses: {twins_apart:.1e}")

# %% [markdown]
# Then the race. A `GradientInspector` looks at the tanh network and at the GRU while they learn.

# %%
probe = AddingProblem(LIVE).draw(BATCH, seed=1)
RACE = ("tanh RNN", "GRU") if PAGE.fast else ("tanh RNN", "IRNN", "LSTM", "GRU")
outcomes, logs, before, after = {}, {}, {}, {}
for name in RACE:
    watch = ()
    if name in ("tanh RNN", "GRU"):
        logs[name] = PAGE.out / "logs" / name.replace(" ", "_")
        watch = (GradientInspector(logs[name], probe, every=LOOK, histograms=False),)
    before[name] = gradient_over_time(fresh(name, LIVE), LIVE)
    outcomes[name], model = learn(Run("adding", LIVE, name, seed=0), LIVE_LIMIT, watch)
    after[name] = gradient_over_time(model, LIVE)
    told = outcomes[name].solved_at
    end = f"solved after {told} batches" if told else f"not solved in {outcomes[name].batches}"
    print(f"{name:9} loss {outcomes[name].loss:.4f}, {end}")
baseline = AddingProblem(LIVE).baseline
PAGE.show(
    pictures.save_losses(
        {name: outcome.losses for name, outcome in outcomes.items()},
        LOOK,
        baseline,
        SHARE * baseline,
        PAGE.out / "losses.png",
    )
)

# %% [markdown]
# How much gradient arrives now? And what the inspector wrote: the **vanishing ratio**, $|dL/dh_1| /
# |dL/dh_T|$, at each look. In the GRU training opens the way back, and the loss falls after that.

# %%
ratios = {}
for name, folder in logs.items():
    scalars = read_log(folder).scalars
    ratio = scalars.query("measure == 'vanishing_ratio' and layer == 'memory'")["value"]
    ratios[name] = ratio.tolist()
    print(
        f"{name:9} vanishing ratio {ratios[name][0]:.1e} at first, {ratios[name][-1]:.1e} at last"
    )
panels = {"Before training": before, "After training": after}
PAGE.show(pictures.save_gradients_over_time(panels, PAGE.out / "before_and_after.png"))

# %% [markdown]
# ## 5. The whole, recorded
#
# Two tasks, four lengths, five networks, five seeds: hours on two cores. They lie in `grid.json`,
# each with the number of batches that it took. This continues it, in any portions, the most telling
# runs first, and keeps what is done when it is ended:
#
#     python -m tutorials.vanishing_gradients.grid --minutes 60
#
# What is not there yet is shown as such.

# %%
grid = Grid()
for task in LIMITS:
    print(f"{task}, solved in {LIMITS[task]} batches by so many seeds, after (median)")
    for name in CELLS:
        row = (f"T={steps}: {grid.summary(task, steps, name)}" for steps in STEPS)
        print(f"  {name:9} " + "   ".join(f"{text:28}" for text in row))
picture = pictures.save_grid(grid, list(CELLS), STEPS, PAGE.out / "picture.png")
PAGE.show(picture)

# %% [markdown]
# ## 6. One remedy at a time
#
# Now a network as lecture notes begin with it: tanh, all weights uniform in $\pm 1/\sqrt n$, Adam,
# no clipping. It is set the adding problem, and one thing is changed at a time:

# %%
remedies_task, remedies_steps = REMEDIES_AT
print(f"{remedies_task} over {remedies_steps} steps")
for name in REMEDIES:
    print(f"  {name:44} {grid.summary(remedies_task, remedies_steps, name)}")
PAGE.show(
    pictures.save_remedies(
        grid, remedies_task, remedies_steps, list(REMEDIES), PAGE.out / "remedies.png"
    )
)

# %% [markdown]
# TEXT
#
# ## What has been claimed
#
# Every claim of this page, checked.


# %%
def check():
    """Raise AssertionError for the first claim that does not hold."""


check()
print("all claims hold")
