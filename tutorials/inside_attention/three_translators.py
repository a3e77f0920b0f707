"""The translator three times, alike but for its attention, and what its attention finds.

The generated corpus knows which words translate each other, so that the place of the largest weight
can be called right or wrong. A translator is never told.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

import custom_layers
from custom_layers.data import SentencePairs
from custom_layers.data.spanish_english_demo import Translation, demo_translations
from tutorials.nmt_with_attention.data import Preset, TranslationData, learning_rate_of
from tutorials.nmt_with_attention.model import Attended, Translator, build_translator

ATTENTIONS = {"additive": "bahdanau", "multiplicative": "luong", "one head": "multi_head"}


def three_from_one_start(data: TranslationData, preset: Preset, seed: int) -> dict[str, Translator]:
    """Untrained translators whose weights are equal, those of the attention apart."""
    translators: dict[str, Translator] = {}
    start: list[Any] = []
    for name, attention in ATTENTIONS.items():
        keras.utils.set_random_seed(seed)
        translator = build_translator(
            custom_layers,
            data.context_vocabulary,
            data.target_vocabulary,
            preset.units,
            attention,
            learning_rate_of(preset, preset.steps),
        )
        decoder = translator.decoder
        alike = (translator.encoder, decoder.embedding, decoder.rnn, decoder.output_layer)
        start = start or [layer.get_weights() for layer in alike]
        for layer, weights in zip(alike, start, strict=True):
            layer.set_weights(weights)
        translators[name] = translator
    return translators


def links_of(translation: Translation) -> dict[int, set[int]]:
    """Row of an attention picture -> the columns that are right; rows without any are left out.

    Rows are the words of the translation. Columns are the words to translate, after "[START]" and,
    in a question, the opening mark.
    """
    first = 2 if translation.source.startswith("¿") else 1
    links: dict[int, set[int]] = {}
    for source, target in translation.alignment:
        links.setdefault(target, set()).add(source + first)
    return links


def true_links(pairs: SentencePairs, corpus_size: int) -> list[dict[int, set[int]]]:
    """`links_of` each pair, out of the first `corpus_size` pairs of the generated corpus."""
    corpus = itertools.islice(demo_translations(), corpus_size)
    by_source = {translation.source: translation for translation in corpus}
    return [links_of(by_source[source]) for source in pairs.source]


def crossing(links: Mapping[int, set[int]]) -> set[int]:
    """The rows whose link crosses another one: words that change places."""
    ends = [(row, column) for row, columns in links.items() for column in columns]
    return {r for (r, c), (s, d) in itertools.permutations(ends, 2) if (r - s) * (c - d) < 0}


class AlignmentQuality(NamedTuple):
    """Over all words of the translations whose counterpart is known.

    right: share whose largest weight lies on a right word.
    right_or_beside: likewise, on a right word or next to it.
    right_where_crossing: likewise as `right`, of the words that change places alone.
    weight: mean of the weight on the right words.
    entropy: mean entropy of the weights, in nats; about 2.2 if all words had equal weights.
    """

    right: float
    right_or_beside: float
    right_where_crossing: float
    weight: float
    entropy: float


def quality_of(
    attended: Sequence[Attended], links: Sequence[Mapping[int, set[int]]]
) -> AlignmentQuality:
    """Compare weights with what is right."""
    rows = [
        (item.weights[row], sorted(columns), row in crossing(of_sentence))
        for item, of_sentence in zip(attended, links, strict=True)
        for row, columns in of_sentence.items()
    ]
    distance = np.array(
        [np.abs(weights.argmax() - np.array(right)).min() for weights, right, _ in rows]
    )
    crosses = np.array([flag for *_, flag in rows])
    return AlignmentQuality(
        right=float(np.mean(distance == 0)),
        right_or_beside=float(np.mean(distance <= 1)),
        right_where_crossing=float(np.mean(distance[crosses] == 0)),
        weight=float(np.mean([weights[right].sum() for weights, right, _ in rows])),
        entropy=float(np.mean([-np.sum(w * np.log(np.maximum(w, 1e-30))) for w, *_ in rows])),
    )


def diagonal(attended: Sequence[Attended]) -> list[Attended]:
    """A guess that knows no words: all weight on the word as far into the sentence as this one."""
    guesses = []
    for item in attended:
        rows, columns = item.weights.shape
        first = 2 if "¿" in item.context_words[1] else 1
        marks = first + 2  # the opening ones, the full stop and "[END]"
        place = np.arange(rows) / max(rows - 3, 1) * (columns - marks - 1)
        chosen = first + np.minimum(np.rint(place), columns - marks - 1).astype(int)
        guesses.append(item._replace(weights=np.eye(columns)[chosen]))
    return guesses


def qualities(
    attended: Mapping[str, Sequence[Attended]], links: Sequence[Mapping[int, set[int]]]
) -> dict[str, AlignmentQuality]:
    """`quality_of` each translator, and of the guess "diagonal"."""
    guess = diagonal(next(iter(attended.values())))
    everyone = {**attended, "diagonal": guess}
    return {name: quality_of(weights, links) for name, weights in everyone.items()}


def table(quality: Mapping[str, AlignmentQuality], accuracy: Mapping[str, float]) -> str:
    """What was found, as text."""
    lines = ["               accuracy  right  or beside  crossing  weight on it  entropy"]
    for name, found in quality.items():
        words_right = f"{accuracy[name]:.4f}" if name in accuracy else ""
        row = "{:14} {:>8} {:6.3f} {:10.3f} {:9.3f} {:13.3f} {:8.2f}"
        lines.append(row.format(name, words_right, *found))
    return "\n".join(lines)


def telling(pairs: SentencePairs, links: Sequence[Mapping[int, set[int]]], count: int) -> list[int]:
    """The first sentences of 6 to 8 words in which words change places, by their numbers."""
    numbered = enumerate(zip(pairs.source, links, strict=True))
    found = [i for i, (text, ways) in numbered if 6 <= len(text.split()) <= 8 and crossing(ways)]
    return found[:count]
