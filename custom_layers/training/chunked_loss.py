r"""Vocabulary projection and masked cross entropy in one, a chunk of tokens at a time.

The logits of all tokens, (tokens, vocabulary), never stand in memory, and neither does their gradient:

    z_n = x_n K + b                                            (1) logits of token n
    p_n = softmax(z_n),   j_n = argmax z_n                     (2)
    -log p_n[y_n] = z_n[j_n] - z_n[y_n] - log p_n[j_n]         (3) no logarithm of a number near 0
    loss = sum_n m_n (-log p_n[y_n]) / c                       (4) m_n = 1 where y_n != 0, else 0
    accuracy = sum_n m_n [j_n = y_n] / c                       (5) c = sum_n m_n, at least 1

(3) holds because the exponentials that p_n[j_n] and p_n[y_n] are made of have one denominator. From
d(-log p_n[y_n]) / dz_n = p_n - e_n, where e_n is 1 at y_n and 0 elsewhere, and (1):

    g_n = m_n (p_n - e_n)                                      (6)
    dloss/dx_n = g_n K^T / c                                   (7)
    dloss/dK = sum_n x_n^T g_n / c                             (8)
    dloss/db = sum_n g_n / c                                   (9)

Padding has m_n = 0 everywhere. The real tokens are therefore sorted to the front, and the chunks end
with the last of them: padding costs nothing, and whatever stands in its states stays out.

The loss is one number, so that its gradient by anything is (7) to (9) times one number, dL/dloss, which
alone is unknown on the way forwards. The sums of (7) to (9) are taken there, while a chunk's p_n is at
hand; a way back that computes the logits again took 1.4 to 1.6 times as long.
Where nobody asks for a gradient, a graph drops these sums, which have no part in (4) and (5). Eager
execution knows no later and always takes them: evaluate inside `tf.function`, as `fit` does.

Second derivatives are refused: of these sums, the framework does not know what they depend on.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from custom_layers.core.shape_check import require, require_positive_integer, require_shape
from custom_layers.training.masked_loss import PADDING

CHUNK = 256


class TokenMeans(NamedTuple):
    """Means over the tokens that are no padding: scalars, the loss in nats, the accuracy in [0, 1]."""

    loss: Any
    accuracy: Any


def chunked_cross_entropy(
    states: Any, kernel: Any, bias: Any, labels: Any, chunk: int = CHUNK
) -> Any:
    """What `masked_loss(labels, states @ kernel + bias)` is, in the memory of `chunk` tokens (4).

    Args:
        states: (batch, steps, units) or (rows, units), floats.
        kernel: (units, vocabulary), of the dtype of `states`.
        bias: (vocabulary,), of the dtype of `states`.
        labels: (batch, steps) or (rows,) token numbers below the vocabulary's size, 0 = padding.
            Integers, or floats that hold integers.
        chunk: int >= 1, how many tokens have their logits in memory at a time. Few mean more passes
            over the gradient of `kernel`, many more memory. Default 256.

    Returns:
        A scalar in nats per token; 0 for a batch of padding alone. float64 where the states are,
        otherwise float32: half precision is multiplied, but not summed.

    Raises: ValueError for shapes or dtypes that do not belong together, or `chunk` < 1; LookupError
        when a second derivative is asked for.
    """
    return chunked_loss_and_accuracy(states, kernel, bias, labels, chunk).loss


def chunked_loss_and_accuracy(
    states: Any, kernel: Any, bias: Any, labels: Any, chunk: int = CHUNK
) -> TokenMeans:
    """`chunked_cross_entropy` and, of the same logits, what `masked_accuracy` is: (4) and (5).

    Args and errors as for `chunked_cross_entropy`. The accuracy has no gradient.
    """
    states, kernel, bias, labels = map(tf.convert_to_tensor, (states, kernel, bias, labels))
    chunk = require_positive_integer(chunk, owner="chunked_cross_entropy", name="chunk")
    _check(states, kernel, bias, labels)
    x = tf.reshape(states, [-1, kernel.shape[0] or tf.shape(kernel)[0]])
    y = tf.reshape(tf.cast(labels, tf.int32), [-1])
    return TokenMeans(*_token_means(x, kernel, bias, y, chunk))


def _token_means(x: Any, kernel: Any, bias: Any, y: Any, chunk: int) -> Any:
    """(4) and (5) of x (rows, units) and y (rows,), with (7) to (9) as the gradient."""

    @tf.custom_gradient
    def token_means(*given: Any) -> Any:
        x, kernel, bias, y = map(tf.stop_gradient, given)  # else an eager tape would keep all p_n
        count, sums = _sums_over_chunks(x, kernel, bias, y, chunk)
        c = tf.cast(tf.maximum(count, 1), sums.loss.dtype)

        def backward(d_loss: Any, _: Any) -> list[Any]:
            d_arguments = [sums.d_x, sums.d_kernel, sums.d_bias]
            gradients = [tf.cast(d * (d_loss / c), x.dtype) for d in d_arguments]  # (7), (8), (9)
            return [*_differentiated_once(*gradients, *given[:3]), None]

        return (sums.loss / c, sums.hits / c), backward  # (4), (5)

    # Copies, since TensorFlow searches the graph for variables, and takes one that is read for one used.
    loss, accuracy = token_means(*map(tf.identity, (x, kernel, bias, y)))
    return loss, tf.stop_gradient(accuracy)


class _Sums(NamedTuple):
    """Over the tokens so far: of (4) and (5) scalars; of (7) to (9) in the shapes of x, K and b."""

    loss: Any
    hits: Any
    d_x: Any
    d_kernel: Any
    d_bias: Any


def _sums_over_chunks(x: Any, kernel: Any, bias: Any, y: Any, chunk: int) -> tuple[Any, _Sums]:
    """c, and the sums of all tokens; of float32 or wider."""
    wide = tf.float64 if x.dtype == tf.float64 else tf.float32
    real = y != PADDING
    count = tf.math.count_nonzero(real, dtype=tf.int32)
    order = tf.argsort(tf.cast(real, tf.int32), direction="DESCENDING", stable=True)
    order = tf.pad(order, [[0, -tf.shape(y)[0] % chunk]])  # whole chunks: XLA wants fixed sizes

    def add_chunk(start: Any, sums: _Sums) -> tuple[Any, _Sums]:
        at = tf.slice(order, [start], [chunk])  # which rows
        m = start + tf.range(chunk) < count
        x_n = tf.where(m[:, None], tf.gather(x, at), tf.zeros([], x.dtype))
        y_n, m = tf.gather(y, at), tf.cast(m, wide)

        z = tf.cast(tf.matmul(x_n, kernel), wide) + tf.cast(bias, wide)  # (1)
        p, j_n = tf.nn.softmax(z), tf.argmax(z, axis=-1, output_type=tf.int32)  # (2)
        losses = _pick(z, j_n) - _pick(z, y_n) - tf.math.log(_pick(p, j_n))  # (3)

        with tf.control_dependencies([losses]):  # p is read: (6) may take its memory
            p_minus_e = tf.tensor_scatter_nd_sub(p, _entries(y_n), tf.ones_like(m))  # (6)
        g = tf.cast(p_minus_e, x.dtype)
        # m belongs to (6) too: it comes in with d_x_n and d_bias, and x_n is 0 where m is.
        d_x_n = m[:, None] * tf.cast(tf.matmul(g, kernel, transpose_b=True), wide)
        return start + chunk, _Sums(
            loss=sums.loss + tf.reduce_sum(m * losses),
            hits=sums.hits + tf.reduce_sum(m * tf.cast(j_n == y_n, wide)),
            d_x=tf.tensor_scatter_nd_add(sums.d_x, at[:, None], d_x_n),
            d_kernel=sums.d_kernel + tf.cast(tf.matmul(x_n, g, transpose_a=True), wide),
            d_bias=sums.d_bias + tf.linalg.matvec(p_minus_e, m, transpose_a=True),
        )

    zero = tf.zeros([], wide)
    none_yet = _Sums(zero, zero, *(tf.zeros_like(of, wide) for of in (x, kernel, bias)))
    _, sums = tf.while_loop(
        lambda start, _: start < count,
        add_chunk,
        (tf.constant(0), none_yet),
        parallel_iterations=1,  # else the next chunk's logits are there before this one's are gone
    )
    return count, sums


def _entries(columns: Any) -> Any:
    """(row, its column) for each row, as gather and scatter want them."""
    return tf.stack([tf.range(tf.size(columns)), columns], axis=1)


def _pick(matrix: Any, columns: Any) -> Any:
    """Of each row the entry in its column."""
    return tf.gather_nd(matrix, _entries(columns))


@tf.custom_gradient
def _differentiated_once(d_x: Any, d_kernel: Any, d_bias: Any, *_: Any) -> Any:
    """The gradients as they are; a tape sees that they depend on the arguments after them."""

    def refuse(*_: Any) -> Any:
        raise LookupError(
            "chunked_cross_entropy: it cannot be differentiated twice. "
            "Received: a gradient of its gradient. Use masked_loss of the logits."
        )

    return [tf.identity(d) for d in (d_x, d_kernel, d_bias)], refuse


def _check(states: Any, kernel: Any, bias: Any, labels: Any) -> None:
    owner = "chunked_cross_entropy"
    require(
        len(kernel.shape) == 2,
        owner,
        "`kernel` must be (units, vocabulary)",
        f"kernel.shape={tuple(kernel.shape)}",
        "Pass the kernel of `Dense(vocabulary)`.",
    )
    units, vocabulary = kernel.shape
    require(
        len(states.shape) in (2, 3),
        owner,
        "`states` must be (batch, steps, units) or (rows, units)",
        f"states.shape={tuple(states.shape)}",
        "Reshape them.",
    )
    require_shape(
        states,
        (*[None] * (len(states.shape) - 1), units),
        owner=owner,
        name="states",
        layout="(..., units)",
        way_out="Their last axis is the first one of `kernel`.",
    )
    require_shape(
        bias,
        (vocabulary,),
        owner=owner,
        name="bias",
        layout="(vocabulary,)",
        way_out="It has one number for each column of `kernel`.",
    )
    require_shape(
        labels,
        tuple(states.shape[:-1]),
        owner=owner,
        name="labels",
        layout="the shape of `states` without its last axis,",
        way_out="Pass one token number for each state.",
    )
    require(
        states.dtype.is_floating and kernel.dtype == bias.dtype == states.dtype,
        owner,
        "`states`, `kernel` and `bias` must be floats of one dtype",
        f"dtypes={states.dtype.name}, {kernel.dtype.name}, {bias.dtype.name}",
        "Cast them with `keras.ops.cast`.",
    )
