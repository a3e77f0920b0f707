"""Read an equation `X,W->Y` of EinsumDense, and find the shapes of its weights and its output.

A letter stands for one axis, `...` for any number of them, once in X and once in Y: `X,W->Y`,
`...X,W->...Y` or `X...,W->Y...`. The first axis of the inputs is the batch. The sizes of Y's letters
come from `output_shape`, which has one for each, but for a batch that is a letter; the sizes of W's
letters come from Y, or else from X.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from custom_layers.core.protocols import Shape
from custom_layers.core.shape_check import require

OWNER = "einsum_dense"
FORMS = {  # which side of the letters `...` is on -> equation
    "": r"([a-zA-Z]+),([a-zA-Z]+)->([a-zA-Z]+)",
    "left": r"\.\.\.([a-zA-Z]+),([a-zA-Z]+)->\.\.\.([a-zA-Z]+)",
    "right": r"([a-zA-Z]{2,})\.\.\.,([a-zA-Z]+)->([a-zA-Z]+)\.\.\.",
}


class EinsumEquation(NamedTuple):
    """The letters of each term, and the side of them that `...` is on (`left`, `right` or none)."""

    x: str
    kernel: str
    y: str
    ellipsis: str


class EinsumShapes(NamedTuple):
    """What an equation says once the inputs' shape is known."""

    kernel: tuple[int, ...]
    bias: tuple[int, ...] | None  # broadcasts against the output
    output: Shape  # with the batch; None where nobody said the size
    summed_axes: list[int]  # axes of the kernel that the output lacks: its inputs
    output_axes: list[int]  # axes of the kernel that the output has


def read_equation(equation: str) -> EinsumEquation:
    """The terms of an equation; ValueError unless it has one of the three forms."""
    found = {side: match for side, form in FORMS.items() if (match := re.fullmatch(form, equation))}
    require(
        len(found) == 1,
        OWNER,
        "`equation` must be X,W->Y, ...X,W->...Y or X...,W->Y..., with letters for axes",
        f"equation={equation!r}",
        "Write it without spaces; X... needs two letters, the first of which is the batch.",
    )
    ((ellipsis, match),) = found.items()
    x, kernel, y = match.groups()
    for letter in y:
        require(
            letter in x + kernel,
            OWNER,
            f"the output's axis `{letter}` must be one of the inputs or of the kernel",
            f"equation={equation!r}",
            "Add it to the kernel, and its size to `output_shape`.",
        )
    for letter in kernel:
        require(
            letter in x + y,
            OWNER,
            f"the kernel's axis `{letter}` must be one of the inputs or of the output",
            f"equation={equation!r}",
            "Its size is known from nowhere else.",
        )
    return EinsumEquation(x, kernel, y, ellipsis)


def shapes_of(
    equation: str, bias_axes: str | None, input_shape: Shape, output_shape: Sequence[int | None]
) -> EinsumShapes:
    """Shapes of the weights and the output.

    Args:
        equation: see the module.
        bias_axes: letters of Y that the bias has; None for no bias.
        input_shape: with the batch.
        output_shape: of Y's letters, without a batch that is a letter.
    """
    x, kernel, y, ellipsis = read_equation(equation)
    received = f"equation={equation!r}, inputs.shape={tuple(input_shape)}"
    unnamed = len(input_shape) - len(x)
    require(
        unnamed >= 0 if ellipsis else unnamed == 0,
        OWNER,
        f"the inputs must have {'at least ' if ellipsis else ''}{len(x)} axes, one for each letter",
        received,
        "Use `...` for axes that stay as they are.",
    )
    skipped = unnamed if ellipsis == "left" else 0
    sizes_x = dict(zip(x, input_shape[skipped:], strict=False))
    batch = () if skipped else (input_shape[0],)
    sizes = (*batch, *output_shape)
    require(
        len(sizes) == len(y),
        OWNER,
        f"`output_shape` must have {len(y) - len(batch)} sizes, one for each letter of the output"
        + (" but the batch" if batch else ""),
        f"output_shape={tuple(output_shape)}, {received}",
        "Leave out what `...` stands for.",
    )
    sizes_y = dict(zip(y, sizes, strict=True))
    for letter in sizes_y.keys() & sizes_x.keys():
        pair = {sizes_x[letter], sizes_y[letter]} - {None}
        require(
            len(pair) < 2,
            OWNER,
            f"inputs and output must agree on the size of their shared axis `{letter}`",
            f"output_shape={tuple(output_shape)}, {received}",
            "Write None for a size that the inputs have.",
        )
    before, after = input_shape[:skipped], input_shape[len(x) :] if ellipsis == "right" else ()
    named = [*sizes_x.items(), *sizes_y.items()]
    known = {letter: size for letter, size in named if size is not None}
    return EinsumShapes(
        kernel=tuple(_known(known, letter, received) for letter in kernel),
        bias=_bias_shape(bias_axes, y, known, len(after), received),
        output=(*before, *sizes, *after),
        summed_axes=[i for i, letter in enumerate(kernel) if letter not in y],
        output_axes=[i for i, letter in enumerate(kernel) if letter in y],
    )


def _bias_shape(
    bias_axes: str | None, y: str, sizes: dict[str, int], after: int, received: str
) -> tuple[int, ...] | None:
    """From the first of the bias's letters on: its size where it has the letter, else 1."""
    if bias_axes is None:
        return None
    require(
        bias_axes != "" and set(bias_axes) <= set(y),
        OWNER,
        "`bias_axes` must be letters of the output",
        f"bias_axes={bias_axes!r}, {received}",
        f"Choose from `{y}`, or write None for no bias.",
    )
    letters = y[min(y.index(letter) for letter in bias_axes) :]
    shape = [_known(sizes, letter, received) if letter in bias_axes else 1 for letter in letters]
    return (*shape, *[1] * after)


def _known(sizes: dict[str, int], letter: str, received: str) -> int:
    require(
        letter in sizes,
        OWNER,
        f"a weight has the axis `{letter}`, whose size must be known",
        received,
        "Give it in `output_shape`, or to `keras.Input` where the inputs have it.",
    )
    return sizes[letter]
