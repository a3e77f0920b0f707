r"""Rotary position embedding: turn each pair of features by an angle that grows with the position.

    w_i  = W^(-2i / d)                                  (1)  speed of pair i = 0, ..., d/2 - 1
    a    = p w_i                                        (2)  angle at position p
    y_i        = m (x_i cos a - x_{i+d/2} sin a)        (3)
    y_{i+d/2}  = m (x_{i+d/2} cos a + x_i sin a)        (4)

Rotated so, the product of a query at position p and a key at q depends on p - q alone. m is 1 but in
(7). For sequences longer than those of training, by a factor s, the speeds of (1) become

    linear:   w_i / s                                   (5)
    dynamic:  w_i / s^(d / (d - 2))                     (6)
    yarn:     (1 - r_i) w_i + r_i w_i / s,  m = 0.1 ln s + 1              (7)
              r_i  = clip((i - low) / (high - low), 0, 1)                 (8)
              low, high = d ln(L / (2 pi beta)) / (2 ln W)  for beta_fast, beta_slow  (9)

(9) is the pair that turns beta times within the L positions of training: faster pairs are kept, slower
ones are slowed by s.
"""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require
from custom_layers.embedding.positions import positions_of_steps, require_positions

OWNER = "rotary_embedding"


def speeds(pairs: int, max_wavelength: float, denominator: int) -> Tensor:
    """Equation (1), with d = `denominator`: (pairs,) in float32."""
    exponents = ops.cast(2 * ops.arange(pairs), "float32") / ops.cast(denominator, "float32")
    return ops.power(ops.cast(max_wavelength, "float32"), -exponents)


def yarn_ramp(
    pairs: int,
    max_wavelength: float,
    trained_positions: float,
    beta_fast: float,
    beta_slow: float,
    truncate: bool,
) -> np.ndarray:
    """Equations (8) and (9): (pairs,) in float32, 0 where a pair keeps its speed."""

    def pair_that_turns(beta: float) -> float:
        turns = math.log(trained_positions / (2 * math.pi * beta))
        return 2 * pairs * turns / (2 * math.log(max_wavelength))

    low, high = pair_that_turns(beta_fast), pair_that_turns(beta_slow)  # (9)
    if truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, 2 * pairs - 1)
    ramp = (np.arange(pairs) - low) / max(high - low, 1e-3)
    return np.clip(ramp, 0, 1).astype("float32")  # (8)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Equations (3) and (4) along the last axis; cosine and sine hold one entry for each pair."""
    first, second = ops.split(x, 2, axis=-1)
    return ops.concatenate(
        [first * cosine - second * sine, second * cosine + first * sine], axis=-1
    )


@keras.saving.register_keras_serializable(package="custom_layers")
class RotaryEmbedding(keras.layers.Layer):
    """Rotate the features of queries or keys by their positions.

    Args:
        max_wavelength: number > 0, W of (1); above 1 for "yarn".
        scaling_factor: number > 0, s of (5) to (7); 1 leaves the speeds as they are.
        rope_type: "linear", "dynamic" or "yarn": which of (5), (6) and (7).
        beta_fast, beta_slow: turns within the positions of training, of (9); only for "yarn".
        original_max_position_embeddings: L of (9), positions in training; only for "yarn".
        truncate: whether (9) is rounded outwards to whole pairs; only for "yarn".
        sequence_axis, feature_axis: axes of the inputs.
        denominator_dim: d of (1), where it is not the number of features; not for "yarn".
    Call arguments:
        inputs: floating point, with the two axes and a batch; by default (batch, steps, features) or
            (batch, steps, num_heads, features). The number of features is even.
        start_index: integer, position of the first step; in cached decoding that of the newest one.
        positions: (steps,) or (batch, steps), used in place of the steps' numbers. Then `start_index`
            is not used.
    Returns: like `inputs`, in the layer's compute dtype.
    Weights: none.
    Raises: ValueError for an unknown `rope_type`, a number out of its range, an axis that does not
        exist or is named twice, an odd number of features, or `positions` that have not one entry for
        each step.
    Source: Su et al. 2021, arXiv:2104.09864, section 3.2.2, equations (14), (15) and (34). Linear:
        Chen et al. 2023, arXiv:2306.15595, section 2.3. YaRN: Peng et al. 2023, arXiv:2309.00071,
        sections 3.2 and 3.4.
    Differs from the paper: pair i is (x_i, x_{i+d/2}), where (34) takes neighbours; a permutation of
        the features. "dynamic" slows every pair alike and does not look at the sequence's length; the
        method known by that name changes W instead.
    Differs from keras_hub.layers.RotaryEmbedding: an unknown `rope_type` raises, where the other
        scales by nothing; so does a `denominator_dim` with "yarn", which the other does not use. A
        single position does not stand for several steps.
    """

    def __init__(
        self,
        max_wavelength: float = 10000,
        scaling_factor: float = 1.0,
        rope_type: str = "linear",
        beta_fast: float = 32.0,
        beta_slow: float = 1.0,
        original_max_position_embeddings: float = 4096,
        truncate: bool = True,
        sequence_axis: int = 1,
        feature_axis: int = -1,
        denominator_dim: int | None = None,
        **kwargs: Any,
    ) -> None:
        require(
            rope_type in ("linear", "dynamic", "yarn"),
            OWNER,
            "`rope_type` must be 'linear', 'dynamic' or 'yarn'",
            f"rope_type={rope_type!r}",
            "With 'linear' and scaling_factor=1 nothing is scaled.",
        )
        require(
            rope_type != "yarn" or denominator_dim is None,
            OWNER,
            "`denominator_dim` has no place in rope_type='yarn'",
            f"denominator_dim={denominator_dim!r}",
            "Leave it out, or choose 'linear'.",
        )
        lowest = {"max_wavelength": (max_wavelength, 0), "scaling_factor": (scaling_factor, 0)}
        if rope_type == "yarn":
            lowest |= {"max_wavelength": (max_wavelength, 1)}
            lowest |= {"beta_fast": (beta_fast, 0), "beta_slow": (beta_slow, 0)}
            trained = original_max_position_embeddings
            lowest |= {"original_max_position_embeddings": (trained, 0)}
        for name, (value, above) in lowest.items():
            require(
                value > above,
                OWNER,
                f"`{name}` must be above {above}",
                f"{name}={value!r}",
                "Leave it out for its default.",
            )
        super().__init__(**kwargs)
        self.max_wavelength = max_wavelength
        self.scaling_factor = scaling_factor
        self.rope_type = rope_type
        self.beta_fast = beta_fast
        self.beta_slow = beta_slow
        self.original_max_position_embeddings = original_max_position_embeddings
        self.truncate = truncate
        self.sequence_axis = sequence_axis
        self.feature_axis = feature_axis
        self.denominator_dim = denominator_dim
        self.built = True

    def call(self, inputs: Tensor, start_index: Any = 0, positions: Tensor | None = None) -> Tensor:
        sequence_axis, feature_axis = self._axes(inputs.shape)
        x = ops.moveaxis(inputs, (feature_axis, sequence_axis), (-1, 1))
        batch, steps = ops.shape(x)[:2]
        require_positions(positions, batch, steps, owner=OWNER)
        p = positions_of_steps(steps, start_index, positions, "float32")
        if len(p.shape) == 1:
            p = ops.expand_dims(p, axis=0)
        angles = ops.expand_dims(p, axis=-1) * self._scaled_speeds(x.shape[-1] // 2)  # (2)
        for _ in range(len(x.shape) - 3):
            angles = ops.expand_dims(angles, axis=-2)
        cosine, sine = (
            ops.cast(f(angles), self.compute_dtype) * self._magnitude() for f in (ops.cos, ops.sin)
        )
        return ops.moveaxis(rotate(x, cosine, sine), (-1, 1), (feature_axis, sequence_axis))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self._axes(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "max_wavelength": self.max_wavelength,
            "scaling_factor": self.scaling_factor,
            "rope_type": self.rope_type,
            "beta_fast": self.beta_fast,
            "beta_slow": self.beta_slow,
            "original_max_position_embeddings": self.original_max_position_embeddings,
            "truncate": self.truncate,
            "sequence_axis": self.sequence_axis,
            "feature_axis": self.feature_axis,
            "denominator_dim": self.denominator_dim,
        }

    def _scaled_speeds(self, pairs: int) -> Tensor:
        """Equations (5), (6) or (7): (pairs,)."""
        s = self.scaling_factor
        if self.rope_type == "yarn":
            w = speeds(pairs, self.max_wavelength, 2 * pairs)
            r = yarn_ramp(
                pairs,
                self.max_wavelength,
                self.original_max_position_embeddings,
                self.beta_fast,
                self.beta_slow,
                self.truncate,
            )
            r = ops.convert_to_tensor(r)
            return (1 - r) * w + r * w / s  # (7)
        w = speeds(pairs, self.max_wavelength, self.denominator_dim or 2 * pairs)
        if self.rope_type == "dynamic":
            s = s ** (2 * pairs / max(1, 2 * pairs - 2))  # (6)
        return w / s  # (5)

    def _magnitude(self) -> float:
        """The m of (3) and (4)."""
        return 0.1 * math.log(self.scaling_factor) + 1.0 if self.rope_type == "yarn" else 1.0

    def _axes(self, shape: Shape) -> tuple[int, int]:
        """Both axes counted from the front."""
        rank = len(shape)
        axes = {"sequence_axis": self.sequence_axis, "feature_axis": self.feature_axis}
        received = ", ".join(f"{name}={axis}" for name, axis in axes.items())
        received += f", inputs.shape={tuple(shape)}"
        exist = all(-rank <= axis < rank for axis in axes.values())
        sequence_axis, feature_axis = (axis % rank if exist else 0 for axis in axes.values())
        require(
            exist and sequence_axis != feature_axis and rank >= 3,
            OWNER,
            "`inputs` must have a batch axis and two others, `sequence_axis` and `feature_axis`",
            received,
            "By default they are (batch, steps, ..., features).",
        )
        features = shape[feature_axis]
        require(
            features is not None and features % 2 == 0,
            OWNER,
            "the features must be known and even in number, since they turn in pairs",
            received,
            "Choose an even width, and give it to `keras.Input`.",
        )
        return sequence_axis, feature_axis
