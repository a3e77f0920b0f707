r"""Learned position embedding: a table of vectors, looked up by position.

    y_t = P[start + t]      (1)  t = 0, ..., steps - 1
    y_t = P[p_t]            (2)  where positions p are given

P: (sequence_length, features), y: (batch, ..., steps, features).
"""

from typing import Any

import keras
from keras import initializers, ops

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import known_features, require, require_positive_integer
from custom_layers.embedding.positions import known_integer, lay_over, require_positions


def rows_from(embeddings: Tensor, start: Any, steps: Any) -> Tensor:
    """Equation (1): (steps, features)."""
    return ops.slice(embeddings, (start, 0), (steps, embeddings.shape[-1]))


def rows_at(embeddings: Tensor, positions: Tensor) -> Tensor:
    """Equation (2): (*positions.shape, features)."""
    return ops.take(embeddings, positions, axis=0)


@keras.saving.register_keras_serializable(package="custom_layers")
class PositionEmbedding(keras.layers.Layer):
    """Give each step the row of a trainable table that belongs to its position.

    The result is the embedding alone; add it to the inputs.

    Args:
        sequence_length: int >= 1, number of positions that there are vectors for.
        initializer: of the table.
    Call arguments:
        inputs: (batch, ..., steps, features); only the shape counts.
        start_index: integer, position of the first step; in cached decoding that of the newest one.
        positions: integers in [0, sequence_length), (steps,) or (batch, steps), used in place of the
            steps' numbers. Then `start_index` is not used.
    Returns: the embedding, of the shape of `inputs`, in the layer's compute dtype.
    Weights: `embeddings` (sequence_length, features).
    Raises: ValueError when `sequence_length` is below 1, the sequence ends after it (`start_index`
        included where its value is known, that is outside of a traced graph), or `positions` has not
        one entry for each step; TypeError for positions that are no integers.
    Source: Gehring et al. 2017, arXiv:1705.03122, section 3.1; Devlin et al. 2019, arXiv:1810.04805,
        section 3.
    Differs from keras_hub.layers.PositionEmbedding: a sequence that is too long is one clear line,
        where the other fails in a backend's words, and on JAX moves the start so that it fits.
        Positions with a batch axis keep it for inputs of rank 4, and a single position does not stand
        for several steps. `sequence_length` is not rounded. It knows nothing of vLLM.
    """

    def __init__(
        self, sequence_length: int, initializer: Any = "glorot_uniform", **kwargs: Any
    ) -> None:
        sequence_length = require_positive_integer(
            sequence_length, owner="position_embedding", name="sequence_length"
        )
        super().__init__(**kwargs)
        self.sequence_length = sequence_length
        self.initializer = initializers.get(initializer)

    def build(self, inputs_shape: Shape) -> None:
        self._require_room(inputs_shape)
        features = known_features(inputs_shape, owner="position_embedding")
        self.position_embeddings = self.add_weight(
            name="embeddings",
            shape=(self.sequence_length, features),
            initializer=self.initializer,
        )

    def call(self, inputs: Tensor, start_index: Any = 0, positions: Tensor | None = None) -> Tensor:
        shape = ops.shape(inputs)
        embeddings = ops.convert_to_tensor(self.position_embeddings)
        if positions is None:
            self._require_room(inputs.shape, known_integer(start_index))
            return lay_over(rows_from(embeddings, start_index, shape[-2]), shape)
        require_positions(positions, shape[0], shape[-2], owner="position_embedding")
        dtype = keras.backend.standardize_dtype(positions.dtype)
        if not keras.backend.is_int_dtype(dtype):
            raise TypeError(
                "position_embedding: `positions` must be integers. "
                f"Received: positions.dtype={dtype}. Cast them first."
            )
        return lay_over(rows_at(embeddings, positions), shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "sequence_length": self.sequence_length,
            "initializer": initializers.serialize(self.initializer),
        }

    def _require_room(self, shape: Shape, start: int | None = None) -> None:
        """The table has a row for each step from `start` on, as far as both are known."""
        require(
            len(shape) >= 2,
            "position_embedding",
            "`inputs` must be (batch, ..., steps, features)",
            f"inputs.shape={tuple(shape)}",
            "Embed ids first: only vectors have a place for the embedding.",
        )
        steps = shape[-2]
        first = 0 if start is None else start
        require(
            first >= 0 and first + (steps or 0) <= self.sequence_length,
            "position_embedding",
            f"the steps must lie in the {self.sequence_length} positions of `sequence_length`",
            f"steps={steps}, start_index={first}",
            "Cut the sequence, or make the layer with a larger `sequence_length`.",
        )
