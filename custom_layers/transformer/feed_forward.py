r"""Feed-forward network of a Transformer: the same two or three affine maps at every position.

    y = a(x W_1 + b_1) W_2 + b_2                              (1) a: ReLU, GELU, ...
    y = (a(x W_g + b_g) * (x W_1 + b_1)) W_2 + b_2            (2) gated; SwiGLU where a is SiLU

x: (batch, steps, features), W_1 and W_g: (features, intermediate_dim), W_2 the other way round.
Source: (1) Vaswani et al. 2017, arXiv:1706.03762, section 3.3, equation (2); (2) Shazeer 2020,
arXiv:2002.05202, equations (5) and (6), which leave the biases out.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import activations, initializers

from custom_layers.core.initializer_copy import initializer_copy
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import known_features, require_positive_integer, require_rate
from custom_layers.linear.dense import Dense
from custom_layers.regularization.dropout import Dropout


def feed_forward(
    x: Tensor,
    intermediate: Callable[[Tensor], Tensor],
    output: Callable[[Tensor], Tensor],
    gate: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Equations (1) and (2): each map with its bias, and with its activation where it has one."""
    hidden = intermediate(x)
    if gate is not None:
        hidden = gate(x) * hidden  # (2)
    return output(hidden)


@keras.saving.register_keras_serializable(package="custom_layers")
class FeedForward(keras.layers.Layer):
    """Widen each position, bend it, and bring it back to its width.

    Args:
        intermediate_dim: int >= 1, units in between; the papers take four times the features, and two
            thirds of that where there is a gate, for as many weights.
        activation: name or function a: "relu" (default), "gelu", "silu", ...
        gated: whether (2) applies; with activation="silu" it is SwiGLU, with "gelu" GEGLU.
        dropout: probability in [0, 1) of dropping an entry of y in training.
        use_bias: whether the biases exist.
        kernel_initializer, bias_initializer: of each map.
        seed: int, seed of the dropout.
    Call arguments: inputs: (batch, ..., features); training: whether to drop.
    Returns: like `inputs`.
    Weights: `intermediate_dense`, (`gate_dense`), `output_dense`, each a kernel and a bias.
    Raises: ValueError when `intermediate_dim` < 1, `dropout` is no probability, or the features of the
        inputs are not known.
    Source: Vaswani et al. 2017, section 3.3; Shazeer 2020.
    Differs from the feed-forward parts of keras_hub.layers, which are no layers of their own and have no
        gate.
    """

    def __init__(
        self,
        intermediate_dim: int,
        activation: Any = "relu",
        gated: bool = False,
        dropout: float = 0.0,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.intermediate_dim = require_positive_integer(
            intermediate_dim, owner="feed_forward", name="intermediate_dim"
        )
        self.activation = activations.get(activation)
        self.gated = gated
        self.dropout = require_rate(dropout, owner="feed_forward", name="dropout")
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.seed = seed
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        features = known_features(input_shape, owner="feed_forward")
        inside = None if self.gated else self.activation
        self.intermediate_dense = self._dense("intermediate_dense", self.intermediate_dim, inside)
        self.intermediate_dense.build(input_shape)
        self.gate_dense = None
        if self.gated:
            self.gate_dense = self._dense("gate_dense", self.intermediate_dim, self.activation)
            self.gate_dense.build(input_shape)
        self.output_dense = self._dense("output_dense", features)
        self.output_dense.build((*input_shape[:-1], self.intermediate_dim))
        self.dropout_layer = Dropout(self.dropout, seed=self.seed, dtype=self.dtype_policy)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        y = feed_forward(inputs, self.intermediate_dense, self.output_dense, self.gate_dense)
        return self.dropout_layer(y, training=training)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "activation": activations.serialize(self.activation),
            "gated": self.gated,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "seed": self.seed,
        }

    def _dense(self, name: str, units: int, activation: Any = None) -> Dense:
        """Each map has initializers of its own, so that no two begin alike."""
        return Dense(
            units,
            activation,
            self.use_bias,
            kernel_initializer=initializer_copy(self.kernel_initializer),
            bias_initializer=initializer_copy(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )
