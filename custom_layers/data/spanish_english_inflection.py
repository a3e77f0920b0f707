"""Inflection of the demo corpus: Spanish and English forms from the words of the lexicon.

Persons are numbered yo 0, tú 1, él/ella 2, nosotros 3, ellos 4, on both sides.
"""

from functools import cache

from custom_layers.data.spanish_english_lexicon import (
    IRREGULAR_ENGLISH_PLURALS,
    IRREGULAR_SPANISH_PLURALS,
    IRREGULAR_VERBS,
)

ENDINGS = {
    ("present", "ar"): "o as a amos an",
    ("present", "er"): "o es e emos en",
    ("present", "ir"): "o es e imos en",
    ("past", "ar"): "é aste ó amos aron",
    ("past", "er"): "í iste ió imos ieron",
    ("past", "ir"): "í iste ió imos ieron",
}
FUTURE_ENDINGS = ("é", "ás", "á", "emos", "án")
BEFORE_E = {"c": "qu", "g": "gu", "z": "c"}  # busqué, jugué: the sound stays, the spelling changes
UNACCENTED = {"á": "a", "é": "e", "í": "i", "ó": "o", "ú": "u"}


@cache
def conjugate(infinitive: str, tense: str) -> tuple[str, ...]:
    """Return the five forms (yo, tú, él, nosotros, ellos) of a verb in a tense.

    Args:
        infinitive: Spanish infinitive, regular or listed in the lexicon's table of irregular verbs.
        tense: "present", "past" (the preterite) or "future".
    """
    present, past, future_stem = IRREGULAR_VERBS.get(infinitive, "- | - | -").split(" | ")
    if tense == "future":
        stem = infinitive if future_stem == "-" else future_stem
        return tuple(stem + ending for ending in FUTURE_ENDINGS)
    irregular = present if tense == "present" else past
    if irregular != "-":
        return tuple(irregular.split())
    stem, group = infinitive[:-2], infinitive[-2:]
    forms = [stem + ending for ending in ENDINGS[tense, group].split()]
    if (tense, group) == ("past", "ar") and stem[-1] in BEFORE_E:
        forms[0] = stem[:-1] + BEFORE_E[stem[-1]] + "é"
    return tuple(forms)


def is_tense_unclear(infinitive: str, person: int) -> bool:
    """Whether present and preterite look alike: compramos is "we buy" and "we bought"."""
    return conjugate(infinitive, "present")[person] == conjugate(infinitive, "past")[person]


@cache
def spanish_plural(word: str) -> str:
    """Return the plural of a Spanish noun or adjective: jardín, jardines; lápiz, lápices."""
    if word in IRREGULAR_SPANISH_PLURALS:
        return IRREGULAR_SPANISH_PLURALS[word]
    if word[-1] in "aeiouáéó":
        return word + "s"
    if word[-1] == "z":
        return word[:-1] + "ces"
    if word[-1] in "ns" and word[-2] in UNACCENTED:
        word = word[:-2] + UNACCENTED[word[-2]] + word[-1]
    return word + "es"


@cache
def spanish_adjective(word: str, gender: str, plural: bool) -> str:
    """Return the adjective's form for a gender and a number: inglés, inglesa, ingleses."""
    if gender == "f":
        if word.endswith("o"):
            word = word[:-1] + "a"
        elif word.endswith(("ol", "és")):
            word = word.replace("és", "es") + "a"
    return spanish_plural(word) if plural else word


@cache
def english_plural(word: str) -> str:
    """Return the plural of an English noun."""
    if word in IRREGULAR_ENGLISH_PLURALS:
        return IRREGULAR_ENGLISH_PLURALS[word]
    if word.endswith(("s", "sh", "ch", "x")) or word in {"tomato", "potato"}:
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


@cache
def english_third_person(base: str) -> str:
    """Return the third person singular of the present: goes, studies, has."""
    if base == "have":
        return "has"
    if base.endswith(("s", "sh", "ch", "x", "o")):
        return base + "es"
    if base.endswith("y") and base[-2] not in "aeiou":
        return base[:-1] + "ies"
    return base + "s"


def indefinite_article(next_word: str) -> str:
    """Return "a" or "an" by the sound with which the next word begins: a university, an old car."""
    begins_with_vowel = next_word[0].lower() in "aeiou" and not next_word.startswith("uni")
    return "an" if begins_with_vowel else "a"
