"""Types of command-line options: what is outside the rule is refused in one line, before any work.

parser.add_argument("--units", type=whole_number(1))
parser.add_argument("--dropout", type=number(at_least=0, below=1))
parser.add_argument("--out", type=writable_folder)
"""

import math
import tempfile
from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path


def whole_number(least: int) -> Callable[[str], int]:
    """int >= `least`."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise ArgumentTypeError(f"must be a whole number of at least {least}. Received: {text}")
        return value

    return parse


def number(
    *, at_least: float = -math.inf, above: float = -math.inf, below: float = math.inf
) -> Callable[[str], float]:
    """float within the bounds; nan is in none."""
    bounds = {"at least": at_least, "more than": above, "less than": below}
    rule = " and ".join(
        f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound)
    )

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (value >= at_least and value > above and value < below):
            raise ArgumentTypeError(f"must be a number {rule}. Received: {text}")
        return value

    return parse


def writable_folder(text: str) -> Path:
    """A folder that is there or can be made, and written to."""
    folder = Path(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ArgumentTypeError(
            f"must be a folder to write to. Received: {text} ({error.strerror})"
        ) from None
    return folder
