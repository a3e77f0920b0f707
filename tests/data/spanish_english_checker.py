"""A second opinion on the demo corpus: parses finished sentences, shares no code that made them.

Genders come from the lexicon's tables; plural and person are read off the endings by rules of
this file. `complaints` returns what a teacher would mark in red.
"""

import itertools
import re

from custom_layers.data import spanish_english_lexicon as lexicon
from custom_layers.data.spanish_english_inflection import conjugate

DETERMINERS = {}
for _line in (
    "el un este ese nuestro al del:m:s",
    "la una esta esa nuestra:f:s",
    "los unos estos esos nuestros muchos cuántos:m:p",
    "las unas estas esas nuestras muchas cuántas:f:p",
    "mi tu:mf:s",
    "mis tus dos tres cuatro cinco seis diez:mf:p",
):
    _words, _gender, _number = _line.split(":")
    DETERMINERS |= dict.fromkeys(_words.split(), (_gender, _number))
PRONOUNS = {
    "yo": 0,
    "tú": 1,
    "él": 2,
    "ella": 2,
    "nosotros": 3,
    "nosotras": 3,
    "ellos": 4,
    "ellas": 4,
}
ENGLISH_PRONOUNS = {"i": {0}, "you": {1}, "he": {2}, "she": {2}, "we": {3}, "they": {4}}
ODD_PERSONS = {
    **dict.fromkeys(
        ["soy", "estoy", "voy", "doy", "fui", "tuve", "traje", "estuve", "vi", "di", "quise"], 0
    ),
    **dict.fromkeys(["es", "fue", "tuvo", "trajo", "estuvo", "vio", "dio", "quiso"], 2),
}
CLITICS = {"me", "te", "nos", "le", "les", "lo", "la", "los", "las"}
AUXILIARIES = {"do", "does", "did", "will", "am", "is", "are", "was", "were"}
QUESTION_WORDS = {"who", "what", "when", "where", "why", "how"}


def _plural(word):
    if word in {"paraguas"}:
        return word
    if re.search("[aeiouáéíóú]$", word):
        return word + "s"
    special = {"joven": "jóvenes", "examen": "exámenes"}
    bare = (
        word.translate(str.maketrans("áéíóú", "aeiou")) if re.search("[áéíóú][ns]$", word) else word
    )
    return special.get(word) or re.sub("z$", "c", bare) + "es"


def _noun_forms():
    forms = {}
    for noun in (noun for nouns in lexicon.NOUNS.values() for noun in nouns):
        forms.setdefault(noun.spanish, set()).add((noun.gender, "s"))
        forms.setdefault(_plural(noun.spanish), set()).add((noun.gender, "p"))
    return forms


def _adjective_forms():
    forms = {}
    for adjective in (a for adjectives in lexicon.ADJECTIVES.values() for a in adjectives):
        masculine = adjective.spanish
        feminine = re.sub("o$", "a", masculine)
        feminine = {"español": "española", "inglés": "inglesa"}.get(masculine, feminine)
        for word, gender in ((masculine, "m"), (feminine, "f")):
            forms.setdefault(word, set()).add((gender, "s"))
            forms.setdefault(_plural(word), set()).add((gender, "p"))
    return forms


NOUNS, ADJECTIVES = _noun_forms(), _adjective_forms()
NAMES = {row[0] for row in lexicon.NAMES}
VERBS = {  # only to find the verb in a sentence, not to judge it
    form: infinitive
    for infinitive in (
        *(verb.spanish for verb in lexicon.TRANSITIVE_VERBS + lexicon.STATIVE_VERBS),
        *(verb.spanish for verb in lexicon.PERSON_VERBS + lexicon.GIVING_VERBS),
        *(verb.spanish for verb in lexicon.PLACE_VERBS),
        *("ser", "estar", "gustar"),
    )
    for tense in ("present", "past", "future")
    for form in conjugate(infinitive, tense)
}
PERSON_VERBS = {verb.spanish for verb in lexicon.PERSON_VERBS}
PRESENT = {form for form, verb in VERBS.items() if form in conjugate(verb, "present")}
THIRD_PERSON = {"likes", "has", "goes", "does", "studies", "washes"} | {
    verb.english.split()[0] + "s"
    for verb in lexicon.TRANSITIVE_VERBS
    + lexicon.STATIVE_VERBS
    + lexicon.PERSON_VERBS
    + lexicon.GIVING_VERBS
    + lexicon.PLACE_VERBS
}


def person_of(verb):
    """Person 0 to 4 by the ending alone."""
    if verb in ODD_PERSONS:
        return ODD_PERSONS[verb]
    for ending, person in (("mos", 3), ("n", 4), ("ste", 1), ("s", 1)):
        if verb.endswith(ending):
            return person
    return 0 if verb[-1] in "oéí" else 2  # hablo, hablé, viví, hablaré; habla, habló, hablará


def complaints(source, target):
    """Return the faults found in a pair, as short texts."""
    words = re.findall(r"[\wáéíóúñ]+", source)
    words = [word if word in NAMES else word.lower() for word in words]
    english = re.findall(r"[\w']+", target.lower())
    asked = source.endswith("?")
    found = list(_spelling(source, target, asked, english))
    for first, second in itertools.pairwise(words):
        if (
            first in DETERMINERS
            and second in NOUNS
            and not _agree({DETERMINERS[first]}, second, first)
        ):
            found.append(f"determiner {first} {second}")
        if first in NOUNS and second in ADJECTIVES and not NOUNS[first] & ADJECTIVES[second]:
            found.append(f"adjective {first} {second}")
    for first, second, third in zip(words, words[1:], words[2:], strict=False):
        if first in DETERMINERS and second in NOUNS and third in ADJECTIVES:
            number = DETERMINERS[first][1]
            if not any(n == number for _, n in ADJECTIVES[third]):
                found.append(f"number {first} {second} {third}")
    places = [i for i, word in enumerate(words) if word in VERBS]
    if len(places) != 1:
        return [*found, f"verbs {places}"]
    place = places[0]
    verb, infinitive = words[place], VERBS[words[place]]
    if (
        infinitive == "ser"
        and {"a", "al"} & set(words[place + 1 :])
        and {"go", "went"} & set(english)
    ):
        infinitive = "ir"
    expected = _subject_persons(words, place, asked, english, infinitive)
    if person_of(verb) not in expected:
        found.append(f"verb {verb} for {expected}")
    if infinitive in {"ser", "estar"}:
        states = [word for word in words[place + 1 : place + 2] if word in ADJECTIVES]
        number = "p" if person_of(verb) > 2 else "s"
        if not any(n == number for word in states for _, n in ADJECTIVES[word]):
            found.append(f"state {states}")
        subject = words[place + 2 :] if asked else words[:place]
        nouns = [word for word in subject if word in NOUNS]
        if nouns and states and "y" not in subject and subject[0] in DETERMINERS:
            genders = {gender for gender, _ in NOUNS[nouns[0]]}
            if not genders & {gender for gender, _ in ADJECTIVES[states[0]]}:
                found.append(f"state {nouns[0]} {states[0]}")
    has_clitic = place > 0 and words[place - 1] in CLITICS
    if infinitive in PERSON_VERBS and not has_clitic and not {"a", "al"} & set(words):
        found.append("personal a")
    if not asked and not AUXILIARIES & set(english):  # present or past without an auxiliary
        is_third = bool(THIRD_PERSON & set(english))
        past = verb not in PRESENT and {v.past for v in _english_verbs()} & set(english)
        if not past and is_third != (_english_subject(words, expected, infinitive) == {2}):
            found.append("third person s")
    return found


def _english_verbs():
    return (
        *lexicon.TRANSITIVE_VERBS, *lexicon.PERSON_VERBS, *lexicon.GIVING_VERBS,
        *lexicon.PLACE_VERBS,
        lexicon.Verb("gustar", "like", "liked", ()),
    )  # fmt: skip


def _agree(features, noun, determiner):
    if noun == "agua" and determiner in {"el", "al", "del", "un"}:
        return True
    return any(g in gender and n == number for gender, number in features for g, n in NOUNS[noun])


def _spelling(source, target, asked, english):
    if asked != target.endswith("?") or asked != source.startswith("¿"):
        yield "question marks"
    if re.search(r"\b(a|de) el\b", source.lower()):
        yield "contraction"
    if re.search(r"\ba (?!uni)[aeiou]|\ban ([^aeiou]|uni)", target.lower()):
        yield "a or an"
    if asked and english[0] not in AUXILIARIES | QUESTION_WORDS:
        yield "do-support"


def _number_of(words):
    """Person of the noun phrase at the start: 2 or 4, or None when there is none."""
    if words and words[0] in PRONOUNS:
        return PRONOUNS[words[0]]
    for i, word in enumerate(words[:2]):
        if word in NAMES or word in NOUNS:
            rest = words[i + 1 : i + 3]
            numbers = {n for _, n in NOUNS.get(word, ())}
            if words[0] in DETERMINERS:
                numbers = {DETERMINERS[words[0]][1]}
            return 4 if "p" in numbers or (word in NAMES and rest[:1] == ["y"]) else 2
    return None


def _subject_persons(words, place, asked, english, infinitive):
    after = words[place + 1 :]
    if infinitive == "gustar":
        return {_number_of(after)}
    if asked:
        if words[0] == "quién":
            return {2}
        position = next((i for i, word in enumerate(english) if word in AUXILIARIES), -1)
        if english[position + 1] in {"i", "you", "we"}:
            return ENGLISH_PRONOUNS[english[position + 1]]
        if infinitive in {"ser", "estar", "tener"} and after[0] not in DETERMINERS:
            after = after[1:] if after[0] not in NAMES | set(PRONOUNS) else after
        return {_number_of(after)}
    before = words[:place]
    times = ("todos los días", "cada semana", "los lunes", "los viernes", "los domingos", "ayer",
             "por la tarde", "por la noche", "anoche", "la semana pasada",
             "el mes pasado",
             "mañana", "el lunes pasado", "esta noche", "la próxima semana", "el domingo",
             "pronto", "hoy",
             "ahora", "a veces")  # fmt: skip
    for time in sorted(times, key=len, reverse=True):
        if " ".join(before).startswith(time):
            before = before[len(time.split()) :]
            break
    if (number := _number_of(before)) is not None and before[:1] != ["no"]:
        return {number}
    dropped = {person for word in english[:4] for person in ENGLISH_PRONOUNS.get(word, ())}
    return dropped & {0, 1, 3}


def _english_subject(words, expected, infinitive):
    if infinitive != "gustar":
        return expected
    if "le" in words:
        return {2}
    return {4} if "les" in words else {0}
