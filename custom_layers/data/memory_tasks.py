r"""Two tasks that ask for a long memory, and for nothing else.

Adding problem, T steps:

    u_t uniform in [0, 1)                                              (1) numbers
    p uniform in {0, ..., T/2 - 1}, q uniform in {T/2, ..., T - 1}     (2) two places (T/2 rounded down)
    m_t = 1 where t is p or q, else 0                                  (3) marks
    x_t = [u_t ; m_t],   y = u_p + u_q                                 (4) asked for after the last step

Who always says 1, the mean, has a squared error of 2 Var(u) = 1/6.

Copying problem, delay T, with n symbols of an alphabet of K, a blank b = K and a bell g = K + 1:

    s_1, ..., s_n uniform in {0, ..., K - 1}                           (5)
    x = s_1 ... s_n, then b T - 1 times, g, then b n times             (6) T + 2n steps, one-hot
    y = b T + n times, then s_1 ... s_n                                (7) asked for at every step

Who knows where the symbols are asked for, and none of them, has a cross-entropy of n ln K / (T + 2n).

Source: Hochreiter and Schmidhuber 1997, Neural Computation 9(8), experiment 4 (adding); in the form of
Le et al. 2015, arXiv:1504.00941, and, with the copying problem (n = 10, K = 8), of Arjovsky et al.
2016, arXiv:1511.06464.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from custom_layers.data.data_error import DataError

Batch = tuple[np.ndarray, np.ndarray]
_SIZED = -1  # the number of a drawing that is no batch: batches are numbered from 0


@dataclass(frozen=True)
class AddingProblem:
    """Equations (1) to (4).

    Args:
        steps: T, int >= 2.

    Raises: DataError when `steps` is smaller.
    """

    steps: int

    def __post_init__(self) -> None:
        _at_least("AddingProblem", "steps", self.steps, 2)

    @property
    def baseline(self) -> float:
        """Mean squared error of always saying 1."""
        return 1 / 6

    def draw(self, count: int, seed: int) -> Batch:
        """So many sequences, the same for the same seed, and none of the batches of any seed.

        Args:
            count: int >= 1.
            seed: int.
        Returns: x (count, steps, 2) and y (count, 1), float32.
        """
        return _drawn(self._drawing, count, seed)

    def batches(self, batch_size: int, seed: int) -> tf.data.Dataset:
        """Endless batches (x, y), each as `draw` has it; `.skip(n)` goes on after n of them."""
        return _endless(self._drawing, batch_size, seed)

    def _drawing(self, count: int, key: Any) -> tuple[Any, Any]:
        keys = tf.random.split(key, 3)
        half, steps = self.steps // 2, self.steps
        u = tf.random.stateless_uniform([count, steps], keys[0])  # (1)
        p = tf.random.stateless_uniform([count], keys[1], 0, half, tf.int32)  # (2)
        q = tf.random.stateless_uniform([count], keys[2], half, steps, tf.int32)  # (2)
        m = tf.one_hot(p, steps) + tf.one_hot(q, steps)  # (3)
        return tf.stack([u, m], axis=-1), tf.reduce_sum(u * m, axis=1, keepdims=True)  # (4)


@dataclass(frozen=True)
class CopyingProblem:
    """Equations (5) to (7).

    Args:
        delay: T, int >= 1, steps from the last symbol to the bell.
        length: n, int >= 1, symbols to remember.
        symbols: K, int >= 2, of which there are.

    Raises: DataError when one of them is smaller.
    """

    delay: int
    length: int = 10
    symbols: int = 8

    def __post_init__(self) -> None:
        for name, least in (("delay", 1), ("length", 1), ("symbols", 2)):
            _at_least("CopyingProblem", name, getattr(self, name), least)

    @property
    def steps(self) -> int:
        """T + 2n."""
        return self.delay + 2 * self.length

    @property
    def baseline(self) -> float:
        """Cross-entropy in nats, a mean over all steps, of remembering nothing."""
        return self.length * math.log(self.symbols) / self.steps

    def draw(self, count: int, seed: int) -> Batch:
        """So many sequences, the same for the same seed, and none of the batches of any seed.

        Args:
            count: int >= 1.
            seed: int.
        Returns: x (count, steps, symbols + 2), float32, and y int32 (count, steps), at most `symbols`.
        """
        return _drawn(self._drawing, count, seed)

    def batches(self, batch_size: int, seed: int) -> tf.data.Dataset:
        """Endless batches (x, y), each as `draw` has it; `.skip(n)` goes on after n of them."""
        return _endless(self._drawing, batch_size, seed)

    def _drawing(self, count: int, key: Any) -> tuple[Any, Any]:
        s = tf.random.stateless_uniform([count, self.length], key, 0, self.symbols, tf.int32)  # (5)
        blank, bell = self.symbols, self.symbols + 1

        def blanks(times: int) -> Any:
            return tf.fill([count, times], blank)

        x = [s, blanks(self.delay - 1), tf.fill([count, 1], bell), blanks(self.length)]  # (6)
        y = [blanks(self.delay + self.length), s]  # (7)
        return tf.one_hot(tf.concat(x, axis=1), self.symbols + 2), tf.concat(y, axis=1)


MemoryTask = AddingProblem | CopyingProblem
Drawing = Callable[[int, Any], tuple[Any, Any]]


def _drawn(drawing: Drawing, count: int, seed: int) -> Batch:
    _at_least("draw", "count", count, 1)
    x, y = drawing(count, tf.constant([seed, _SIZED], tf.int64))
    return x.numpy(), y.numpy()


def _endless(drawing: Drawing, batch_size: int, seed: int) -> tf.data.Dataset:
    _at_least("batches", "batch_size", batch_size, 1)

    def batch(number: Any) -> tuple[Any, Any]:
        return drawing(batch_size, tf.stack([tf.constant(seed, tf.int64), number]))

    return tf.data.Dataset.counter().map(batch).prefetch(tf.data.AUTOTUNE)


def _at_least(owner: str, name: str, value: Any, least: int) -> None:
    is_integer = hasattr(value, "__index__") and not isinstance(value, bool)
    if not is_integer or value < least:
        raise DataError(
            f"{owner}: `{name}` must be an integer of {least} or more. Received: {name}={value!r}. "
            f"Choose {name} >= {least}."
        )
