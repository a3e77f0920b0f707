"""Read a sequence in both directions, and merge what the two readings say of each step."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor, accepts
from custom_layers.core.shape_check import require

MERGE_MODES = ("sum", "mul", "ave", "concat", None)
COMMON = ("stateful", "return_sequences", "return_state")


@keras.saving.register_keras_serializable(package="custom_layers")
class Bidirectional(keras.layers.Layer):
    """Two copies of a recurrent layer, one reading forwards, one backwards.

        y_t = merge(forward_t, backward_t)     both at the same time t of the sequence

    Args:
        layer: a recurrent layer, ours or Keras's: it has `go_backwards`, `return_sequences`,
            `return_state`, `stateful` and `input_spec`. Both directions are made anew from its
            configuration; its weights are not used.
        merge_mode: "concat" (features of both), "sum", "mul", "ave" (mean), or None: a pair.
        weights: values for the weights, first half forward, second half backward.
        backward_layer: the layer that reads backwards, itself and not a copy; it has
            `go_backwards=True`. Default: made from `layer`.

    Call arguments:
        sequences: (batch, steps, features).
        initial_state: list of states, the forward layer's and then the backward layer's.
        mask: bool (batch, steps), True = keep. A masked step puts out zero when sequences are returned.
        training: whether dropout is applied.

    Returns:
        The merged output; with `return_state` a tuple of that, the forward and the backward states.

    Raises:
        ValueError: an unknown `merge_mode`; layers that disagree; an odd number of initial states.

    Source: Schuster and Paliwal 1997, IEEE Transactions on Signal Processing 45(11), section II.
    Differs from keras.layers.Bidirectional: `weights` are really set (Keras 3 drops them); an odd
    number of initial states raises; `compute_mask` of a stateful layer that returns its states does
    not fail; there is no cuDNN path.
    """

    def __init__(
        self,
        layer: keras.Layer,
        merge_mode: str | None = "concat",
        weights: Sequence[Any] | None = None,
        backward_layer: keras.Layer | None = None,
        **kwargs: Any,
    ) -> None:
        for name, candidate in (("layer", layer), ("backward_layer", backward_layer or layer)):
            require(
                isinstance(candidate, keras.Layer),
                "bidirectional",
                f"`{name}` must be a keras.layers.Layer instance",
                f"{name}={candidate!r}",
                "Pass a recurrent layer such as GRU(32).",
            )
        require(
            merge_mode in MERGE_MODES,
            "bidirectional",
            f"`merge_mode` must be one of {MERGE_MODES}. Invalid merge mode",
            f"merge_mode={merge_mode!r}",
            "The default is 'concat'.",
        )
        super().__init__(**kwargs)
        self.merge_mode = merge_mode
        self.forward_layer = _remade(layer, "forward_")
        self.backward_layer = backward_layer or _remade(layer, "backward_", go_backwards=True)
        for direction in (self.forward_layer, self.backward_layer):
            if hasattr(layer, "use_cudnn"):
                direction.use_cudnn = layer.use_cudnn  # not a part of the configuration
            if hasattr(direction, "zero_output_for_mask"):
                direction.zero_output_for_mask = direction.return_sequences
        self._check_directions()
        self._given_weights = weights
        self.stateful = layer.stateful
        self.return_sequences = layer.return_sequences
        self.return_state = layer.return_state
        self.supports_masking = True
        self.input_spec = layer.input_spec

    def _check_directions(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        require(
            forward.go_backwards != backward.go_backwards,
            self.name,
            "forward layer and backward layer must have different `go_backwards` values",
            f"go_backwards={forward.go_backwards} and {backward.go_backwards}",
            "Build the backward layer with go_backwards=True.",
        )
        for name in COMMON:
            values = getattr(forward, name), getattr(backward, name)
            require(
                values[0] == values[1],
                self.name,
                f"forward layer and backward layer must have the same value for `{name}`",
                f"{values[0]} and {values[1]}",
                "Build both with the same settings.",
            )

    def build(self, sequences_shape: Shape, initial_state_shape: Any = None) -> None:
        for direction in (self.forward_layer, self.backward_layer):
            if not direction.built:
                direction.build(sequences_shape)
        if self._given_weights is not None:
            self.set_weights(self._given_weights)
            self._given_weights = None
        self.built = True

    def compute_output_shape(self, sequences_shape: Shape, initial_state_shape: Any = None) -> Any:
        output = self.forward_layer.compute_output_shape(sequences_shape)
        states: tuple = ()
        if self.return_state:
            output, states = output[0], tuple(output[1:])
        if self.merge_mode is None:
            merged: Any = (output, output)
            return (*merged, *states, *states) if states else merged
        width = output[-1] * 2 if self.merge_mode == "concat" else output[-1]
        merged = (*output[:-1], width)
        return (merged, *states, *states) if states else merged

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        mask = keras.tree.flatten(previous_mask)[0] if self.return_sequences else None
        masks = (mask, mask) if self.merge_mode is None else mask
        if self.return_state and self.states is not None:
            masks = masks if isinstance(masks, tuple) else (masks,)
            return (*masks, *(None for _ in self.states))
        return masks

    def call(
        self,
        sequences: Tensor,
        initial_state: Any = None,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Any:
        given = initial_state if isinstance(initial_state, (list, tuple)) else ()
        half = len(given) // 2
        require(
            initial_state is None or (half > 0 and len(given) == 2 * half),
            self.name,
            "`initial_state` must hold the forward and then the backward states, equally many",
            f"{len(given) or type(initial_state).__name__} states",
            "Pass what return_state=True returned, as a list.",
        )
        starts = (
            (None, None) if initial_state is None else (initial_state[:half], initial_state[half:])
        )
        results = []
        for direction, start in zip((self.forward_layer, self.backward_layer), starts, strict=True):
            options: dict[str, Any] = {"initial_state": start}
            if accepts(direction.call, "training"):
                options["training"] = training
            if accepts(direction.call, "mask"):
                options["mask"] = mask
            results.append(direction(sequences, **options))
        states: tuple = ()
        if self.return_state:
            states = (*results[0][1:], *results[1][1:])
            results = [result[0] for result in results]
        forward, backward = (ops.cast(result, self.compute_dtype) for result in results)
        if self.return_sequences:
            backward = ops.flip(backward, axis=1)  # it came last step first
        merged = merge(forward, backward, self.merge_mode)
        if not self.return_state:
            return merged
        return (*merged, *states) if self.merge_mode is None else (merged, *states)

    @property
    def states(self) -> tuple | None:
        """The variables of both layers that hold states between batches, or None."""
        forward, backward = self.forward_layer.states, self.backward_layer.states
        return (*forward, *backward) if forward and backward else None

    def reset_state(self) -> None:
        """Set the states that stateful layers have kept to zero."""
        if not self.stateful:
            raise AttributeError(
                f"{self.name}: Layer must be stateful to reset its state. Received: stateful=False. "
                "Build the wrapped layer with stateful=True."
            )
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    def reset_states(self) -> None:
        """The same under its older name."""
        self.reset_state()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "merge_mode": self.merge_mode,
            "layer": keras.saving.serialize_keras_object(self.forward_layer),
            "backward_layer": keras.saving.serialize_keras_object(self.backward_layer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Bidirectional":
        config = dict(config)
        for name in ("layer", "backward_layer"):
            if config.get(name) is not None:
                config[name] = keras.saving.deserialize_keras_object(
                    config[name], custom_objects=custom_objects
                )
        return cls(**config)


def merge(forward: Tensor, backward: Tensor, mode: str | None) -> Any:
    """Merge two readings (batch, ..., units) of the same steps; None keeps them as a pair."""
    if mode == "concat":
        return ops.concatenate([forward, backward], axis=-1)
    if mode == "sum":
        return forward + backward
    if mode == "ave":
        return (forward + backward) / 2
    if mode == "mul":
        return forward * backward
    return forward, backward


def _remade(layer: keras.Layer, prefix: str, **changes: Any) -> keras.Layer:
    """A new layer of the same configuration, under a name that says its direction."""
    serialized = keras.saving.serialize_keras_object(layer)
    serialized["config"] |= {"name": prefix + layer.name.removeprefix(prefix), **changes}
    return keras.saving.deserialize_keras_object(serialized)
