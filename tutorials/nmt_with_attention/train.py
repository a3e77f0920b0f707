"""Command: train the translator with built-in layers, with ours, or with both side by side."""

import argparse
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, NoReturn

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

LOG_DIR = "tensorboard_logs/nmt_with_attention"
INTERRUPTED, DIFFERS, BAD_INPUT = 130, 1, 2
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

exit status: 0 done; 1 --check found a difference; 2 bad input; 130 stopped by Ctrl-C
"""


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        fail(message)


def fail(message: str) -> NoReturn:
    """End with status 2 and one line on stderr."""
    print(f"train: error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(BAD_INPUT)


def whole_number(least: int) -> Any:
    """A type for argparse: int >= `least`."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {least}. Received: {text}"
            )
        return number

    return parse


def make_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = OneLineParser(
        prog="python -m tutorials.nmt_with_attention.train",
        description="Train a translator (encoder, attention, decoder) and show how good it is; by "
        "default twice, with keras.layers and with custom_layers, from the same weights on the "
        "same batches.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--layers",
        choices=["builtin", "custom", "both"],
        default="both",
        help="what to build from: keras.layers, custom_layers, or one after the other in every "
        "step (default: both)",
    )
    add(
        "--data",
        default="demo",
        metavar="{demo,spa-eng,ted-pt-en,PATH}",
        help="sentence pairs: generated Spanish-English, the file of the official tutorial, TED "
        "talks in Portuguese and English, or a tab-separated file or zip (default: demo)",
    )
    add(
        "--preset",
        choices=["quick", "tutorial"],
        default="quick",
        help="quick: 96 units, vocabulary 1,000, 400 steps; tutorial: the official 256 units, "
        "vocabulary 5,000, 2,000 steps; batches of 64 (default: quick)",
    )
    add("--steps", type=whole_number(0), help="training steps; 0 loads (default: the preset's)")
    add("--seed", type=whole_number(0), default=0, help="fixes weights and data order (default: 0)")
    add("--logdir", default=LOG_DIR, metavar="DIR", help=f"for all results (default: {LOG_DIR})")
    add(
        "--inspect-every",
        type=whole_number(0),
        default=100,
        metavar="N",
        help="look at gates, states, attention and all gradients in every N-th step, for TensorBoard; "
        "0 never (default: 100)",
    )
    add("--resume", action="store_true", help="go on from the last checkpoint in --logdir")
    add(
        "--translate",
        action="append",
        default=[],
        metavar="TEXT",
        help="a sentence to translate afterwards; may be repeated; with --steps 0 by the "
        "translators that are in --logdir",
    )
    add(
        "--check",
        action="store_true",
        help="exit with 1 when the two differ beyond tolerance: losses of the first 50 steps by "
        "2e-5, outputs and gradients of the first step by 1e-5, held-out loss by 0.003",
    )
    add(
        "--attention",
        choices=["multi_head", "bahdanau", "luong"],
        default="multi_head",
        help="of the decoder: as in the official tutorial, additive, or multiplicative "
        "(default: multi_head)",
    )
    add(
        "--beam",
        type=whole_number(1),
        default=1,
        metavar="N",
        help="hypotheses kept while translating; 1 is greedy (default: 1)",
    )
    return parser


def check_arguments(arguments: argparse.Namespace) -> None:
    """Refuse, before anything is loaded, what cannot work."""
    if arguments.check and arguments.layers != "both":
        fail(f"--check compares two models. Received: --layers {arguments.layers}. Use both.")
    if arguments.steps == 0 and not arguments.translate:
        fail("--steps 0 trains nothing. Add --translate TEXT, or ask for more steps.")
    folder = Path(arguments.logdir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        fail(f"--logdir cannot be written: {folder} ({error.strerror}). Name another folder.")


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    begun = time.monotonic()
    arguments = make_parser().parse_args(argv)
    check_arguments(arguments)

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begun:4.0f} s] {line}", flush=True)

    def show_warning(message: Any, *_: Any, **__: Any) -> None:
        print(f"train: warning: {' '.join(str(message).split())}", file=sys.stderr, flush=True)

    say("loading TensorFlow")
    import tensorflow as tf

    from tutorials.nmt_with_attention import job
    from tutorials.nmt_with_attention.text import has_words

    tf.get_logger().setLevel("ERROR")  # retracing is expected: batches differ in length
    for text in arguments.translate:
        if not has_words(text):
            fail(
                "--translate needs a sentence with a letter a-z or punctuation. "
                f"Received: {text!r}."
            )
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = show_warning
        try:
            return job.run(arguments, say)
        except job.BadInput as error:
            fail(str(error))
        except KeyboardInterrupt as error:
            say(job.after_interrupt(arguments, error))
            return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
