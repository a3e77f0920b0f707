"""What the encoder's and the decoder's block share: arguments, parts, masks, configuration."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import keras
from keras import activations, initializers

from custom_layers.attention.masks import (
    both,
    implicit_mask,
    require_mask_dtype,
)
from custom_layers.core.initializer_copy import initializer_copy
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import (
    known_features,
    require,
    require_positive_integer,
    require_rate,
    require_shape,
)
from custom_layers.linear.dense import Dense
from custom_layers.normalization.layer_normalization import LayerNormalization
from custom_layers.regularization.dropout import Dropout
from custom_layers.transformer.feed_forward import feed_forward
from custom_layers.transformer.residual import residual


class TransformerBlock(keras.layers.Layer):
    """Arguments as `TransformerEncoder` and `TransformerDecoder` document them."""

    owner = "transformer_block"

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float = 0,
        activation: Any = "relu",
        layer_norm_epsilon: float = 1e-05,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        normalize_first: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.intermediate_dim = require_positive_integer(
            intermediate_dim, owner=self.owner, name="intermediate_dim"
        )
        self.num_heads = require_positive_integer(num_heads, owner=self.owner, name="num_heads")
        require_rate(dropout, owner=self.owner, name="dropout")
        self.dropout = dropout
        self.activation = activations.get(activation)
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.normalize_first = normalize_first
        self.supports_masking = True

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "intermediate_dim": self.intermediate_dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "activation": activations.serialize(self.activation),
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": initializers.serialize(self.kernel_initializer),
            "bias_initializer": initializers.serialize(self.bias_initializer),
            "normalize_first": self.normalize_first,
        }

    def _head_dim(self, shape: Shape) -> int:
        """Width of one head: the features are shared out among the heads."""
        require(
            len(shape) == 3,
            self.owner,
            "the inputs must be (batch, steps, features)",
            f"shape={tuple(shape)}",
            "Add the axis that is missing.",
        )
        features = known_features(shape, owner=self.owner)
        require(
            features % self.num_heads == 0,
            self.owner,
            "the inputs' features must be a multiple of `num_heads`",
            f"num_heads={self.num_heads}, features={features}",
            "Choose a divisor of the features, or pad them.",
        )
        return features // self.num_heads

    def _attention(self, kind: Any, name: str, head_dim: int, *shapes: Shape) -> Any:
        """An attention layer of this class, built for a query and a value of these shapes."""
        layer = kind(
            num_heads=self.num_heads,
            key_dim=head_dim,
            dropout=self.dropout,
            kernel_initializer=initializer_copy(self.kernel_initializer),
            bias_initializer=initializer_copy(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build(*shapes)
        return layer

    def _norm(self, name: str, shape: Shape) -> LayerNormalization:
        layer = LayerNormalization(
            epsilon=self.layer_norm_epsilon, dtype=self.dtype_policy, name=name
        )
        layer.build(shape)
        return layer

    def _dropout(self, name: str) -> Dropout:
        return Dropout(self.dropout, dtype=self.dtype_policy, name=name)

    def _dense(self, name: str, units: Any, shape: Sequence[Any], activation: Any = None) -> Dense:
        layer = Dense(
            units,
            activation=activation,
            kernel_initializer=initializer_copy(self.kernel_initializer),
            bias_initializer=initializer_copy(self.bias_initializer),
            dtype=self.dtype_policy,
            name=name,
        )
        layer.build(tuple(shape))
        return layer

    def _build_feed_forward(self, shape: Shape) -> None:
        self._feedforward_intermediate_dense = self._dense(
            "feedforward_intermediate_dense", self.intermediate_dim, shape, self.activation
        )
        between = (*shape[:-1], self.intermediate_dim)
        self._feedforward_output_dense = self._dense("feedforward_output_dense", shape[-1], between)

    def _feed_forward(self, x: Tensor) -> tuple[Tensor, None]:
        inside, outside = self._feedforward_intermediate_dense, self._feedforward_output_dense
        return feed_forward(x, inside, outside), None

    def _residual(
        self, x: Tensor, f: Any, norm: Any, dropout: Any, training: bool | None
    ) -> tuple[Tensor, Any]:
        """`residual` with this block's order of normalizing, its dropout told of training."""
        return residual(x, f, norm, partial(dropout, training=training), self.normalize_first)

    def _mask_of_keys(
        self,
        sequence: Tensor,
        padding_mask: Tensor | None,
        attention_mask: Tensor | None,
        prefix: str = "",
    ) -> Tensor | None:
        """Both masks as one of scores; without a padding mask, the one that Keras attached."""
        if padding_mask is not None:
            require_shape(
                padding_mask,
                tuple(sequence.shape)[:2],
                owner=self.owner,
                name=f"{prefix}padding_mask",
                layout="(batch, steps)",
                way_out="It says of each token whether it is a word: tokens != 0.",
            )
        if attention_mask is not None:
            require_shape(
                attention_mask,
                (None, None, None),
                owner=self.owner,
                name=f"{prefix}attention_mask",
                layout="(batch, query_steps, key_steps)",
                way_out="A mask of keys alone is the padding mask.",
            )
            require_mask_dtype(attention_mask, owner=self.owner, name=f"{prefix}attention_mask")
        padding = implicit_mask(sequence) if padding_mask is None else padding_mask
        return both(None if padding is None else padding[:, None, :], attention_mask)
