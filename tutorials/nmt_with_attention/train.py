"""Command: train the translator with built-in layers, with ours, or with both side by side."""

import argparse
import sys
from typing import Any

from tutorials.translation.command import make_parser as make_shared_parser
from tutorials.translation.command import run_command

EXAMPLES = """\
examples:
  %(prog)s
        both translators on the generated demo corpus, about two minutes on two cores
  %(prog)s --layers custom --data spa-eng --preset tutorial
        ours alone on the real sentence pairs, with the official settings
  %(prog)s --data my_pairs.txt --steps 1000
        your own pairs, one a line: English, a tab, Spanish (or any two languages)
  %(prog)s --steps 0 --translate "¿Buscará Elena esta foto?"
        asks the translators that an earlier run left in the log folder; trains nothing
  %(prog)s --resume
        goes on where Ctrl-C stopped, with the same options
"""


def make_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = make_shared_parser(
        "nmt_with_attention",
        "Train a translator (encoder, attention, decoder) and show how good it is; by default "
        "twice, with keras.layers and with custom_layers, from the same weights on the same batches.",
        EXAMPLES,
        "quick: 96 units, vocabulary 1,000, 400 steps; tutorial: the official 256 units, "
        "vocabulary 5,000, 2,000 steps; batches of 64",
        ["builtin", "custom", "both"],
        "random",
    )
    parser.add_argument(
        "--attention",
        choices=["multi_head", "bahdanau", "luong"],
        default="multi_head",
        help="of the decoder: as in the official tutorial, additive, or multiplicative "
        "(default: multi_head)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""

    def load_tutorial() -> Any:
        from tutorials.nmt_with_attention.job import TUTORIAL

        return TUTORIAL

    return run_command(make_parser(), argv, load_tutorial, several=["both"])


if __name__ == "__main__":
    sys.exit(main())
