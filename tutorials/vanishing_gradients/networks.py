r"""The networks that are set the tasks: one recurrent layer, and one linear layer that reads its state.

A recipe says all that is to be known of a network, so that a row of a table is a recipe, and a remedy
is a recipe with one thing changed.

    h_t = tanh(x_t W + h_{t-1} U + b)                             (1) the plain one
    h_t = tanh(LN(x_t W + h_{t-1} U + b))                         (2) normalized: arXiv:1607.06450, (4)
    h_t = h_{t-1} + tanh(x_t W + h_{t-1} U + b) / 10              (3) a residual connection over time
    y_t = x_t P + h_t                                             (4) ... within a step: ResidualCell
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

import custom_layers
from custom_layers.data import AddingProblem, MemoryTask
from custom_layers.recurrent.simple_rnn import SimpleRNNStep
from tutorials.vanishing_gradients.initializers import ChronoBias, initializer


class Recipe(NamedTuple):
    """A network and its training.

    cell: "SimpleRNN", "IRNN", "LSTM" or "GRU"; "residual over time" (3), "residual in a step" (4).
    activation: of the cell; "normalized tanh" is (2). units: width of the state. recurrent, kernel:
    names in `initializers.py`; None is the layer's own. chrono: whether an LSTM has ChronoBias.
    optimizer: a name of Keras's. clip: largest norm of all gradients together, or None.
    """

    cell: str = "SimpleRNN"
    activation: str | None = None
    units: int = 32
    recurrent: str | None = None
    kernel: str | None = None
    chrono: bool = False
    optimizer: str = "Adam"
    learning_rate: float = 1e-3
    clip: float | None = 1.0

    @property
    def has_backward_step(self) -> bool:
        """Whether gradient="bptt", the faster one, knows the cell."""
        return not self.cell.startswith("residual") and self.activation != "normalized tanh"


LOW, HIGH = 1e-3, 5e-3  # learning rates: that of cells without gates, and that of gated ones
GATED = Recipe(learning_rate=HIGH)
CELLS = {
    "tanh RNN": Recipe(learning_rate=LOW),
    "ReLU RNN": Recipe(activation="relu"),
    "IRNN": Recipe("IRNN"),
    "orthogonal linear RNN": Recipe(activation="linear"),
    "LSTM": GATED._replace(cell="LSTM"),
    "LSTM, chrono": GATED._replace(cell="LSTM", chrono=True),
    "GRU": GATED._replace(cell="GRU"),
}
OTHER = {LOW: HIGH, HIGH: LOW}
AT_OTHER_RATE = {  # by the name in CELLS: the name of the same network at the other rate
    name: f"{name} at {OTHER[recipe.learning_rate]:g}" for name, recipe in CELLS.items()
}
PLAIN = Recipe(recurrent="uniform 1/√n", kernel="uniform 1/√n", learning_rate=2e-3, clip=None)
REMEDIES = {
    "none": PLAIN,
    "activation: ReLU": PLAIN._replace(activation="relu"),
    "normalisation: layer norm before the tanh": PLAIN._replace(activation="normalized tanh"),
    "residual connection within a step": PLAIN._replace(cell="residual in a step"),
    "residual connection over time": PLAIN._replace(cell="residual over time"),
    "clipping: global norm 1": PLAIN._replace(clip=1.0),
    "optimiser: RMSprop": PLAIN._replace(optimizer="RMSprop"),
    "optimiser: SGD, momentum 0.9": PLAIN._replace(optimizer="SGD", learning_rate=0.01),
    "initialisation: orthogonal": PLAIN._replace(recurrent="orthogonal"),
    "initialisation: identity": PLAIN._replace(recurrent="identity"),
    "smaller model: 8 units": PLAIN._replace(units=8),
    "gating: GRU": PLAIN._replace(cell="GRU"),
    "gating: LSTM": PLAIN._replace(cell="LSTM"),
}
OTHERS = {
    AT_OTHER_RATE[name]: recipe._replace(learning_rate=OTHER[recipe.learning_rate])
    for name, recipe in CELLS.items()
}
GENTLE = "orthogonal linear RNN, a tenth of the rate"
RECIPES = (
    CELLS
    | OTHERS
    | REMEDIES
    | {GENTLE: CELLS["orthogonal linear RNN"]._replace(learning_rate=LOW / 10)}
)


def at_rate(name: str, rate: float | None) -> str:
    """The name in RECIPES of a network of CELLS that is trained at LOW or HIGH; None is its own rate."""
    return name if rate in (None, CELLS[name].learning_rate) else AT_OTHER_RATE[name]


def recipe_for(task: str, name: str) -> Recipe:
    """The recipe of that name for "adding" or "copying".

    To copy ten symbols is more to keep than one sum: twice the units, and twice the learning rate, as
    there is an answer at every step.
    """
    recipe = RECIPES[name]
    if task == "adding":
        return recipe
    return recipe._replace(units=2 * recipe.units, learning_rate=2 * recipe.learning_rate)


def normalized_tanh(a: Any) -> Any:
    """Equation (2), without gain and bias: tanh of a with mean 0 and variance 1 over the units."""
    centred = a - ops.mean(a, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    return ops.tanh(centred * ops.rsqrt(variance + 1e-5))


class ResidualOverTimeCell(custom_layers.SimpleRNNCell):
    """Equation (3); arguments and states as in `SimpleRNNCell`."""

    def step_with(self, parameters: Any, projected: Any, states: Sequence[Any]) -> SimpleRNNStep:
        step = super().step_with(parameters, projected, states)
        return SimpleRNNStep(h=states[0] + step.h / 10)  # (3)


def recurrent_layers(
    recipe: Recipe, steps: int, return_sequences: bool, layers: Any = custom_layers
) -> list[Any]:
    """The layers before the linear one; the recurrent one is the last, by the name "memory".

    Args:
        steps: to remember over.
        recipe, layers: as in `network`. return_sequences: as Keras has it.
    """
    options: dict[str, Any] = {}
    if recipe.activation is not None:
        normalized = recipe.activation == "normalized tanh"
        options["activation"] = normalized_tanh if normalized else recipe.activation
    for argument, name in (("recurrent", recipe.recurrent), ("kernel", recipe.kernel)):
        if name is not None:
            options[f"{argument}_initializer"] = initializer(name, recipe.units)
    if recipe.chrono:
        options |= {"bias_initializer": ChronoBias(steps), "unit_forget_bias": False}
    whole = {"return_sequences": return_sequences, "name": "memory"}
    if layers is custom_layers and recipe.has_backward_step:
        whole["gradient"] = "bptt"
    if recipe.cell == "residual over time":
        return [layers.RNN(ResidualOverTimeCell(recipe.units, **options), **whole)]
    if recipe.cell == "residual in a step":
        cell = layers.ResidualCell(layers.SimpleRNNCell(recipe.units, **options))
        return [layers.Dense(recipe.units, use_bias=False), layers.RNN(cell, **whole)]  # (4)
    return [getattr(layers, recipe.cell)(recipe.units, **options, **whole)]


def network(recipe: Recipe, task: MemoryTask, layers: Any = custom_layers) -> keras.Model:
    """A compiled model from the task's x to its y, or to logits of it.

    Args:
        recipe: of the network.
        task: adding is answered after the last step, copying at every step.
        layers: `custom_layers`; or `keras.layers`, for the cells that Keras has.
    """
    loss: Any
    if isinstance(task, AddingProblem):
        features, outputs, every_step = 2, 1, False
        loss = keras.losses.MeanSquaredError()
    else:
        features, outputs, every_step = task.symbols + 2, task.symbols + 1, True
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = keras.Sequential(
        [
            keras.Input((task.steps, features)),
            *recurrent_layers(recipe, task.steps, return_sequences=every_step, layers=layers),
            layers.Dense(outputs, name="answer"),
        ]
    )
    momentum = {"momentum": 0.9} if recipe.optimizer == "SGD" else {}
    optimizer = getattr(keras.optimizers, recipe.optimizer)(
        recipe.learning_rate, global_clipnorm=recipe.clip, **momentum
    )
    model.compile(optimizer, loss, jit_compile=True)
    return model
