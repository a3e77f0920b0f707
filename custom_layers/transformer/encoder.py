r"""Encoder block of a Transformer: every position looks at all others, then thinks for itself.

    a = residual(x, self_attention)        (1)
    y = residual(a, feed_forward)          (2)

`residual` is equation (1) or (2) of `residual.py`, `feed_forward` equation (1) of `feed_forward.py`.
Source: Vaswani et al. 2017, arXiv:1706.03762, section 3.1 and figure 1.
"""

from typing import Any

import keras

from custom_layers.attention.multi_head import MultiHeadAttention
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.transformer.block import TransformerBlock


@keras.saving.register_keras_serializable(package="custom_layers")
class TransformerEncoder(TransformerBlock):
    """Self-attention and a feed-forward network, each with a residual connection and normalized.

    Args:
        intermediate_dim: int >= 1, units between the two maps of the feed-forward network.
        num_heads: int >= 1, a divisor of the inputs' features.
        dropout: probability in [0, 1), of attention weights and of what each part adds.
        activation: name or function, of the feed-forward network.
        layer_norm_epsilon: float >= 0, added to the variance.
        kernel_initializer, bias_initializer: of each projection and of the feed-forward network.
        normalize_first: False is post-norm, as in the paper; True is pre-norm.
    Call arguments:
        inputs: (batch, steps, features).
        padding_mask: (batch, steps), True = a word. None takes the mask that Keras has attached.
        attention_mask: (batch, steps, steps), True = attend.
        training: whether to drop.
        return_attention_scores: whether to return the weights, too.
    Returns: like `inputs`; and, if asked for, the attention weights (batch, heads, steps, steps).
    Weights: `self_attention_layer` (query, key, value, attention_output), `self_attention_layer_norm`,
        `feedforward_layer_norm`, `feedforward_intermediate_dense`, `feedforward_output_dense`.
    Raises: ValueError when an argument cannot be, the features are no multiple of `num_heads`, or a
        mask has another shape.
    Source: Vaswani et al. 2017, section 3.1.
    Differs from keras_hub.layers.TransformerEncoder: features that are no multiple of `num_heads` are
        refused, where KerasHub rounds down and leaves some out; a mask of a wrong shape is named.
    """

    owner = "transformer_encoder"

    def build(self, inputs_shape: Shape) -> None:
        head_dim = self._head_dim(inputs_shape)
        self._self_attention_layer = self._attention(
            MultiHeadAttention, "self_attention_layer", head_dim, inputs_shape, inputs_shape
        )
        self._self_attention_layer_norm = self._norm("self_attention_layer_norm", inputs_shape)
        self._self_attention_dropout = self._dropout("self_attention_dropout")
        self._feedforward_layer_norm = self._norm("feedforward_layer_norm", inputs_shape)
        self._build_feed_forward(inputs_shape)
        self._feedforward_dropout = self._dropout("feedforward_dropout")
        self.built = True

    def call(
        self,
        inputs: Tensor,
        padding_mask: Tensor | None = None,
        attention_mask: Tensor | None = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
    ) -> Any:
        mask = self._mask_of_keys(inputs, padding_mask, attention_mask)

        def attend(x: Tensor) -> tuple[Tensor, Tensor | None]:
            attended = self._self_attention_layer(
                query=x,
                value=x,
                attention_mask=mask,
                return_attention_scores=return_attention_scores,
                training=training,
            )
            return attended if return_attention_scores else (attended, None)

        norm, dropout = self._self_attention_layer_norm, self._self_attention_dropout
        a, weights = self._residual(inputs, attend, norm, dropout, training)  # (1)
        norm, dropout = self._feedforward_layer_norm, self._feedforward_dropout
        y, _ = self._residual(a, self._feed_forward, norm, dropout, training)  # (2)
        return (y, weights) if return_attention_scores else y

    def compute_output_shape(self, inputs_shape: Shape) -> Shape:
        return inputs_shape

    def compute_output_spec(
        self,
        inputs: Any,
        padding_mask: Any = None,
        attention_mask: Any = None,
        training: bool | None = None,
        return_attention_scores: bool = False,
    ) -> Any:
        y = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return y
        shape = (inputs.shape[0], self.num_heads, inputs.shape[1], inputs.shape[1])
        return y, keras.KerasTensor(shape, dtype=self.compute_dtype)
