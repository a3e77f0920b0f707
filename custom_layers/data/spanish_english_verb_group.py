"""The English verb and its auxiliaries: do-support, "will", the forms of "be", "not"."""

from typing import NamedTuple

from custom_layers.data.spanish_english_inflection import english_third_person
from custom_layers.data.spanish_english_lexicon import Verb
from custom_layers.data.spanish_english_phrases import Words

BE = Verb("", "be", "was", ("present", "past", "future"))
FORMS_OF_BE = {
    "present": ("am", "are", "is", "are", "are"),
    "past": ("was", "were", "was", "were", "were"),
}


class VerbGroup(NamedTuple):
    """The parts of a verb group around a subject and an adverb: did [Ana] [never] buy."""

    before_subject: Words
    after_subject: Words
    main: Words


def verb_group(
    verb: Verb, tense: str, person: int, key: int, *, asked: bool = False, negated: bool = False
) -> VerbGroup:
    """Return the English verb in its three parts.

    Args:
        verb: English base form, with its preposition ("look for") if it has one.
        tense: "present", "past" or "future".
        person: 0 to 4, as in the Spanish conjugation.
        key: what links the main verb to the Spanish verb; auxiliaries have no counterpart.
        asked: the first auxiliary goes before the subject.
        negated: "not" follows the first auxiliary.
    """
    head, *preposition = verb.english.split()
    rest = tuple((word, 0) for word in preposition)
    base = ((head, key), *rest)
    no = (("not", 0),) if negated else ()
    if tense == "future":
        auxiliary = (("will", 0),)
    elif verb is BE:
        auxiliary, base = ((FORMS_OF_BE[tense][person], key),), ()
    elif asked or negated:
        does = "does" if person == 2 else "do"
        auxiliary = ((does if tense == "present" else "did", 0),)
    elif tense == "past":
        return VerbGroup((), (), ((verb.past, key), *rest))
    else:
        form = english_third_person(head) if person == 2 else head
        return VerbGroup((), (), ((form, key), *rest))
    if asked:
        return VerbGroup(auxiliary, no, base)
    return VerbGroup((), auxiliary + no, base)
