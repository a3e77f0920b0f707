"""One run: one network, one task, one seed, trained by one `fit` until it has solved the task.

Every batch is new, so that the loss of training is that of sequences never seen. A task counts as
solved when the mean loss of a look, LOOK batches, is below a tenth of the baseline's.
"""

import math
import time
from typing import Any, NamedTuple

import keras

import custom_layers
from custom_layers.data import AddingProblem, CopyingProblem, MemoryTask
from tutorials.vanishing_gradients.networks import network, recipe_for

BATCH, LOOK = 32, 100  # sequences in a batch, batches between two looks
SHARE = 0.1  # of the baseline's loss, below which a task is solved
LIMITS = {"adding": 2000, "copying": 6000}  # batches, after which a run is given up


class Run(NamedTuple):
    """task: "adding" or "copying". steps: T of the task. network: a name in RECIPES."""

    task: str
    steps: int
    network: str
    seed: int

    @property
    def key(self) -> str:
        """Such as "adding/50/LSTM/0"."""
        return f"{self.task}/{self.steps}/{self.network}/{self.seed}"


class Outcome(NamedTuple):
    """What came of a run.

    solved_at: batches until the task was solved, a multiple of LOOK; None if it was not. batches: how
    many there were. loss: of the last look; None where it was no number. seconds: of the fit, with
    compilation. losses: of every look.
    """

    solved_at: int | None
    batches: int
    loss: float | None
    seconds: float
    losses: tuple[float, ...] = ()


def task_of(run: Run) -> MemoryTask:
    """The task with its length."""
    return AddingProblem(run.steps) if run.task == "adding" else CopyingProblem(run.steps)


class UntilSolved(keras.callbacks.Callback):
    """Ends a training as soon as it has solved its task, or has left the numbers."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        self.losses: list[float] = []
        self.solved = False

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        loss = float(logs["loss"])
        self.losses.append(loss)
        self.solved = loss < self.threshold
        if self.solved or not math.isfinite(loss):
            self.model.stop_training = True


def learn(
    run: Run, limit: int | None = None, callbacks: tuple[keras.callbacks.Callback, ...] = ()
) -> tuple[Outcome, keras.Model]:
    """Train one network from its seed.

    Args:
        run: of the grid.
        limit: batches at most; None takes that of LIMITS. Rounded up to whole looks.
        callbacks: beside the one that ends the training.
    Returns: what came of it, and the network.
    """
    keras.utils.set_random_seed(run.seed)
    task = task_of(run)
    model = network(recipe_for(run.task, run.network), task)
    until = UntilSolved(SHARE * task.baseline)
    begun = time.monotonic()
    model.fit(
        task.batches(BATCH, seed=run.seed),
        steps_per_epoch=LOOK,
        epochs=math.ceil((LIMITS[run.task] if limit is None else limit) / LOOK),
        callbacks=[until, *callbacks],
        shuffle=False,
        verbose=0,
    )
    batches = LOOK * len(until.losses)
    outcome = Outcome(
        solved_at=batches if until.solved else None,
        batches=batches,
        loss=until.losses[-1] if math.isfinite(until.losses[-1]) else None,
        seconds=time.monotonic() - begun,
        losses=tuple(until.losses),
    )
    return outcome, model


def losses_of_twins(steps: int, epochs: int) -> dict[str, list[float]]:
    """Losses of the LSTM of `keras.layers` and of ours on the adding problem, from the same weights.

    Args:
        epochs: of 10 batches.
    """
    task, losses = AddingProblem(steps), {}
    start: list[Any] | None = None
    for name, layers in (("keras.layers", keras.layers), ("custom_layers", custom_layers)):
        keras.utils.set_random_seed(0)
        model = network(recipe_for("adding", "LSTM"), task, layers=layers)
        start = start or model.get_weights()
        model.set_weights(start)
        batches = task.batches(BATCH, seed=3)
        fitted = model.fit(batches, steps_per_epoch=10, epochs=epochs, shuffle=False, verbose=0)
        losses[name] = fitted.history["loss"]
    return losses
