r"""Additive attention as `keras.layers.AdditiveAttention` has it.

    e_ts = sum_f (g * tanh(q_t + k_s))_f      (1)

Softmax and average follow as in `attention.py`, equations (3) and (4) there. The vector g has one
entry for each feature; it stands where Bahdanau et al. 2015 have v. Their W and U are missing: see
`bahdanau.py`.
"""

from typing import Any

import keras
from keras import ops

from custom_layers.attention.attention import Attention
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require


def additive_scores(query: Tensor, key: Tensor, scale: Tensor | None) -> Tensor:
    """Equation (1), with g = 1 where `scale` is None."""
    hidden = ops.tanh(ops.expand_dims(query, axis=-2) + ops.expand_dims(key, axis=-3))
    return ops.sum(hidden if scale is None else scale * hidden, axis=-1)


@keras.saving.register_keras_serializable(package="custom_layers")
class AdditiveAttention(Attention):
    """Score by the sum of a hyperbolic tangent, then average the values.

    Args:
        use_scale: whether the trained vector g exists.
        dropout: probability in [0, 1) of dropping one attention weight.
        seed: int, seed of the dropout.
    Call arguments: those of `Attention`; query and key have the same number of features.
    Returns: as `Attention` does.
    Weights: `scale` (features,) with `use_scale`.
    Raises: as `Attention` does; ValueError for a `score_mode`, which this layer has not.
    Source: equation (1) of the module.
    Differs from keras.layers.AdditiveAttention: a `score_mode` is refused, where the built-in takes
        it and does not use it.
    """

    owner = "additive_attention"

    def __init__(self, use_scale: bool = True, dropout: float = 0.0, **kwargs: Any) -> None:
        require(
            "score_mode" not in kwargs,
            self.owner,
            "there is no `score_mode` here",
            f"score_mode={kwargs.get('score_mode')!r}",
            "Leave it out, or use Attention.",
        )
        super().__init__(use_scale=use_scale, dropout=dropout, **kwargs)

    def build(self, input_shape: list[Shape]) -> None:
        self._validate_inputs(input_shape)
        self._check_shapes(*input_shape)
        self.scale = None
        if self.use_scale:
            self.scale = self.add_weight(
                name="scale", shape=(input_shape[0][-1],), initializer="glorot_uniform"
            )

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["score_mode"]
        return config

    def _calculate_scores(self, query: Tensor, key: Tensor) -> Tensor:
        return additive_scores(query, key, self.scale)
