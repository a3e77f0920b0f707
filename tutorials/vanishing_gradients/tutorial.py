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

import numpy as np
import tensorflow as tf

from custom_layers.data import AddingProblem, CopyingProblem
from custom_layers.debugging import GradientInspector
from tutorials import page
from tutorials.vanishing_gradients import arriving, initializers, pictures, recorded
from tutorials.vanishing_gradients.arriving import fresh, gradient_over_time
from tutorials.vanishing_gradients.grid import REMEDIES_AT, SEEDS, Grid
from tutorials.vanishing_gradients.networks import CELLS, REMEDIES
from tutorials.vanishing_gradients.runs import BATCH, LOOK, SHARE, Run, learn, losses_of_twins

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
# All have 32 units, for copying 64, and are trained by Adam, on batches of 32, all gradients together
# at most 1 long. The learning rate is 0.001 for those without gates and 0.005 for those with (for
# copying twice that). It is no detail: section 5 shows what becomes of them at the other one.
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
# longer; then the gradient comes from a little farther; and so on, step by step. The factor of a tanh
# network is in $U$, which it needs for everything else. It can learn its way back, too, but slowly:
# section 5 has seeds that are on their way after 2,000 batches.
#
# ## 4. A small part, live
#
# First, that our layers train as Keras's do: the LSTM of both, from the same weights on the same
# batches. Ours differentiates by its own back-propagation through time (`gradient="bptt"`).

# %%
twin_losses = losses_of_twins(LIVE, epochs=3 if PAGE.fast else 10)
twins_apart = float(np.ptp(np.array(list(twin_losses.values())), axis=0).max())
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
picture = pictures.save_losses(lines, LOOK, baseline, SHARE * baseline, PAGE.out / "losses.png")
PAGE.show(picture)

# %% [markdown]
# How much gradient arrives now? And what the inspector wrote: the **vanishing ratio**,
# $|dL/dh_1| / |dL/dh_T|$, at each look. In the GRU, training has opened the way back.

# %%
ratios = {name: arriving.vanishing_ratios(folder) for name, folder in logs.items()}
for name, seen in ratios.items():
    print(f"{name:9} vanishing ratio {seen[0]:.1e} at first, {seen[-1]:.1e} at last")
panels = {"Before training": before, "After training": after}
PAGE.show(pictures.save_gradients_over_time(panels, PAGE.out / "before_and_after.png"))

# %% [markdown]
# ## 5. The whole, recorded
#
# Two tasks, four lengths, seven networks, five seeds, and for adding the other of both rates: hours.
# `grid.json` holds most of it. This continues it, in any portions:
#
#     python -m tutorials.vanishing_gradients.grid --minutes 60

# %%
grid = Grid()
print(*recorded.lines(grid), sep="\n")
picture = pictures.save_grid(grid, list(CELLS), PAGE.out / "picture.png")
PAGE.show(picture)

# %% [markdown]
# - **Adding over 200 steps**: at a rate of 0.005 the GRU and the LSTM with chrono biases solve it with
#   every seed, in a few hundred batches; the LSTM with Keras's biases with one of five. At 0.001 none
#   does in 2,000, with gates or without. Every LSTM with chrono biases is on the way there, so are four
#   of five ReLU networks and a GRU. The tanh network's loss is the baseline's, at either rate.
# - **Adding over 500 steps**: the same two do with every seed, in hardly more batches; no other does.
# - **Adding over 50 steps**: the ReLU network solves it without any gate, at both rates. Begun from the
#   identity (IRNN) it does not at 0.001, and with one seed of five at 0.005. The tanh network does at
#   neither; over ten steps it does.
# - **Copying over 50 steps**: the orthogonal linear network solves it at once. Its state turns, and
#   loses nothing; ten symbols after fifty steps are ten linear functions of it. The LSTM with chrono
#   biases needs more than ten times as many batches: three seeds of five get there in 6,000, two
#   nearly. The tanh network does not, not even over ten.
# - **Copying over 200 and 500 steps**: none of the seven in 6,000 batches. The GRUs are on the way, at
#   0.4 to 0.7 of the baseline's loss, one LSTM with chrono biases at 0.3. The linear network stays at
#   the baseline or leaves the numbers: a change of $U$ is felt $T$ times, and a step of Adam that is
#   right over 50 is too long over 200. At a tenth of the rate it solves 200 steps with every seed.
#
# So no network is best at everything, and the linear one shows why. It cannot **multiply**: it cannot
# take a number because there is a mark beside it. The best that a linear function can do on the adding
# problem follows from the covariances $\mathrm{Cov}(y, u_t) = \tfrac2T \mathrm{Var}(u)$:
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
# at a time, or nearly: `ResidualCell` adds input to output, and a linear layer first makes the input
# as wide; SGD has a rate of its own, 0.01; the normalisation is without gain and bias. No rate was
# tuned for a remedy.
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
PAGE.show(pictures.save_remedies(grid, *REMEDIES_AT, list(REMEDIES), PAGE.out / "remedies.png"))

# %% [markdown]
# A dot is a seed that solved it, a cross one that did not in 2,000 batches. **By itself, gating is
# enough with every seed**, and ReLU with four of five. Nothing else solves it alone. Is it because
# the others bring no gradient back? Before training, which is before clipping and before any optimiser,
# so much of step 50's is left at step 1, over the seeds:

# %%
left = {
    name: arriving.share_left(name, LIVE, range(2) if PAGE.fast else SEEDS)
    for name in REMEDIES
    if not name.startswith(("clipping", "optimiser", "residual connection within"))
}
for name in REMEDIES:
    arrives = f"{left[name].min():.0e} to {left[name].max():.0e}" if name in left else "-"
    print(f"{name:44} {arrives:16} solved by {grid.summary(*REMEDIES_AT, name)}")

# %% [markdown]
# No. The two do not go together at all:
#
# - **Orthogonal** and **identity** leave a hundredth to a third of the gradient, the **residual
#   connection over time** makes it longer, and **normalisation**, which stands between $h_{t-1}$ and
#   $h_t$, does with three seeds of five. None of these networks learns the task. That a gradient
#   arrives is not enough: the two numbers have to be kept, and the others not.
# - Of **ReLU** and the **GRU** next to nothing arrives at first. They learn it. So it is not necessary
#   either: section 3 says how a way back can be learnt.
#
# Of the others, (1) alone says what they can do for the way through time:
#
# - **Clipping** shortens a gradient that is too long. It lengthens none.
# - **RMSprop** and Adam rescale the whole gradient of a weight. But that is a sum over steps, and the
#   part of the far steps is lost beside that of the near ones, at any scale.
# - **The residual connection within a step** is for depth: it goes round the cell, and from $h_{t-1}$
#   to $h_t$ nothing has changed. A **smaller** network has the same path, too.
#
# That is no verdict on them: it is one task, one length and one rate. Nor do two of them simply add
# up: with ReLU alone four seeds of five learn. In section 5, with clipping, ReLU and an orthogonal $U$
# learn with all five; ReLU and the identity, IRNN, with none at a rate of 0.001 and one at 0.005.
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
    recorded.check(grid)
    if PAGE.fast:  # 200 batches of 10 steps: on the way there
        assert outcomes["GRU"].losses[-1] < 0.5 * baseline < outcomes["tanh RNN"].losses[-1]
        return
    assert all(outcomes[name].solved_at for name in ("GRU", "LSTM, chrono"))
    for name in ("orthogonal", "identity"):
        reached = left[f"initialisation: {name}"]
        assert 0.01 < reached.min() < reached.max() < 0.35, f"{name}: it arrives, and does not help"
    assert left["residual connection over time"].min() > 1
    assert np.sum(left["normalisation: layer norm before the tanh"] > 1) >= 3
    for name in ("none", "activation: ReLU", "gating: GRU"):
        assert left[name].max() < 1e-9, f"{name}: nothing arrives"


check()
print("all claims hold")
PAGE.report(
    "In 2,000 batches a GRU and an LSTM with chrono biases learn to add over 500 steps; a plain tanh "
    "network does not over 50, at either of two learning rates.",
    {
        **recorded.figures(grid),
        "largest difference of losses, LSTM of keras.layers and ours": twins_apart,
        "runs recorded": f"{len(grid.outcomes)}",
    },
    picture,
)
