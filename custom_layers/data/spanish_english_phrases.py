"""Phrases of the demo corpus: noun phrases, subjects and adverbials in both languages at once.

Every word carries a key; a Spanish and an English word with the same key translate each other, and
key 0 has no counterpart. Word order is free on both sides, and the alignment comes for nothing.
"""

import itertools
import random
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from custom_layers.data.spanish_english_inflection import (
    english_plural,
    indefinite_article,
    spanish_adjective,
    spanish_plural,
)
from custom_layers.data.spanish_english_lexicon import (
    ADJECTIVES,
    ADJECTIVES_OF,
    CITIES,
    DETERMINERS,
    MASS_CLASSES,
    NAMES,
    NOUNS,
    NUMBERS,
    PRONOUN_TABLE,
    TIME_TABLE,
    Adjective,
    Noun,
)

Word = tuple[str, int]  # text, key of its translation (0: none)
Words = tuple[Word, ...]
T = TypeVar("T")

ENGLISH_SUBJECTS = ("I", "you", "he", "we", "they")
ENGLISH_DETERMINERS = {row[i]: row for row in DETERMINERS for i in (0, 1) if row[i] != "-"}
NUMBER_WORDS = {english: spanish for spanish, english in NUMBERS}


class Phrase(NamedTuple):
    """The same phrase in both languages, with what agrees with it: person (0 to 4) and gender."""

    source: Words = ()
    target: Words = ()
    person: int = 2
    gender: str = "m"


def after_preposition(preposition: str, words: Words) -> Words:
    """Put "a" or "de" before Spanish words, contracted with a masculine article: al, del."""
    if words[0][0] == "el":
        contracted = {"a": "al", "de": "del"}.get(preposition)
        if contracted:
            return ((contracted, words[0][1]), *words[1:])
    return ((preposition, 0), *words)


class PhraseBook:
    """Draws phrases from the lexicon with one generator of random numbers."""

    def __init__(self, generator: random.Random) -> None:
        self.random = generator
        self._keys = itertools.count(1)

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options, all equally likely."""
        return options[int(self.random.random() * len(options))]

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.random.random() < probability

    def linked(self, spanish: str, english: str) -> tuple[Words, Words]:
        """Return words that all translate each other, such as "a menudo" and "often"."""
        key = next(self._keys)
        return tuple((w, key) for w in spanish.split()), tuple((w, key) for w in english.split())

    def noun_phrase(
        self, noun: Noun, determiner: str = "", adjective: Adjective | None = None
    ) -> Phrase:
        """Return determiner, noun and adjective, agreeing.

        Args:
            noun: the head.
            determiner: English determiner; a plural one ("these", "three", "the plural", "" for a
                countable noun) makes the phrase plural.
            adjective: stands after the noun in Spanish and before it in English.
        """
        word, _, asked_plural = determiner.partition(" ")
        plural = bool(asked_plural) or (noun.kind not in MASS_CLASSES and not word)
        plural = plural or word in NUMBER_WORDS or word in {"some", "many", "these", "those"}
        source, target = [], []
        if word:
            key = next(self._keys)
            source.append((self._spanish_determiner(noun, word, plural), key))
            target.append((word, key))
        key = next(self._keys)
        source.append((spanish_plural(noun.spanish) if plural else noun.spanish, key))
        head = (english_plural(noun.english) if plural else noun.english, key)
        if adjective:
            key = next(self._keys)
            source.append((spanish_adjective(adjective.spanish, noun.gender, plural), key))
            target.append((adjective.english, key))
        target.append(head)
        if word == "a":
            target[0] = (indefinite_article(target[1][0]), target[0][1])
        return Phrase(tuple(source), tuple(target), 4 if plural else 2, noun.gender)

    def _spanish_determiner(self, noun: Noun, word: str, plural: bool) -> str:
        if word in NUMBER_WORDS:
            return NUMBER_WORDS[word]
        if noun.takes_el and word in {"the", "a"} and not plural:
            return "el" if word == "the" else "un"
        return ENGLISH_DETERMINERS[word][2 + (noun.gender == "f") + 2 * plural]

    def adjective_for(self, noun: Noun, probability: float) -> Adjective | None:
        """Return an adjective that suits the noun, or None."""
        classes = ADJECTIVES_OF[noun.kind]
        if not classes or not self.chance(probability):
            return None
        return self.pick(ADJECTIVES[self.pick(classes)])

    def thing(self, kinds: Sequence[str], determiners: Sequence[str]) -> Phrase:
        """Return a noun phrase of one of these classes; a mass noun drops what would count it."""
        noun = self.pick(NOUNS[self.pick(kinds)])
        if noun.kind in MASS_CLASSES:
            determiners = [d for d in determiners if d in {"", "the", "this", "my"}] or ["the"]
        determiner = self.pick(determiners)
        if determiner == "the" and noun.kind not in MASS_CLASSES and self.chance(0.25):
            return self.owned(noun, self.adjective_for(noun, 0.2))
        if determiner in {"the", "my", "your", "our"} and noun.kind not in MASS_CLASSES:
            determiner += " plural" * self.chance(0.25)
        return self.noun_phrase(noun, determiner, self.adjective_for(noun, 0.4))

    def owned(self, noun: Noun, adjective: Adjective | None = None) -> Phrase:
        """Return a thing and its owner: el perro de Ana, "Ana's dog"."""
        owner, phrase = self.one_person(), self.noun_phrase(noun, "the", adjective)
        source = phrase.source + after_preposition("de", owner.source)
        *before, (text, key) = owner.target
        target = (*before, (text + "'s", key), *phrase.target[1:])
        return Phrase(source, target, phrase.person, phrase.gender)

    def name(self) -> Phrase:
        """Return a person's name."""
        spanish, english, gender = self.pick(NAMES)
        return Phrase(*self.linked(spanish, english), gender=gender)

    def one_person(self) -> Phrase:
        """Return one person: Ana, my sister, the teacher."""
        draw = self.random.random()
        if draw < 0.5:
            return self.name()
        if draw < 0.75:
            return self.noun_phrase(self.pick(NOUNS["kin"]), self.pick(("my", "your", "our")))
        return self.noun_phrase(self.pick(NOUNS["person"]), "the")

    def people(self) -> Phrase:
        """Return one or several persons: Ana, Ana and Juan, our neighbors, the young teachers."""
        draw = self.random.random()
        if draw < 0.5:
            return self.one_person()
        if draw < 0.65:
            first = self.name()
            second = next(n for n in iter(self.name, None) if n.target[0][0] != first.target[0][0])
            and_ = self.linked("y", "and")
            gender = "f" if first.gender == second.gender == "f" else "m"
            return Phrase(
                first.source + and_[0] + second.source,
                first.target + and_[1] + second.target,
                4,
                gender,
            )
        if draw < 0.75:
            return self.owned(self.pick(NOUNS["kin"]))
        noun = self.pick(NOUNS[self.pick(("kin", "person", "person"))])
        determiner = self.pick(("my", "your", "our")) if noun.kind == "kin" else "the"
        determiner += " plural" * (not noun.singular_only and self.chance(0.6))
        return self.noun_phrase(noun, determiner, self.adjective_for(noun, 0.5))

    def subject(self, *, asked: bool = False) -> Phrase:
        """Return a subject; Spanish drops yo, tú and nosotros, English says them.

        Args:
            asked: the sentence is a question, and nobody asks about himself.
        """
        draw = self.random.random()
        if draw < 0.35:
            person = 1 if asked else self.pick((0, 0, 1, 3, 3))
            return Phrase((), ((ENGLISH_SUBJECTS[person], 0),), person, self.pick("mf"))
        if draw < 0.45:
            spanish, english, person, gender = self.pick(PRONOUN_TABLE)
            if not asked or person in {2, 4}:
                return Phrase(*self.linked(spanish, english), person=person, gender=gender)
        return self.people()

    def time(self, tense: str) -> Phrase:
        """Return an adverbial of time that goes with the tense."""
        spanish, english, links = self.pick(TIME_TABLE[tense]).split(" | ")
        keys = {pair: next(self._keys) for pair in links.split()}
        of_source: dict[int, int] = {}
        of_target: dict[int, int] = {}
        for pair, key in keys.items():
            left, right = map(int, pair.split("-"))
            key = of_target.get(right, key)
            of_source[left] = of_target[right] = key
        return Phrase(
            tuple((w, of_source.get(i, 0)) for i, w in enumerate(spanish.split())),
            tuple((w, of_target.get(i, 0)) for i, w in enumerate(english.split())),
        )

    def place(self, kinds: Sequence[str], preposition: str) -> Phrase:
        """Return where to ("a": to the beach) or where ("en": at the beach)."""
        kind = self.pick(kinds)
        if kind == "city":
            phrase, english = Phrase(*self.linked(*self.pick(CITIES))), "in"
        else:
            noun = self.pick(NOUNS[kind])
            determiner = self.pick(("the", "the", "the", "this"))
            phrase, english = (
                self.noun_phrase(noun, determiner, self.adjective_for(noun, 0.25)),
                noun.place,
            )
        english = "to" if preposition == "a" else english
        return Phrase(after_preposition(preposition, phrase.source), ((english, 0), *phrase.target))
