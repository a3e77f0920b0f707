"""The command of a translation tutorial: its options, and one line with status 2 for bad input."""

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from tutorials.options import whole_number, writable_folder

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

EXIT_STATUS = """\
exit status: 0 done; 1 --check found a difference; 2 bad input; 130 stopped by Ctrl-C
"""
INTERRUPTED, DIFFERS, BAD_INPUT = 130, 1, 2


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        fail(message)


def fail(message: str) -> NoReturn:
    """End with status 2 and one line on stderr."""
    print(f"train: error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(BAD_INPUT)


def make_parser(
    name: str,
    description: str,
    examples: str,
    presets: str,
    layers: Sequence[str],
    batches: str,
) -> argparse.ArgumentParser:
    """The options that the tutorials have in common.

    Args:
        name: of the tutorial, which is its folder's.
        description: first paragraph of `--help`.
        examples: commands, below the options.
        presets: what "quick" and "tutorial" stand for.
        layers: choices of `--layers`, the default last.
        batches: the default of `--batches`.
    """
    parser = OneLineParser(
        prog=f"python -m tutorials.{name}.train",
        description=description,
        epilog=f"{examples}\n{EXIT_STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--layers",
        choices=list(layers),
        default=layers[-1],
        help="what to build from: one of these, or several, one after the other in every step "
        f"(default: {layers[-1]})",
    )
    add(
        "--data",
        default="demo",
        metavar="{demo,spa-eng,ted-pt-en,PATH,tfds:FOLDER}",
        help="sentence pairs: generated Spanish-English, the file of the official tutorial, TED "
        "talks in Portuguese and English, a tab-separated file or zip, or a TranslateFolder of "
        "TensorFlow Datasets, tfds:FOLDER or tfds:es-en:FOLDER (default: demo)",
    )
    add(
        "--preset",
        choices=["quick", "tutorial"],
        default="quick",
        help=f"{presets} (default: quick)",
    )
    add("--steps", type=whole_number(0), help="training steps; 0 loads (default: the preset's)")
    add(
        "--batches",
        choices=["random", "bucketed", "equal-words"],
        default=batches,
        help="which sentences a step sees: any; those of like length, so that little is padding and a "
        "step is faster; of like length and as many words in each step, the fastest way to a good "
        f"translator (default: {batches})",
    )
    add("--seed", type=whole_number(0), default=0, help="fixes weights and data order (default: 0)")
    log_dir = f"tensorboard_logs/{name}"
    add("--logdir", default=log_dir, metavar="DIR", help=f"for all results (default: {log_dir})")
    add(
        "--inspect-every",
        type=whole_number(0),
        default=100,
        metavar="N",
        help="look at all activations, attention and all gradients in every N-th step, for "
        "TensorBoard; 0 never (default: 100)",
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
        help="exit with 1 when they differ beyond tolerance: losses of the first 50 steps by "
        "2e-5, outputs and gradients of the first step by 1e-5, held-out loss by 0.003",
    )
    add(
        "--beam",
        type=whole_number(1),
        default=1,
        metavar="N",
        help="hypotheses kept while translating; 1 is greedy (default: 1)",
    )
    return parser


def check_arguments(arguments: argparse.Namespace, several: Sequence[str]) -> None:
    """Refuse, before anything is loaded, what cannot work."""
    if arguments.check and arguments.layers not in several:
        fail(
            f"--check compares models. Received: --layers {arguments.layers}. "
            f"Use {' or '.join(several)}."
        )
    if arguments.steps == 0 and not arguments.translate:
        fail("--steps 0 trains nothing. Add --translate TEXT, or ask for more steps.")
    try:
        writable_folder(arguments.logdir)
    except argparse.ArgumentTypeError as error:
        fail(f"--logdir {error}. Name another folder.")


def run_command(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    load_tutorial: Callable[[], Any],
    several: Sequence[str],
) -> int:
    """Read the command line and do what it says; returns the exit status.

    Args:
        load_tutorial: imports and returns the `Tutorial`: TensorFlow takes seconds, and mistakes in the
            command line are told before it.
        several: the choices of `--layers` that train more than one model.
    """
    begun = time.monotonic()
    arguments = parser.parse_args(argv)
    check_arguments(arguments, several)

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begun:4.0f} s] {line}", flush=True)

    def show_warning(message: Any, *_: Any, **__: Any) -> None:
        print(f"train: warning: {' '.join(str(message).split())}", file=sys.stderr, flush=True)

    say("loading TensorFlow")
    import tensorflow as tf

    from tutorials.translation import job
    from tutorials.translation.text import has_words

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
            return job.run(load_tutorial(), arguments, say)
        except job.BadInput as error:
            fail(str(error))
        except KeyboardInterrupt as error:
            say(job.after_interrupt(arguments, error))
            return INTERRUPTED
