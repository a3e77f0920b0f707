r"""One long text as parallel streams, for back-propagation through time that is cut into windows.

Of a text c_0 ... c_{N-1} row i of batch n reads, for t = 0 ... steps - 1,

    x_t = c_{p + t}                                                    (1)
    y_t = c_{p + t + 1}        the target: the next character          (2)
    p   = i S + n steps,   S = floor((N - 1) / batch)                  (3)

so that row i of batch n + 1 goes on where row i of batch n ended, and a recurrent layer with
`stateful=True` reads the text as one long sequence in each row.
Source: Williams and Peng 1990, Neural Computation 2(4); Graves 2013, arXiv:1308.0850, section 2.1, where
the gradient is cut and the states are kept. Parallel rows for one text are the custom of the field.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from custom_layers.core.shape_check import require_positive_integer
from custom_layers.data.data_error import DataError


class TextParts(NamedTuple):
    """Three texts of one, in its order: what to learn from, to choose by, and to report."""

    training: str
    validation: str
    held_out: str


def split_text(text: str, *, validation: float = 0.05, held_out: float = 0.05) -> TextParts:
    """Cut a text in three by position: the parts do not overlap, and put together are the text.

    Args:
        text: the whole.
        validation, held_out: shares of the characters, each greater than 0, together less than 1. The
            held-out part is the end of the text.

    Raises: DataError when the shares are none, or a part would be empty.
    """
    if not (validation > 0 and held_out > 0 and validation + held_out < 1):
        raise DataError(
            "split_text: `validation` and `held_out` must be greater than 0, and together less than "
            f"1. Received: validation={validation}, held_out={held_out}. Use 0.05 for a twentieth."
        )
    end = len(text) - round(held_out * len(text))
    begin = end - round(validation * len(text))
    parts = TextParts(text[:begin], text[begin:end], text[end:])
    if not all(parts):
        raise DataError(
            "split_text: each part must hold a character. Received: a text of "
            f"{len(text)} characters. Bring a longer one, or larger shares."
        )
    return parts


class TextStreams:
    """`batch` streams over one text, in windows of `steps` characters: equations (1) to (3).

    Args:
        numbers: the text, a number for each character, (characters,).
        batch: int >= 1, number of rows.
        steps: int >= 1, length of a window.

    Attributes:
        windows: number of batches in one pass. The last characters of a row that fill no window, less
            than `steps` of them, are left out of a pass.

    Raises: DataError when the text is shorter than one batch and the last target, batch x steps + 1.
        ValueError when `batch` or `steps` is no positive integer.
    """

    def __init__(self, numbers: Any, batch: int, steps: int) -> None:
        self.numbers = np.asarray(numbers, np.int32)
        self.batch = require_positive_integer(batch, owner="TextStreams", name="batch")
        self.steps = require_positive_integer(steps, owner="TextStreams", name="steps")
        shape = self.numbers.shape
        if len(shape) != 1 or shape[0] < batch * steps + 1:
            raise DataError(
                "TextStreams: `numbers` must be (characters,), with at least batch x steps + 1 = "
                f"{batch * steps + 1} of them. Received: numbers.shape={shape}. Take fewer rows, "
                "shorter windows, or a longer text."
            )
        self.stretch = (shape[0] - 1) // self.batch  # S of (3)
        self.windows = self.stretch // self.steps

    def window(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch n as x and y, each int32 (batch, steps); past its end the text begins again."""
        begins = np.arange(self.batch)[:, None] * self.stretch + n * self.steps  # (3)
        places = begins + np.arange(self.steps)
        length = len(self.numbers)
        return self.numbers[places % length], self.numbers[(places + 1) % length]  # (1), (2)

    def one_pass(self) -> tf.data.Dataset:
        """The batches 0 to `windows` - 1: every row reads a stretch of its own.

        Each pass begins the streams anew, so that states that a layer has kept from the last pass must
        go: see `custom_layers.training.StreamStates`.
        """
        return self._dataset(0, self.windows)

    def endless(self, first: int = 0) -> tf.data.Dataset:
        """The batches from number `first` on, without end: a row reads on into the next one's stretch.

        No state has to go, ever: the one joint is where the text's end meets its beginning.
        """
        return self._dataset(first, np.iinfo(np.int64).max)

    def _dataset(self, first: int, end: int) -> tf.data.Dataset:
        numbers = tf.constant(self.numbers)
        rows = np.arange(self.batch, dtype=np.int64)[:, None] * self.stretch
        places = tf.constant(rows + np.arange(self.steps + 1, dtype=np.int64))

        def window(n: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            read = tf.gather(numbers, (places + n * self.steps) % len(self.numbers))
            return read[:, :-1], read[:, 1:]

        return tf.data.Dataset.range(first, end).map(window).prefetch(4)
