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
# Four things: what the **initializer** makes of that factor; two **tasks** that only a long memory can
# solve; which **networks** solve them; and each of the well-known **remedies** by itself.

# %%
import importlib.util
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

from custom_layers.data import AddingProblem, CopyingProblem
from custom_layers.debugging import GradientInspector
from tutorials import page
from tutorials.vanishing_gradients import initializers, pictures
from tutorials.vanishing_gradients.arriving import fresh, gradient_over_time, vanishing_ratios
from tutorials.vanishing_gradients.grid import REMEDIES_AT, STEPS, Grid
from tutorials.vanishing_gradients.networks import CELLS, REMEDIES
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
LENGTH = 16 if PAGE.fast else 60
WIDTH = 48 if PAGE.fast else 128
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
# Above the way forward, below the way back. For ReLU both stay alive with He, and with the identity,
# which lets pass what was not cut off at the first layer. For tanh Glorot and orthogonal are near: its
# slope is below 1, and something is lost at every layer. The uniform one of the lecture notes loses
# more than four tenths at every layer, whatever the activation.
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
# We call a task **solved** when the loss is below a tenth of the baseline. The data have no end
# (`AddingProblem(50).batches(32, seed=0)`), every batch is new, and so the loss of training is the
# loss on sequences never seen.
#
# ## 3. How much gradient arrives
#
# Seven networks. Four have no gates:
#
# - **tanh RNN**, with Keras's initializers, an orthogonal $U$ among them; **ReLU RNN**, likewise;
# - **IRNN**: ReLU, and $U = 1$ at first (Le et al. 2015);
# - **orthogonal linear RNN**: no activation at all, an orthogonal $U$ (Henaff et al. 2016,
#   arXiv:1602.06662);
#
# and three have gates: **LSTM**, **GRU**, and **LSTM, chrono**: an LSTM whose forget gates begin as
# wide open as a memory of 1 to $T$ steps needs, $b_f = \ln u$ with $u$ uniform in $[1, T - 1)$ and
# $b_i = -b_f$ (Tallec and Ollivier 2018, arXiv:1804.11188).
#
# Before any training, on the adding problem: how loudly does the loss, at the end, speak to step
# $t$? The recorder of `custom_layers.debugging` tells $|dL/dh_t|$ for every step. Of an LSTM we ask
# for its cell, $|dL/dc_t|$: that is its long way.

# %%
FAR = 25 if PAGE.fast else 200
LIVE = 10 if PAGE.fast else 50  # steps of the task that is trained here
LIVE_LIMIT = 200 if PAGE.fast else None
at_first = {name: gradient_over_time(fresh(name, FAR), FAR) for name in CELLS}
for name, norms in at_first.items():
    print(f"{name:21} gradient at step 1, as a share of step {FAR}'s: {norms[0] / norms[-1]:.1e}")
title = f"The adding problem over {FAR} steps, before training"
PAGE.show(pictures.save_gradients_over_time({title: at_first}, PAGE.out / "at_first.png"))

# %% [markdown]
# The linear one keeps every length, IRNN nearly, and an LSTM that expects a long memory keeps much.
# All others forget, the GRU worst of all: its gates are half open at first, and a half to the power
# of the steps is nothing. If this picture decided, the GRU could not learn the task.
#
# It does not decide. **What can be learnt is the factor itself.** Near the end of a sequence there is
# gradient enough. Where the second mark falls there, a gate gets a reason to stay open a little
# longer; then the gradient comes from a little farther; and so on, step by step. A tanh network has no
# such handle: its factor is in $U$, which it needs for everything else.
#
# ## 4. A small part, live
#
# First, that our layers train as Keras's do: the LSTM of both, from the same weights on the same
# batches. Ours differentiates by its own back-propagation through time (`gradient="bptt"`).

# %%
twins = {
    "keras.layers": fresh("LSTM", LIVE, layers=keras.layers),
    "custom_layers": fresh("LSTM", LIVE),
}
twins["custom_layers"].set_weights(twins["keras.layers"].get_weights())
twin_losses = {}
for name, model in twins.items():
    batches = AddingProblem(LIVE).batches(BATCH, seed=3)
    epochs = 3 if PAGE.fast else 10
    fitted = model.fit(batches, steps_per_epoch=10, epochs=epochs, shuffle=False, verbose=0)
    twin_losses[name] = fitted.history["loss"]
twins_apart = float(np.abs(np.subtract(*twin_losses.values())).max())
print(f"largest difference of two losses: {twins_apart:.1e}")

# %% [markdown]
# Then the race. A `GradientInspector` looks at the tanh network and at the GRU while they learn.

# %%
probe = AddingProblem(LIVE).draw(BATCH, seed=1)
RACE = ("tanh RNN", "GRU") if PAGE.fast else ("tanh RNN", "IRNN", "LSTM, chrono", "GRU")
outcomes, logs, before, after = {}, {}, {}, {}
for name in RACE:
    watch: tuple[Any, ...] = ()
    if name in ("tanh RNN", "GRU"):
        logs[name] = PAGE.out / "logs" / name.replace(" ", "_")
        watch = (GradientInspector(logs[name], probe, every=LOOK, histograms=False),)
    before[name] = gradient_over_time(fresh(name, LIVE), LIVE)
    outcomes[name], model = learn(Run("adding", LIVE, name, seed=0), LIVE_LIMIT, watch)
    after[name] = gradient_over_time(model, LIVE)
    told = outcomes[name].solved_at
    end = f"solved after {told} batches" if told else f"not solved in {outcomes[name].batches}"
    print(f"{name:12} loss {outcomes[name].loss:.4f}, {end}")
baseline = AddingProblem(LIVE).baseline
lines = {name: outcome.losses for name, outcome in outcomes.items()}
path = PAGE.out / "losses.png"
PAGE.show(pictures.save_losses(lines, LOOK, baseline, SHARE * baseline, path))

# %% [markdown]
# How much gradient arrives now? And what the inspector wrote: the **vanishing ratio**,
# $|dL/dh_1| / |dL/dh_T|$, at each look. In the GRU, training has opened the way back.

# %%
ratios = {name: vanishing_ratios(folder) for name, folder in logs.items()}
for name, seen in ratios.items():
    print(f"{name:9} vanishing ratio {seen[0]:.1e} at first, {seen[-1]:.1e} at last")
panels = {"Before training": before, "After training": after}
PAGE.show(pictures.save_gradients_over_time(panels, PAGE.out / "before_and_after.png"))

# %% [markdown]
# ## 5. The whole, recorded
#
# Two tasks, four lengths, seven networks, five seeds: hours on two cores. They lie in `grid.json`,
# each with the number of batches that it took. This continues it, in any portions, the most telling
# runs first, and keeps what is done when it is ended; what is not there yet is shown as such:
#
#     python -m tutorials.vanishing_gradients.grid --minutes 60

# %%
grid = Grid()
for task in LIMITS:
    print(f"{task}, solved in {LIMITS[task]} batches by so many seeds, after (median)")
    for name in CELLS:
        row = (f"T={steps}: {grid.summary(task, steps, name)}" for steps in STEPS)
        print(f"  {name:21} " + "   ".join(f"{text:27}" for text in row))
picture = pictures.save_grid(grid, list(CELLS), STEPS, PAGE.out / "picture.png")
PAGE.show(picture)

# %% [markdown]
# - **Adding over 200 steps**: GRU and LSTM, chrono solve it, in a few hundred batches. The plain tanh
#   network does not: after 2,000 its loss is the baseline's.
# - **Copying over 50 steps**: the orthogonal linear network solves it at once. Its state turns, and
#   loses nothing; ten symbols after fifty steps are ten linear functions of it. The LSTM needs more
#   than ten times as many batches, and not every seed gets there in 6,000. The tanh network does not.
#
# So no network is best at everything, and the linear one shows why. It cannot **multiply**: it cannot
# take a number because there is a mark beside it. The best that any linear function of all numbers and
# marks can do on the adding problem follows from the covariances $\mathrm{Cov}(y, u_t) = \tfrac2T
# \mathrm{Var}(u)$:
#
# $$\tfrac16 - T \left(\tfrac2T\right)^2 \tfrac1{12} = \tfrac16 - \tfrac1{3T} \qquad (4)$$
#
# hardly less than the baseline, however well it remembers. By least squares, over ten steps:

# %%
ten_x, ten_y = AddingProblem(10).draw(20_000, seed=0)
columns = np.concatenate([ten_x.reshape(len(ten_x), -1), np.ones((len(ten_x), 1))], axis=1)
fitted = np.linalg.lstsq(columns, ten_y, rcond=None)[0]
best_linear = float(np.mean((columns @ fitted - ten_y) ** 2))
print(f"the best linear function: {best_linear:.4f}, by (4) {1 / 6 - 1 / 30:.4f}")

# %% [markdown]
# A gate is a product. It keeps, as a linear path does, **and** it chooses what to keep.
#
# ## 6. One remedy at a time
#
# Now a network as lecture notes begin with it: tanh, both kernels uniform in $\pm 1/\sqrt n$, 32
# units, Adam with a rate of 0.002, no clipping. It is set the adding problem, and one thing is changed
# at a time:
#
# | remedy | what it is | what it is against |
# |---|---|---|
# | activation | ReLU: its slope is 1 or 0 | slopes below 1 |
# | normalisation | $\tanh(\mathrm{LN}(a))$ (Ba et al. 2016) | saturated units, shrinking states |
# | residual, within a step | $y_t = P x_t + h_t$ (`ResidualCell`) | depth, not time |
# | residual, over time | $h_t = h_{t-1} + \tanh(a_t) / 10$ | the matrix between two steps |
# | clipping | all gradients together at most 1 long | exploding, not vanishing |
# | optimiser | RMSprop, SGD | small and uneven gradients |
# | initialisation | $U$ orthogonal, or the identity | a factor away from 1, at first |
# | smaller model | 8 units | too much to learn |
# | gating | LSTM, GRU | all of it: the factor is learnt |

# %%
print("{} over {} steps".format(*REMEDIES_AT))
for name in REMEDIES:
    print(f"  {name:44} {grid.summary(*REMEDIES_AT, name)}")
path = PAGE.out / "remedies.png"
PAGE.show(pictures.save_remedies(grid, *REMEDIES_AT, list(REMEDIES), path))

# %% [markdown]
# A dot is a seed that solved it, a cross one that did not in 2,000 batches. What is recorded so far
# says: **by itself, gating is enough with every seed**, and ReLU with most: a unit that is switched on
# has the slope 1, and training finds a matrix that keeps. Nothing else solves it alone. Each mends
# one cause, and there are several:
#
# - **Clipping** shortens a gradient that is too long. It lengthens none.
# - **RMSprop** and Adam rescale the whole gradient of a weight. But that is a sum over steps, and the
#   part of the far steps is lost beside that of the near ones, at any scale.
# - **Initialisation** sets the factor at the start. Between two steps there is still a tanh, whose
#   slope is below 1: over 50 steps an orthogonal $U$ leaves one part in ten thousand.
# - **The residual connection over time** does bring the gradient back: its factor is near 1. But it
#   keeps everything, each unmarked number as well. To keep is not to choose.
# - **The one within a step**, and **normalisation**, are for depth. The path through time stays as it
#   was. A **smaller** network has the same path, too.
#
# That is no verdict on them: they add up (IRNN is ReLU and an initialisation), and do in deep networks
# what they were made for. Here the cause is the factor from step to step, and the cure to learn it.
#
# ## What has been claimed
#
# Every claim of this page, checked.


# %%
def check():
    """Raise AssertionError for the first claim that does not hold."""
    for (name, found), n_v in zip(factors.items(), (1, 2, 1, 1, 1 / 3), strict=True):
        np.testing.assert_allclose(found, np.sqrt(n_v), rtol=0.05, err_msg=name)
    assert 0.1 < deep["He", "relu"].activations[-1] < 10, "He keeps ReLU layers alive"
    assert 0.1 < deep["He", "relu"].gradients[0] < 10
    assert all(
        passages["uniform 1/√n", "tanh"].gradients[0] < 0.7**LENGTH for passages in (deep, long)
    )
    kept, forgot = long["identity", "relu"], long["orthogonal", "relu"]
    assert np.ptp(kept.activations) < 1e-12, "over time, ReLU keeps the identity..."
    assert forgot.activations[-1] < 0.05 * kept.activations[-1], "... and nothing else"
    assert abs(says_one - adding.baseline) < 0.005
    assert abs(remembers_nothing - copying.baseline) < 1e-3
    assert abs(best_linear - (1 / 6 - 1 / 30)) < 0.005, "(4)"
    shares = {name: norms[0] / norms[-1] for name, norms in at_first.items()}
    assert abs(shares["orthogonal linear RNN"] - 1) < 1e-3, "a linear orthogonal U keeps all"
    assert shares["IRNN"] > 0.1
    assert shares["GRU"] == min(shares.values()) < 0.8**FAR, "the GRU begins by forgetting"
    assert twins_apart <= 1e-5, "our layers train as Keras's do"
    assert ratios["GRU"][-1] > 10 * ratios["GRU"][0], "training opens the GRU's way back"
    if PAGE.fast:  # 200 batches of 10 steps: on the way there
        assert outcomes["GRU"].losses[-1] < 0.5 * baseline < outcomes["tanh RNN"].losses[-1]
    else:
        assert outcomes["GRU"].solved_at is not None
        assert outcomes["LSTM, chrono"].solved_at is not None
    for solved, not_solved, task, steps in (
        ("GRU", "tanh RNN", "adding", 200),
        ("LSTM, chrono", "tanh RNN", "adding", 200),
        ("orthogonal linear RNN", "tanh RNN", "copying", 50),
    ):
        one, other = (grid.summary(task, steps, name) for name in (solved, not_solved))
        assert one.solved == one.ran > 0, f"recorded: {solved} solves {task} over {steps}"
        assert other.solved == 0 < other.ran, f"recorded: {not_solved} does not"
    by_remedy = {name: grid.summary(*REMEDIES_AT, name) for name in REMEDIES}
    assert all(
        found.solved == found.ran > 0 for name, found in by_remedy.items() if "gating" in name
    )
    for name in ("none", "clipping: global norm 1", "smaller model: 8 units"):
        assert by_remedy[name].solved == 0 < by_remedy[name].ran, name


check()
print("all claims hold")
recorded = {
    f"{task} over {steps}, {name}": str(grid.summary(task, steps, name))
    for task, steps, names in (
        ("adding", 200, ("tanh RNN", "LSTM, chrono", "GRU")),
        ("copying", 50, ("tanh RNN", "orthogonal linear RNN", "LSTM, chrono")),
    )
    for name in names
}
PAGE.report(
    "Long memories are learnt by networks with gates, or with a linear recurrence that keeps lengths, "
    "and not by the plain tanh network.",
    {
        **recorded,
        "largest difference of losses, LSTM of keras.layers and ours": twins_apart,
        "runs recorded": f"{len(grid.outcomes)}",
    },
    picture,
)
