"""How good are the translations: BLEU on held-out pairs, and a table that one can read."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import sacrebleu

from tutorials.translation.text import references_of

BATCH = 64


def translate_all(translator: Any, texts: Sequence[str], **options: Any) -> list[str]:
    """Translate any number of sentences, `BATCH` at a time. `options` go to `translate`."""
    translations: list[str] = []
    for first in range(0, len(texts), BATCH):
        batch = list(texts[first : first + BATCH])
        translations += translator.translate(batch, check=False, **options)
    return translations


def bleu_of(
    translator: Any, sources: Sequence[str], targets: Sequence[str], **options: Any
) -> float:
    """Corpus BLEU (0 to 100, sacreBLEU's default tokenizer) of the translations of `sources`.

    The references are standardised as the model's words are: lower case, no accents.
    """
    translations = translate_all(translator, sources, **options)
    return float(sacrebleu.corpus_bleu(translations, [references_of(targets)]).score)


def bleu_metric(pairs: Any, limit: int, **options: Any) -> Callable[[Any], float]:
    """A function of the translator: its BLEU on the first `limit` of `pairs`."""
    sources, targets = list(pairs.source[:limit]), list(pairs.target[:limit])
    return lambda translator: bleu_of(translator, sources, targets, **options)


class Translations(NamedTuple):
    """Sentences, what they should become, and what each model makes of them.

    references: None where nobody knows them.
    by_model: name of the model -> its translations.
    """

    sources: list[str]
    references: list[str] | None
    by_model: dict[str, list[str]]

    def lines(self) -> list[str]:
        """Text for the screen, one block a sentence; equal translations stand once."""
        lines = []
        for number, source in enumerate(self.sources):
            entries = [("", source)]
            if self.references is not None:
                entries.append(("reference", self.references[number]))
            answers: dict[str, list[str]] = {}
            for name, translations in self.by_model.items():
                answers.setdefault(translations[number], []).append(name)
            entries += [(" = ".join(names), answer) for answer, names in answers.items()]
            width = max(len(" = ".join(self.by_model)), len("reference"))
            for label, text in entries:
                mark = f"{number + 1:2}." if not label else "   "
                lines.append(f"{mark} {label:{width}}  {text}")
        return lines

    def markdown(self) -> str:
        """A table with a column for each model."""
        columns = {"source": self.sources}
        if self.references is not None:
            columns["reference"] = self.references
        columns |= self.by_model
        rows = [list(columns), ["---"] * len(columns), *zip(*columns.values(), strict=True)]
        return "\n".join(
            "| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows
        )


def translations_of(
    translators: Mapping[str, Any],
    sources: Sequence[str],
    targets: Sequence[str] | None = None,
    **options: Any,
) -> Translations:
    """Let every model translate `sources`; `options` go to `translate`."""
    return Translations(
        list(sources),
        None if targets is None else references_of(targets),
        {name: translate_all(model, sources, **options) for name, model in translators.items()},
    )
