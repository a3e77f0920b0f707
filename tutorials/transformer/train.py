"""Command: train the Transformer with built-in layers, with ours, with KerasHub's, or side by side."""

import argparse
import sys
from typing import Any

from tutorials.translation.command import make_parser as make_shared_parser
from tutorials.translation.command import run_command

EXAMPLES = """\
examples:
  %(prog)s
        both translators on the generated demo corpus, some minutes on two cores
  %(prog)s --layers all
        a third one beside them, of KerasHub's encoder and decoder
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
    return make_shared_parser(
        "transformer",
        "Train a Transformer and show how well it translates; by default twice, with keras.layers and "
        "with custom_layers, from the same weights on the same batches.",
        EXAMPLES,
        "quick: 2 layers, d_model 128, 4 heads, 600 sub-words, 1,200 steps; tutorial: the official 4 "
        "layers, d_model 128, 8 heads, dff 512, 8,000 sub-words, 2,000 steps; batches of 64",
        ["builtin", "custom", "keras_hub", "all", "both"],
        "bucketed",
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""

    def load_tutorial() -> Any:
        from tutorials.transformer.job import TUTORIAL

        return TUTORIAL

    return run_command(make_parser(), argv, load_tutorial, several=["both", "all"])


if __name__ == "__main__":
    sys.exit(main())
