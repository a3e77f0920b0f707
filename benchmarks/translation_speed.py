"""How fast a trained Transformer translates: with its cache, without, and as the official tutorial does.

    python -m benchmarks.translation_speed tensorboard_logs/transformer/custom/translator.keras

All ways write the same number of tokens, with nothing that ends a sentence early, in turns in one
process; the medians are of all rounds. Nothing is timed before it has run once.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.harness import in_turns
from custom_layers.data import load_sentence_pairs
from custom_layers.decoding import greedy
from tutorials.transformer.subwords import Subwords
from tutorials.translation.export import load_translator

NO_END = -1  # a token that no sentence holds


def writer(model: Any, cached: bool, tokens: int, room: int) -> Callable[[Any], Any]:
    """A graph that writes `tokens` tokens for each sentence, with room for `room` in the cache."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def write(texts: Any) -> Any:
        context_tokens = model.context_text.tokens_of(texts).to_tensor()
        words = context_tokens != 0
        context = model.encode(context_tokens, words)
        make = model.cached_step if cached else model.whole_prefix_step
        step, state = make(context, words, tf.shape(context)[0], room)
        shared = {"start": Subwords.start, "end": NO_END, "max_steps": tokens}
        return greedy(step, state, **shared).tokens

    return write


def eager_writer(model: Any, tokens: int) -> Callable[[Any], Any]:
    """As in the official tutorial: the whole model on the whole prefix, eagerly, token by token."""

    def write(texts: Any) -> Any:
        context_tokens = model.context_text.tokens_of(texts).to_tensor()
        prefix = np.full((len(texts), 1), Subwords.start, "int32")
        for _ in range(tokens):
            logits = model((context_tokens, prefix), training=False)
            best = tf.argmax(logits[:, -1], axis=-1, output_type=tf.int32)
            prefix = np.concatenate([prefix, best[:, None]], axis=1)
        return prefix[:, 1:]

    return write


def equal_tokens(model: Any, texts: Sequence[str], **options: Any) -> int:
    """For how many sentences cached decoding gives the tokens that the whole prefix gives."""
    decode = {
        cached: tf.function(lambda t, c=cached: model.decode(t, cached=c, **options)[1])
        for cached in (True, False)
    }
    equal = 0
    for first in range(0, len(texts), 50):
        batch = tf.constant(list(texts[first : first + 50]))
        one, other = (decode[cached](batch).numpy() for cached in (True, False))
        width = max(one.shape[1], other.shape[1])
        one, other = (np.pad(t, [(0, 0), (0, width - t.shape[1])]) for t in (one, other))
        equal += int((one == other).all(axis=1).sum())
    return equal


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("translator", help="a .keras file that the Transformer's command wrote")
    parser.add_argument("--data", default="demo", help="as the tutorial's (default: demo)")
    parser.add_argument("--rounds", type=int, default=20, help="(default: 20)")
    parser.add_argument("--tokens", type=int, default=20, help="of each sentence (default: 20)")
    parser.add_argument("--sentences", type=int, default=500, help="for equality (default: 500)")
    arguments = parser.parse_args()

    model = load_translator(arguments.translator)
    sources = [s for s in load_sentence_pairs(arguments.data).source if 4 <= len(s.split()) <= 12]
    chosen = np.random.default_rng(0).permutation(len(sources))
    texts = [sources[i] for i in chosen[: max(arguments.sentences, 100)]]
    one, hundred, count = tf.constant(texts[:1]), tf.constant(texts[:100]), arguments.tokens
    room = model.max_tokens

    words = int(model.context_text.tokens_of(one).row_lengths()[0])
    as_decoded = min(room, max(count, 2 * words + 10))  # the room that `decode` takes
    graphs = {
        "cached, in the graph": writer(model, True, count, as_decoded),
        "whole prefix, in the graph": writer(model, False, count, as_decoded),
        "whole prefix, eager (official)": eager_writer(model, count),
    }
    found = in_turns({n: lambda w=w: w(one) for n, w in graphs.items()}, arguments.rounds, 1)
    print(f"one sentence, {count} tokens")
    for name, values in found.items():
        print(f"  {name:32} {1e3 * statistics.median(values):8.1f} ms")

    lengths = np.arange(10, min(room, 120) + 1, 10)
    graphs = {str(n): writer(model, True, int(n), room) for n in lengths}
    found = in_turns({n: lambda w=w: w(one) for n, w in graphs.items()}, 3 * arguments.rounds)
    least = [1e3 * float(v.min()) for v in found.values()]  # what else the machine does only adds
    half = len(lengths) // 2
    for part in (slice(half), slice(half, None)) if half > 1 else ():
        (slope, _), span = np.polyfit(lengths[part], least[part], 1), lengths[part]
        print(f"a token more: {slope:.2f} ms, over {span[0]} to {span[-1]} tokens")

    found = in_turns(
        {"100": lambda: model.translate([t.decode() for t in hundred.numpy()], check=False)},
        arguments.rounds,
    )
    rate = 100 / statistics.median(found["100"])
    print(f"a batch of 100 sentences: {rate:.0f} sentences a second")

    texts = texts[: arguments.sentences]
    for options in ({"method": "greedy"}, {"method": "beam"}):
        equal = equal_tokens(model, texts, **options)
        print(f"{options['method']}: equal with and without the cache: {equal} of {len(texts)}")


if __name__ == "__main__":
    main()
