r"""Relative position bias of T5: a learned number for each head and each range of distances.

    y_{h,t,s} = scores_{h,t,s} + E[b(s - p_t), h]       (1)  key s, query at position p_t = start + t
    g(n) = n                                            (2)  for n < e
    g(n) = min(e + floor((B - e) ln(n / e) / ln(D / e)), B - 1)      (3)  for n >= e; e = B // 2

One direction: b(d) = g(max(-d, 0)), B = `num_buckets`. Keys after the query are taken for distance 0.
Both directions: b(d) = g(|d|), plus B where d > 0; B = num_buckets // 2.   D is `max_distance`.

Half of the buckets hold one distance each, the others ranges that grow like logarithms up to D, and the
last one all beyond.
"""

from typing import Any

import keras
import numpy as np
from keras import constraints, initializers, ops, regularizers

from custom_layers.core.protocols import Shape, Tensor
from custom_layers.core.shape_check import require, require_positive_integer
from custom_layers.embedding.positions import known_integer

OWNER = "relative_position_bias"


def bucket_of_distance(buckets: int, max_distance: int) -> np.ndarray:
    """Equations (2) and (3), g for n = 0, ..., max_distance, in exact integers.

    (3) counts the powers k with n^(B-e) e^k >= D^k e^(B-e), its logarithms taken away: float32 could
    put a distance on a boundary into the range before it.
    """
    e = buckets // 2
    logarithmic = buckets - e
    table = []
    for n in range(max_distance + 1):
        k = 0
        while (
            n >= e
            and k < logarithmic - 1
            and (n**logarithmic * e ** (k + 1) >= max_distance ** (k + 1) * e**logarithmic)
        ):
            k += 1
        table.append(n if n < e else e + k)
    return np.array(table, dtype="int32")


def bucket_of_offset(
    offset: Tensor, num_buckets: int, max_distance: int, bidirectional: bool
) -> Tensor:
    """b of (1), in [0, num_buckets): `offset` is key position - query position, integers."""
    buckets = num_buckets // 2 if bidirectional else num_buckets
    table = ops.convert_to_tensor(bucket_of_distance(buckets, max_distance))
    distance = ops.abs(offset) if bidirectional else ops.maximum(-offset, 0)
    bucket = ops.take(table, ops.minimum(distance, max_distance), axis=0)
    return bucket + buckets * ops.cast(offset > 0, "int32") if bidirectional else bucket


def offsets(query_steps: Any, key_steps: Any, start_index: Any) -> Tensor:
    """s - p_t of (1): (query_steps, key_steps) integers."""
    queries = ops.arange(query_steps, dtype="int32") + ops.cast(start_index, "int32")
    return ops.arange(key_steps, dtype="int32") - ops.expand_dims(queries, axis=-1)


@keras.saving.register_keras_serializable(package="custom_layers")
class RelativePositionBias(keras.layers.Layer):
    """Add to each attention score a learned number that belongs to the distance of key and query.

    T5 shares one such layer among all its blocks: call the same layer in each.

    Args:
        num_buckets: int >= 2, number of ranges of distances; even and >= 4 where `bidirectional`.
        max_distance: int, D of (3); larger distances share the last bucket. Above B // 2.
        bidirectional: whether keys after the query have buckets of their own (an encoder). In a
            decoder, whose causal mask hides them, False leaves all buckets to the keys before.
        embeddings_initializer, embeddings_regularizer, embeddings_constraint: of the table.
    Call arguments:
        attention_scores: (batch, num_heads, query_steps, key_steps), before the softmax.
        start_index: integer >= 0, position of the first query; in cached decoding that of the newest
            one. The first key's position is 0.
    Returns: like `attention_scores`, in the layer's compute dtype.
    Weights: `embeddings` (num_buckets, num_heads).
    Raises: ValueError when a size is out of its range, the scores have another rank or an unknown
        number of heads, or `start_index` is known to be negative.
    Source: Raffel et al. 2020, arXiv:1910.10683, section 2.1; (2) and (3) are its program's.
    Differs from keras_hub.layers, which have it inside T5 alone, and T5's program: logarithms are
        exact. The paper starts the table from numbers that depend on the model's width; say so with
        `embeddings_initializer`.
    """

    def __init__(
        self,
        num_buckets: int = 32,
        max_distance: int = 128,
        bidirectional: bool = True,
        embeddings_initializer: Any = "random_normal",
        embeddings_regularizer: Any = None,
        embeddings_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        num_buckets = require_positive_integer(num_buckets, owner=OWNER, name="num_buckets")
        max_distance = require_positive_integer(max_distance, owner=OWNER, name="max_distance")
        require(
            num_buckets >= 4 and num_buckets % 2 == 0 if bidirectional else num_buckets >= 2,
            OWNER,
            "`num_buckets` must be even and at least 4 in both directions, at least 2 in one",
            f"num_buckets={num_buckets}, bidirectional={bidirectional}",
            "T5 has 32.",
        )
        exact = num_buckets // 4 if bidirectional else num_buckets // 2
        require(
            max_distance > exact,
            OWNER,
            f"`max_distance` must be above the {exact} distances that have a bucket each",
            f"max_distance={max_distance}, num_buckets={num_buckets}",
            "T5 has 128; or choose fewer buckets.",
        )
        super().__init__(**kwargs)
        self.num_buckets = num_buckets
        self.max_distance = max_distance
        self.bidirectional = bidirectional
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)

    def build(self, input_shape: Shape) -> None:
        require(
            len(input_shape) == 4 and input_shape[1] is not None,
            OWNER,
            "`attention_scores` must be (batch, num_heads, query_steps, key_steps)",
            f"attention_scores.shape={tuple(input_shape)}",
            "Scores of one head have num_heads = 1; the number of heads must be known.",
        )
        self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.num_buckets, input_shape[1]),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )
        self.input_spec = keras.layers.InputSpec(ndim=4, axes={1: input_shape[1]})

    def call(self, attention_scores: Tensor, start_index: Any = 0) -> Tensor:
        require(
            (known_integer(start_index) or 0) >= 0,
            OWNER,
            "`start_index` must be 0 or more",
            f"start_index={start_index}",
            "It is the first query's position.",
        )
        query_steps, key_steps = ops.shape(attention_scores)[-2:]
        bucket = bucket_of_offset(
            offsets(query_steps, key_steps, start_index),
            self.num_buckets,
            self.max_distance,
            self.bidirectional,
        )
        embeddings = ops.convert_to_tensor(self.embeddings)
        bias = ops.take(embeddings, bucket, axis=0)  # (query_steps, key_steps, num_heads)
        return attention_scores + ops.transpose(bias, (2, 0, 1))  # (1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "num_buckets": self.num_buckets,
            "max_distance": self.max_distance,
            "bidirectional": self.bidirectional,
            "embeddings_initializer": initializers.serialize(self.embeddings_initializer),
            "embeddings_regularizer": regularizers.serialize(self.embeddings_regularizer),
            "embeddings_constraint": constraints.serialize(self.embeddings_constraint),
        }
