r"""Attention as `keras.layers.Attention` has it: scores, softmax, average.

    e_ts = g * q_t . k_s                              (1)  score_mode="dot"
    e_ts = w * sum_f tanh(g * (q_t + k_s))_f          (2)  score_mode="concat"
    a_ts = softmax over s of (e_ts - M * not m_ts)    (3)  M = 1e9, or 65504 in float16
    c_t  = sum_s a_ts v_s                             (4)

q: (batch, ..., query_steps, features), k: (batch, ..., key_steps, features),
v: (batch, ..., key_steps, value_features), m: the mask, True = keep. The scalar g exists with
`use_scale`, the scalar w with "concat"; both are trained and begin at 1.
Source of (1): Luong et al. 2015, arXiv:1508.04025, section 3.1, "dot".
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from custom_layers.attention.masks import both, causal_mask, require_mask_dtype
from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require
from custom_layers.core.taps import Tap, taps_of, untapped


class AttentionStep(NamedTuple):
    """Every named quantity of one call, from the scores on."""

    attention_scores: Tensor  # (batch, ..., query_steps, key_steps), before mask and softmax
    attention_weights: Tensor  # likewise, after the softmax; rows sum to 1
    kept_weights: Tensor  # likewise, after dropout
    context: Tensor  # (batch, ..., query_steps, value_features)


def dot_scores(query: Tensor, key: Tensor, scale: Tensor | None) -> Tensor:
    """Equation (1)."""
    scores = ops.matmul(query, ops.swapaxes(key, -2, -1))
    return scores if scale is None else ops.multiply(scores, scale)


def concat_scores(query: Tensor, key: Tensor, scale: Tensor | None, weight: Tensor) -> Tensor:
    """Equation (2)."""
    summed = ops.expand_dims(query, axis=-2) + ops.expand_dims(key, axis=-3)
    return weight * ops.sum(ops.tanh(summed if scale is None else scale * summed), axis=-1)


def attend(
    attention_scores: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    dropout: float = 0.0,
    seed: Any = None,
    tap: Tap = untapped,
) -> AttentionStep:
    """Equations (3) and (4). `mask` broadcasts over the scores; dropout acts on the weights.

    M is subtracted, not put in place: in a row without any True the scores still count.
    """
    scores = attention_scores = tap("attention_scores", attention_scores)
    if mask is not None:
        masked = 65504.0 if keras.backend.standardize_dtype(scores.dtype) == "float16" else 1.0e9
        scores = ops.where(mask, scores, scores - masked)
    weights = tap("attention_weights", ops.softmax(scores, axis=-1))  # (3)
    kept = keras.random.dropout(weights, dropout, seed=seed) if dropout > 0 else weights
    return AttentionStep(attention_scores, weights, kept, ops.matmul(kept, value))  # (4)


@keras.saving.register_keras_serializable(package="custom_layers")
class Attention(keras.layers.Layer):
    """Score each key against each query, then average the values with the softmaxed scores.

    Args:
        use_scale: whether the trained scalar g exists.
        score_mode: "dot" or "concat", equations (1) and (2).
        dropout: probability in [0, 1) of dropping one attention weight.
        seed: int, seed of the dropout.
    Call arguments:
        inputs: list of query (batch, query_steps, features), value (batch, key_steps,
            value_features) and, optionally, key (batch, key_steps, features); else key is value.
            More axes may stand between batch and steps.
        mask: list of query_mask (batch, query_steps) and value_mask (batch, key_steps), either may
            be None. Where query_mask is False, the context is zero.
        training: whether to drop.
        return_attention_scores: whether to return the weights, too.
        use_causal_mask: whether query t sees the keys s <= t alone.
    Returns: context (batch, query_steps, value_features), in the unit of measure of `value`; and,
        if asked for, the attention weights (batch, query_steps, key_steps) after softmax and
        dropout.
    Weights: `scale` () with `use_scale`; `concat_score_weight` () with "concat".
    Raises: ValueError for another `score_mode`, inputs or masks that are no lists of 2 or 3, ranks
        below 3, and shapes that do not fit.
    Source: equations (1) to (4) of the module.
    Differs from keras.layers.Attention: inputs and masks that do not fit each other are named in
        one line. As there, "concat" adds, and a row without any True is not zero; see
        `BahdanauAttention` and `LuongAttention` for the papers' own.
    """

    owner = "attention"

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        require(
            score_mode in ("dot", "concat"),
            self.owner,
            "Invalid value for argument score_mode. Expected one of {'dot', 'concat'}",
            f"score_mode={score_mode!r}",
            "For the papers' scores see BahdanauAttention and LuongAttention.",
        )
        require(
            isinstance(dropout, (int, float)) and 0 <= dropout <= 1,
            self.owner,
            "`dropout` must be a probability",
            f"dropout={dropout!r}",
            "It is the share of attention weights that is dropped.",
        )
        self.use_scale = use_scale
        self.score_mode = score_mode
        self.dropout = dropout
        self.seed = seed
        if dropout > 0:
            self.seed_generator = keras.random.SeedGenerator(seed=seed)

    def build(self, input_shape: list[Shape]) -> None:
        self._validate_inputs(input_shape)
        self._check_shapes(*input_shape)
        self.scale = self.concat_score_weight = None
        if self.use_scale:
            self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        if self.score_mode == "concat":
            self.concat_score_weight = self.add_weight(
                name="concat_score_weight", shape=(), initializer="ones"
            )

    def call(
        self,
        inputs: list[Tensor],
        mask: list[Tensor | None] | None = None,
        training: bool | None = False,
        return_attention_scores: bool = False,
        use_causal_mask: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        self._validate_inputs(inputs, mask)
        query, value = inputs[0], inputs[1]
        key = inputs[2] if len(inputs) > 2 else value
        self._check_shapes(query.shape, value.shape, key.shape)
        query_mask, value_mask = mask[:2] if mask else (None, None)
        self._check_masks(query_mask, value_mask, query, value)
        scores = self._calculate_scores(query, key)
        step = attend(
            scores,
            value,
            self._calculate_score_mask(scores, value_mask, use_causal_mask),
            dropout=self.dropout if training else 0.0,
            seed=self.seed_generator if training and self.dropout > 0 else None,
            tap=taps_of(self),
        )
        context = step.context
        if query_mask is not None:
            context = ops.where(ops.expand_dims(query_mask, axis=-1), context, 0)
        return (context, step.kept_weights) if return_attention_scores else context

    def compute_mask(self, inputs: list[Tensor], mask: Any = None) -> Tensor | None:
        self._validate_inputs(inputs, mask)
        return None if mask is None or mask[0] is None else ops.convert_to_tensor(mask[0])

    def compute_output_shape(self, input_shape: list[Shape]) -> tuple[int | None, ...]:
        return (*input_shape[0][:-1], input_shape[1][-1])

    def compute_output_spec(
        self,
        inputs: list[Any],
        mask: Any = None,
        return_attention_scores: bool = False,
        training: bool | None = None,
        use_causal_mask: bool = False,
    ) -> Any:
        self._validate_inputs(inputs, mask)
        shapes = [tensor.shape for tensor in inputs]
        context = keras.KerasTensor(self.compute_output_shape(shapes), dtype=self.compute_dtype)
        if not return_attention_scores:
            return context
        weights_shape = (*shapes[0][:-1], shapes[-1][-2])
        return context, keras.KerasTensor(weights_shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "use_scale": self.use_scale,
            "score_mode": self.score_mode,
            "dropout": self.dropout,
            "seed": self.seed,
        }

    def _calculate_scores(self, query: Tensor, key: Tensor) -> Tensor:
        if self.score_mode == "dot":
            return dot_scores(query, key, self.scale)
        return concat_scores(query, key, self.scale, self.concat_score_weight)

    def _calculate_score_mask(
        self, scores: Tensor, v_mask: Tensor | None, use_causal_mask: bool
    ) -> Tensor | None:
        """What broadcasts over the scores: (batch, 1 or query_steps, key_steps), or None."""
        if v_mask is not None and len(v_mask.shape) == 2:
            v_mask = ops.expand_dims(v_mask, axis=-2)
        if not use_causal_mask:
            return both(v_mask, None)
        query_steps, key_steps = ops.shape(scores)[-2:]
        return both(v_mask, causal_mask(query_steps, key_steps))

    def _validate_inputs(self, inputs: Any, mask: Any = None) -> None:
        name = type(self).__name__
        require(
            isinstance(inputs, list),
            self.owner,
            f"{name} layer must be called on a list of inputs",
            f"inputs={type(inputs).__name__}",
            "Call it on [query, value] or [query, value, key].",
        )
        require(
            2 <= len(inputs) <= 3,
            self.owner,
            f"{name} layer accepts inputs of length 2 or 3",
            f"len(inputs)={len(inputs)}",
            "Call it on [query, value] or [query, value, key].",
        )
        if mask is None:
            return
        require(
            isinstance(mask, list),
            self.owner,
            f"{name} layer mask must be a list",
            f"mask={type(mask).__name__}",
            "Give [query_mask, value_mask], either may be None.",
        )
        require(
            2 <= len(mask) <= 3,
            self.owner,
            f"{name} layer accepts a mask of length 2 or 3",
            f"len(mask)={len(mask)}",
            "Give [query_mask, value_mask], either may be None.",
        )

    def _check_shapes(self, query: Shape, value: Shape, key: Shape | None = None) -> None:
        key = value if key is None else key
        shapes = f"query={tuple(query)}, value={tuple(value)}, key={tuple(key)}"
        require(
            min(len(query), len(value), len(key)) >= 3,
            self.owner,
            "query, value and key must be (batch, steps, features)",
            shapes,
            "Add the axis that is missing.",
        )
        require(
            None in (query[-1], key[-1]) or query[-1] == key[-1],
            self.owner,
            "query and key must have equally many features",
            shapes,
            "Project one of them with a Dense layer.",
        )
        require(
            None in (value[-2], key[-2]) or value[-2] == key[-2],
            self.owner,
            "value and key must have equally many steps",
            shapes,
            "Each key needs its value.",
        )

    def _check_masks(
        self, query_mask: Tensor | None, value_mask: Tensor | None, query: Tensor, value: Tensor
    ) -> None:
        for name, mask, of in (("query", query_mask, query), ("value", value_mask, value)):
            if mask is None:
                continue
            steps, actual = of.shape[-2], tuple(mask.shape)
            require(
                len(actual) >= 2 and (None in (actual[-1], steps) or actual[-1] == steps),
                self.owner,
                f"`{name}_mask` must be (batch, {name}_steps) = {(of.shape[0], steps)}",
                f"{name}_mask.shape={actual}",
                f"Slice or pad it to `{name}`.",
            )
            require_mask_dtype(mask, owner=self.owner, name=f"{name}_mask")
