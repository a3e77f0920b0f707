"""Record one step by hand: every gate, state and attention weight, and the loss's gradient by each.

    with record(model) as trace, tf.GradientTape() as tape:
        loss = loss_fn(labels, model(inputs))
    recording = trace.read(tape, loss)
    recording["encoder/gru/h"].gradient             # dL/dh_t, (batch, steps, units)

Works eagerly and inside of `tf.function`. How a probe gives a total derivative: `core/taps.py`.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from custom_layers.core import taps
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.debugging.hooks import call_hooks
from custom_layers.debugging.layer_outputs import layers_with_an_output, tapped_outputs
from custom_layers.debugging.measures.norms_by_step import norms_by_step

# A probe is zeros times this: a tape watches what a trainable variable goes into, and no plain constant.
# Made once, outside of any function that is being traced, where variables cannot be made.
_ON_THE_TAPE = tf.Variable(1.0, dtype="float64", trainable=True, name="probe")


class Quantity(NamedTuple):
    """An intermediate quantity of one call. Steps stand where the layer has them: (batch, steps, units),
    or of a film (batch, steps, *windows, filters).

    `gradient` is the total derivative of the loss. A gate of a recurrent cell (LSTM i, f, g, o; GRU z,
    r, n) has its value after its activation and its gradient before it. Where `mask`, bool (batch,
    steps), is False no step was taken, and the gradient is 0. `backwards` is True in a layer that took
    the last step first. `steps_axis` is the axis that is time: that of the query in attention's (batch,
    heads, query_steps, key_steps), and None in a layer's `output`, which may be of any kind.
    """

    value: Tensor
    gradient: Tensor
    mask: Tensor | None = None
    backwards: bool = False
    steps_axis: int | None = 1

    def by_unit(self) -> "Quantity":
        """The same as (batch, steps, units): a film's windows and filters are its units."""
        if len(self.value.shape) <= 3 or self.steps_axis != 1:
            return self
        flat = (*tf.unstack(tf.shape(self.value)[:2]), -1)
        return self._replace(
            value=tf.reshape(self.value, flat), gradient=tf.reshape(self.gradient, flat)
        )

    def gradient_norms(self) -> Tensor:
        """|dL/dq_t| over all other axes, one for each step: (steps,); without steps one for all: ()."""
        return norms_by_step(self.gradient, self.steps_axis)


class Recording(Mapping[str, Quantity]):
    """The quantities of one step by name, `<layer>/<quantity>`, with the gradients of the weights.

    Attributes:
        loss: the loss that was differentiated.
        weights: gradient of each trainable weight by its path; None if the loss does not reach it.
        not_reached: the names of quantities and weights that the loss does not depend on.
        not_watchable: recurrent layers that show no gates and states: Keras's own, a cell of ours in
            `keras.layers.RNN`, a foreign cell in ours.
    """

    def __init__(
        self,
        loss: Tensor,
        quantities: dict[str, Quantity],
        weights: dict[str, Tensor | None],
        not_reached: list[str],
        not_watchable: list[str],
    ) -> None:
        self.loss = loss
        self.weights = weights
        self.not_reached = not_reached
        self.not_watchable = not_watchable
        self._quantities = quantities

    def __getitem__(self, name: str) -> Quantity:
        if name not in self._quantities:
            known = ", ".join(self._quantities) or "none"
            raise KeyError(f"recording: there is no quantity {name!r}. Recorded: {known}.")
        return self._quantities[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._quantities)

    def __len__(self) -> int:
        return len(self._quantities)

    def gradient_norms(self) -> dict[str, Tensor]:
        """|dL/dq_t| of each quantity that has steps, (steps,)."""
        with_steps = {name: q for name, q in self.items() if q.steps_axis is not None}
        return {name: quantity.gradient_norms() for name, quantity in with_steps.items()}

    def __repr__(self) -> str:
        rows = [f"{'quantity':<40} {'value':<20} |dL/dq|"]
        for name, quantity in self.items():
            norm = tf.norm(tf.cast(quantity.gradient, "float64"))
            shown = f"{float(norm):.3e}" if tf.executing_eagerly() else "in a graph"
            rows.append(f"{name:<40} {tuple(quantity.value.shape)!s:<20} {shown}")
        if self.not_reached:
            rows.append("the loss does not depend on: " + ", ".join(self.not_reached))
        if self.not_watchable:
            rows.append(
                f"not watchable, a loop or a cell that is not ours: {', '.join(self.not_watchable)}. "
                "Use layers and cells of custom_layers, or comparison.twin_of(model)."
            )
        return "\n".join(rows)


class _Kept(NamedTuple):
    layer: Any
    quantity: str
    value: Tensor
    probe: Tensor
    mask: Tensor | None
    steps_first: bool
    backwards: bool
    steps_axis: int | None


class Trace:
    """Listens to the taps of one model for the time of a `with` block; made by `record`."""

    def __init__(self, model: keras.Model, outputs: bool) -> None:
        self.model = model
        self._outputs = outputs
        self._names = names_of_layers(model)
        self._kept: dict[str, _Kept] = {}
        self._block = ExitStack()
        self._begun = False
        self._graph: Any = None

    def __enter__(self) -> "Trace":
        if self._begun:
            raise RuntimeError(
                "record: a recorder records one block. Make a new one: record(model)."
            )
        self._begun = True
        self._graph = _current_graph()
        with ExitStack() as block:
            block.enter_context(taps.listening(self))
            if self._outputs:
                block.enter_context(tapped_outputs(self.model))
            self._block = block.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._block.__exit__(*error)

    # -- what the taps call ----------------------------------------------------------------------

    def hears(self, layer: Any, value: Tensor) -> bool:
        """Layers of the model, when it computes where the block began: not inside of another trace."""
        symbolic = isinstance(value, keras.KerasTensor)
        return not symbolic and id(layer) in self._names and _current_graph() is self._graph

    def probe(self, shape: Shape, dtype: Any) -> Tensor:
        """Zeros that the user's tape sees."""
        dtype = keras.backend.standardize_dtype(dtype)
        return tf.zeros(shape, dtype) * tf.cast(_ON_THE_TAPE, dtype)

    def keep(
        self,
        layer: Any,
        name: str,
        value: Tensor,
        probe: Tensor,
        mask: Tensor | None = None,
        steps_first: bool = False,
        backwards: bool = False,
        steps_axis: int | None = 1,
    ) -> None:
        """A second call of a layer is kept as `<layer>:2/<quantity>`, and so on."""
        path = taps.unused_name(self._names[id(layer)], self._kept, f"/{name}")
        self._kept[f"{path}/{name}"] = _Kept(
            layer, name, value, probe, mask, steps_first, backwards, steps_axis
        )

    # -- what the user calls ---------------------------------------------------------------------

    def read(self, tape: tf.GradientTape, loss: Tensor) -> Recording:
        """Differentiate the loss by all that was recorded, and by the weights, in one go.

        Args:
            tape: open while the model was called and the loss computed. It answers once, unless it is
                persistent: the gradients of the weights come with the recording.
            loss: a tensor; the sum of its entries is differentiated.

        Raises:
            RuntimeError: nothing was recorded, or the tape has answered before.
        """
        weights = list(self.model.trainable_variables)
        sources = [kept.probe for kept in self._kept.values()] + [w.value for w in weights]
        try:
            found = tape.gradient(loss, sources)
        except RuntimeError as error:
            if "persistent" not in str(error):
                raise
            raise RuntimeError(
                "record: this tape has answered before. Take the gradients of the weights from the "
                "recording, recording.weights, or open tf.GradientTape(persistent=True)."
            ) from None
        if all(gradient is None for gradient in found):
            raise RuntimeError(
                "record: nothing was recorded that this loss depends on. Call the model inside the "
                "block, with record(model) and tf.GradientTape() in one `with` statement."
            )
        not_reached = []
        quantities = {}
        for (name, kept), gradient in zip(self._kept.items(), found, strict=False):
            if gradient is None:
                not_reached.append(name)
                gradient = tf.zeros_like(kept.probe)
            if kept.steps_first:
                gradient = tf.transpose(gradient, (1, 0, *range(2, len(gradient.shape))))
            quantities[name] = Quantity(
                kept.value, gradient, kept.mask, kept.backwards, kept.steps_axis
            )
            call_hooks(kept.layer, kept.quantity, quantities[name].value, gradient)
        by_weight: dict[str, Tensor | None] = {}
        paths = names_of_weights(self.model)
        for path, gradient in zip(paths, found[len(self._kept) :], strict=True):
            by_weight[path] = gradient
        not_reached += [path for path, gradient in by_weight.items() if gradient is None]
        return Recording(loss, quantities, by_weight, not_reached, self._not_watchable())

    def _not_watchable(self) -> list[str]:
        """The layers with a cell that told nothing but their output."""
        heard = {id(kept.layer) for kept in self._kept.values() if "output" not in kept.quantity}
        layers = [self.model, *layers_with_an_output(self.model)]
        recurrent = [layer for layer in layers if hasattr(layer, "cell")]
        return [self._names[id(layer)] for layer in recurrent if id(layer) not in heard]

    def gradient_norms(self, tape: tf.GradientTape, loss: Tensor) -> dict[str, Tensor]:
        """|dL/dq_t| of each quantity, (steps,). Raises as `read` does."""
        return self.read(tape, loss).gradient_norms()


def record(model: keras.Model, outputs: bool = True) -> Trace:
    """Listen to one model in a `with` block: see this file's beginning.

    Args:
        model: a model, or one layer.
        outputs: whether to record the output of each layer too, Keras's and ours, `<layer>/output`.

    Raises:
        TypeError: `model` is no keras.Model or keras.Layer.
        RuntimeError: a recorder in a recorder, or one that is used for a second block.
    """
    if not isinstance(model, keras.layers.Layer):
        raise TypeError(
            f"record: `model` must be a keras.Model or a layer. Received: {type(model).__name__}. "
            "Pass the model that is called inside the block."
        )
    return Trace(model, outputs)


def names_of_layers(model: keras.layers.Layer) -> dict[int, str]:
    """`id(layer)` to the layer's name, with those of the layers that it lies in, but not the model's."""
    names = {id(model): model.name}

    def name(parent: Any, prefix: str) -> None:
        for layer in parent._layers:  # Keras has no public way that finds every layer
            if id(layer) not in names:
                names[id(layer)] = prefix + layer.name
                name(layer, f"{prefix}{layer.name}/")

    name(model, "")
    return names


def names_of_weights(model: keras.layers.Layer) -> list[str]:
    """The paths of the trainable weights, in their order and without the model's name."""
    names: list[str] = []
    for weight in model.trainable_variables:
        names.append(taps.unused_name(weight.path.removeprefix(f"{model.name}/"), names))
    return names


def _current_graph() -> Any:
    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
