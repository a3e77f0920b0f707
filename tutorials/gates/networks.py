"""Small networks that answer with one number a step, and how they learn to measure, and to ring."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

import custom_layers
from custom_layers.data import TimingTask, timed_alarms

BATCH, UPDATES_IN_AN_EPOCH = 16, 100
STEPS_FOR_A_DELAY = 4  # streams are so many times as long as the delay
TESTED = 100  # streams, twice as long as those that are learned from
LEARNING_RATE = 0.03  # of Adam at the beginning; it sinks to 0 along a cosine


def network(layers: Any, kind: str, units: int) -> keras.Model:
    """A recurrent layer, and a linear answer at each step.

    Args:
        layers: `keras.layers` or `custom_layers`.
        kind: "LSTM", "GRU" or "PeepholeLSTM".
        units: its width.
    Returns: a model from (batch, steps, 1) to (batch, steps, 1); its layers "cell" and "answer".
    """
    x = keras.Input((None, 1))
    h = getattr(layers, kind)(units, return_sequences=True, name="cell")(x)
    return keras.Model(x, layers.Dense(1, name="answer")(h))


def learn_to_measure(
    model: keras.Model, train: TimingTask, test: TimingTask, longest: int, epochs: int, xla: bool
) -> tuple[np.ndarray, float]:
    """Train a network to answer with steps / `longest`, by Adam with a rate of 0.01.

    Args:
        train, test: as `measured_intervals` makes them.
        longest: in steps.
        epochs: over `train`, in batches of 64, in its order.
        xla: whether to compile, which a few batches are not worth.
    Returns: the loss of each epoch, (epochs,), and how many steps an answer to `test` is off on average.
    """
    model.compile(keras.optimizers.Adam(1e-2), "mse", weighted_metrics=[], jit_compile=xla)
    history = model.fit(
        *(train.x, train.y / longest, 64, epochs, 0),
        sample_weight=train.asked,
        shuffle=False,
    ).history
    answers = model.predict(test.x, batch_size=len(test.x), verbose=0) * longest
    off = np.abs(answers - test.y)[test.asked == 1]
    return np.array(history["loss"]), float(off.mean())


def untrained(kind: str, units: int, seeds: Sequence[int], forget_bias: float) -> list[keras.Model]:
    """A network of ours for each seed.

    LSTM and peephole LSTM have the same weights, their forget gates open by `forget_bias`, and peepholes
    of 0: they are the same function.
    """
    networks = []
    for seed in seeds:
        keras.utils.set_random_seed(seed)
        model = network(custom_layers, kind, units)
        if kind != "GRU":
            bias = np.repeat([0.0, forget_bias, 0.0, 0.0], units)  # slots i, f, g, o
            model.get_layer("cell").cell.bias.assign(bias)
        networks.append(model)
    return networks


def alarms(delay: int, count: int, longer: int, seed: int) -> TimingTask:
    """Streams of `timed_alarms` whose distances are between a third of the delay and twice the delay.

    Args:
        longer: the streams have `longer` times 4 delays.
    """
    return timed_alarms(
        *(count, longer * STEPS_FOR_A_DELAY * delay),
        shortest=max(2, delay // 3),
        longest=2 * delay,
        delay=delay,
        seed=seed,
    )


def exactly_rung(logits: np.ndarray, task: TimingTask) -> float:
    """Share of the alarms that begin at their step and not a step earlier.

    Args:
        logits: (count, steps, 1), above 0 is ringing.
    """
    rings, due = logits[..., 0] > 0, task.y[..., 0] > 0
    begins = due[:, 1:] & ~due[:, :-1]
    return float(np.mean((rings[:, 1:] & ~rings[:, :-1])[begins]))


def last_steps(model: keras.Model, task: TimingTask) -> np.ndarray:
    """How far each unit's h moves from two steps before an alarm to one before, on average; (units,).

    That is what gates that read h have to tell the step of the alarm from the one before it.
    """
    h = np.asarray(keras.Model(model.input, model.get_layer("cell").output)(task.x))
    rows, steps = np.nonzero(np.diff(task.y[..., 0], axis=1) > 0)  # an alarm begins at steps + 1
    return np.abs(h[rows, steps] - h[rows, steps - 1]).mean(axis=0)


class Ringers(NamedTuple):
    """Networks of one kind that learned to ring.

    members: one a seed. exact: (epochs, seeds), the share of alarms on time (`exactly_rung`) after each.
    right: (seeds,), the share of all steps that are right at the end.
    """

    members: list[keras.Model]
    exact: np.ndarray
    right: np.ndarray


class Listening(keras.callbacks.Callback):
    """After each epoch hear all networks on streams that none has learned from."""

    def __init__(self, test: TimingTask) -> None:
        super().__init__()
        self.test = test
        self.exact: list[list[float]] = []
        self.right: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        answers = self.model.predict(self.test.x, batch_size=TESTED, verbose=0)
        each = keras.tree.flatten(answers)
        self.exact.append([exactly_rung(logits, self.test) for logits in each])
        self.right = [float(np.mean((logits > 0) == (self.test.y > 0))) for logits in each]


def learn_to_ring(
    kind: str,
    units: int,
    delay: int,
    seeds: Sequence[int],
    epochs: int,
    forget_bias: float = 3.0,
) -> Ringers:
    """Train a network for each seed to ring `delay` steps after a spike.

    One `fit` trains them all, with the same streams, and they share nothing: the loss is the sum of
    theirs, and Adam moves each weight by its own gradients.

    Args:
        kind, units, seeds, forget_bias: of the networks, as `untrained` has them.
        delay: in steps.
        epochs: of 100 updates.
    """
    task = alarms(delay, BATCH * UPDATES_IN_AN_EPOCH, longer=1, seed=0)
    listening = Listening(alarms(delay, TESTED, longer=2, seed=1))
    members = untrained(kind, units, seeds, forget_bias)
    x = keras.Input((None, 1))
    model = keras.Model(x, [member(x) for member in members])
    rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * UPDATES_IN_AN_EPOCH)
    model.compile(
        keras.optimizers.Adam(rate, clipnorm=1.0),  # of each weight by itself
        [keras.losses.BinaryCrossentropy(from_logits=True) for _ in members],
        jit_compile=True,
        steps_per_execution=UPDATES_IN_AN_EPOCH,
    )
    model.fit(
        *(task.x, [task.y] * len(members)),
        batch_size=BATCH,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[listening],
    )
    return Ringers(members, np.array(listening.exact), np.array(listening.right))
