r"""Attention with linear biases (ALiBi): the farther back a key, the lower its score.

    m_h         = 2^(-(h + 1) A / H)           (1)  slope of head h = 0, ..., H - 1; H a power of two
    y_{h,t,s}   = scores_{h,t,s} + m_h (s - (S - 1))                (2)  key s of S

Another H takes the slopes of the next lower power of two, then every second one of the next higher.
A is `alibi_bias_max`. The paper adds m_h (s - t); (2) differs from it by m_h (t - (S - 1)), which is one
number for all keys of a query, so that the softmax over the keys is the same.
"""

import math
from typing import Any

import keras
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require


def slopes_of_heads(heads: int, bias_max: float) -> list[float]:
    """Equation (1): one slope for each head."""
    lower = 2 ** math.floor(math.log2(heads))
    slopes = [2.0 ** (-(h + 1) * bias_max / lower) for h in range(lower)]
    between = [2.0 ** (-(h + 1) * bias_max / (2 * lower)) for h in range(0, 2 * lower, 2)]
    return slopes + between[: heads - lower]


def distances_to_last_key(key_steps: Any) -> Tensor:
    """s - (S - 1) of (2): (key_steps,) integers up to 0."""
    return ops.arange(key_steps, dtype="int32") - (key_steps - 1)


@keras.saving.register_keras_serializable(package="custom_layers")
class AlibiBias(keras.layers.Layer):
    """Lower each attention score in proportion to the key's distance.

    Args:
        alibi_bias_max: number > 0, A of (1); the last head's slope is 2^(-A).
    Call arguments:
        attention_scores: (batch, num_heads, query_steps, key_steps), before the softmax.
    Returns: like `attention_scores`, in the layer's compute dtype.
    Weights: none.
    Raises: ValueError when `alibi_bias_max` is not above 0, the scores have another rank or an unknown
        number of heads.
    Source: Press et al. 2022, arXiv:2108.12409, section 3; the slopes of other numbers of heads are
        those of the authors' program.
    Differs from the paper: (2), as said there. Keys after a query get no bias of their own; a causal
        mask hides them.
    Differs from keras_hub.layers.AlibiBias: bad input raises one clear line.
    """

    def __init__(self, alibi_bias_max: float = 8, **kwargs: Any) -> None:
        require(
            alibi_bias_max > 0,
            "alibi_bias",
            "`alibi_bias_max` must be above 0",
            f"alibi_bias_max={alibi_bias_max!r}",
            "The paper's is 8.",
        )
        super().__init__(**kwargs)
        self.alibi_bias_max = alibi_bias_max

    def call(self, attention_scores: Tensor) -> Tensor:
        shape = attention_scores.shape
        require(
            len(shape) == 4 and shape[1] is not None,
            "alibi_bias",
            "`attention_scores` must be (batch, num_heads, query_steps, key_steps)",
            f"attention_scores.shape={tuple(shape)}",
            "Scores of one head have num_heads = 1; the number of heads must be known.",
        )
        slopes = ops.convert_to_tensor(
            slopes_of_heads(shape[1], self.alibi_bias_max), dtype=self.compute_dtype
        )
        distances = distances_to_last_key(ops.shape(attention_scores)[-1])
        bias = ops.reshape(slopes, (1, -1, 1, 1)) * ops.cast(distances, self.compute_dtype)
        return attention_scores + bias  # (2)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alibi_bias_max": self.alibi_bias_max}
