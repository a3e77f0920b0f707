"""Clauses of the demo corpus: each method draws one kind of sentence, its words in both orders."""

from collections.abc import Callable

from custom_layers.data.spanish_english_inflection import (
    conjugate,
    is_tense_unclear,
    spanish_adjective,
)
from custom_layers.data.spanish_english_lexicon import (
    ADJECTIVES,
    ADJECTIVES_OF,
    FREQUENCY_TABLE,
    GIVING_VERBS,
    MASS_CLASSES,
    NOUNS,
    PERSON_CLITICS,
    PERSON_VERBS,
    PLACE_VERBS,
    SENSATION_TABLE,
    STATIVE_VERBS,
    THING_CLITICS,
    TRANSITIVE_VERBS,
    Verb,
)
from custom_layers.data.spanish_english_phrases import (
    ENGLISH_SUBJECTS,
    Phrase,
    PhraseBook,
    Words,
    after_preposition,
)
from custom_layers.data.spanish_english_verb_group import BE, verb_group

Clause = tuple[Words, Words, bool]  # Spanish words, English words, whether it is a question

LIKE = Verb("gustar", "like", "liked", ("present", "past", "future"))
ANY_DETERMINER = ("a", "a", "a", "the", "the", "the", "this", "that", "these", "my", "your", "our")
COUNTING = ("two", "three", "four", "five", "six", "ten", "some", "many")
HABITUAL = ("", "", "", "the", "my", "our", *COUNTING)
THING_VERBS = tuple(verb for verb in TRANSITIVE_VERBS if verb.spanish != "ver")  # lo vi: it? him?
DWELLING = frozenset({"vivir", "trabajar", "estudiar"})  # natural in the present without an adverb
DATIVE = ("me", "te", "le", "nos", "les")
NOTHING = Phrase()


class ClauseBook(PhraseBook):
    """Draws clauses; `clause` draws one of any kind."""

    def clause(self) -> Clause:
        """Return the Spanish words, the English words, and whether they are a question."""
        draw = self.random.random()
        for share, make in self._shares():
            if draw < share:
                return make()
            draw -= share
        return self.transitive()

    def _shares(self) -> tuple[tuple[float, Callable[[], Clause]], ...]:
        return (
            (0.14, self.thing_pronoun),
            (0.09, self.person_object),
            (0.09, self.person_pronoun),
            (0.13, self.place_clause),
            (0.06, self.being),
            (0.06, self.feeling),
            (0.03, self.sensation),
            (0.09, self.liking),
            (0.07, self.giving),
            (0.09, self.wh_question),
        )

    # --- kinds of sentences -------------------------------------------------------------------

    def transitive(self) -> Clause:
        """Ana never buys red apples. Did you find my keys?"""
        if self.chance(0.2):
            verb = self.pick(STATIVE_VERBS)
            thing = self.thing(verb.objects, (*ANY_DETERMINER, *COUNTING))
            return self._sentence(verb, "present", thing, stative=True)
        verb, tense = self._verb(TRANSITIVE_VERBS)
        determiners = HABITUAL if tense == "present" else (*ANY_DETERMINER, *COUNTING)
        return self._sentence(verb, tense, self.thing(verb.objects, determiners))

    def thing_pronoun(self) -> Clause:
        """Lo compré ayer: I bought it yesterday."""
        verb, tense = self._verb(THING_VERBS)
        return self._sentence(verb, tense, NOTHING, clitic=self.linked(*self.pick(THING_CLITICS)))

    def person_object(self) -> Clause:
        """Visité a mi tía: I visited my aunt."""
        verb, tense = self._verb(PERSON_VERBS)
        people = self.people()
        whom = Phrase(after_preposition("a", people.source), people.target)
        return self._sentence(verb, tense, whom, stative=verb.tenses == ("present",))

    def person_pronoun(self) -> Clause:
        """Ana nos ayudará: Ana will help us."""
        verb, tense = self._verb(PERSON_VERBS)
        spanish, english, person = self.pick(PERSON_CLITICS)
        subject = self._subject_other_than(person)
        clitic = self.linked(spanish, english)
        stative = verb.tenses == ("present",)
        return self._sentence(verb, tense, NOTHING, subject, clitic=clitic, stative=stative)

    def place_clause(self) -> Clause:
        """Iremos a la playa: We will go to the beach."""
        verb, tense = self._verb(PLACE_VERBS)
        place = self.place(verb.objects, verb.preposition)
        stative = tense == "present" and verb.spanish in DWELLING
        return self._sentence(verb, tense, place, stative=stative)

    def giving(self) -> Clause:
        """Le di el libro a Ana: I gave the book to Ana. Me envió una carta: He sent me a letter."""
        verb, tense = self._verb(GIVING_VERBS)
        kinds = ("text", "image") if verb.spanish == "enviar" else ("text", "image", "small", "art")
        gift = self.thing(kinds, ("a", "a", "the", "this", "two", "three", "some"))
        if self.chance(0.5):
            spanish, english, person = self.pick(PERSON_CLITICS[:3])
            clitic = self.linked(spanish, english)
            subject = self._subject_other_than(person)
            return self._sentence(verb, tense, gift, subject, clitic=clitic)
        people = self.people()
        le = (DATIVE[people.person], 0)
        given = Phrase(
            gift.source + after_preposition("a", people.source),
            (*gift.target, ("to", 0), *people.target),
        )
        return self._sentence(verb, tense, given, clitic=((le,), ()))

    def being(self) -> Clause:
        """La casa de Ana es grande: Ana's house is big."""
        tense = "present"
        draw = self.random.random()
        if draw < 0.3:
            noun = self.pick(NOUNS["person"])
            subject, classes = self.people(), ADJECTIVES_OF[noun.kind]
            if self.chance(0.3):
                person = self.pick((0, 1, 3))
                english = ((ENGLISH_SUBJECTS[person], 0),)
                subject = Phrase((), english, person, self.pick("mf"))
        else:
            if draw < 0.6:
                tense = self.pick(("past", "future"))
            kind = self.pick(("event", "show") if tense != "present" else _DESCRIBED)
            noun = self.pick(NOUNS[kind])
            determiner = self.pick(("the", "this", "these", "that", "my", "your", "our"))
            if noun.kind in MASS_CLASSES and determiner == "these":
                determiner = "this"
            owned = self.chance(0.3) and noun.kind not in MASS_CLASSES
            subject = self.owned(noun) if owned else self.noun_phrase(noun, determiner)
            classes = ADJECTIVES_OF[kind]
        adjective = self._agreeing_adjective(self.pick(classes), subject)
        return self._be("ser", tense, subject, adjective)

    def feeling(self) -> Clause:
        """Mis hermanas están cansadas hoy: My sisters are tired today."""
        asked = self.chance(0.25)
        subject = self.subject(asked=asked)
        tense = self.pick(("present", "past", "future"))
        adjective = self._agreeing_adjective("mood", subject)
        return self._be("estar", tense, subject, adjective, asked=asked)

    def sensation(self) -> Clause:
        """Tengo hambre: I am hungry."""
        asked = self.chance(0.25)
        spanish, english = self.pick(SENSATION_TABLE.split(", ")).split()
        words = Phrase(*self.linked(spanish, english.replace("_", " ")))
        tense = self.pick(("present", "past", "future"))
        return self._be("tener", tense, self.subject(asked=asked), words, asked=asked)

    def liking(self) -> Clause:
        """A Ana no le gustan los perros: Ana does not like dogs."""
        tense = self.pick(("present", "present", "past", "future"))
        if tense == "present" and self.chance(0.7):  # in general: no article in English
            noun = self.pick(NOUNS[self.pick(_LIKED)])
            the = "the" if noun.kind in MASS_CLASSES else "the plural"
            phrase = self.noun_phrase(noun, the, self.adjective_for(noun, 0.4))
            source = ((phrase.source[0][0], 0), *phrase.source[1:])
            liked = phrase._replace(source=source, target=phrase.target[1:])
        else:
            kinds = ("show", "text", "art", "clothes", "song", "press")
            only_this = ("this", "these", "that", "those")
            liked = self.thing(kinds, only_this if tense == "present" else (*only_this, "the"))
        if self.chance(0.5):
            person = self.pick((0, 1, 3))
            dative, who = self.linked(DATIVE[person], ENGLISH_SUBJECTS[person])
            source, subject = dative, Phrase((), who, person)
        else:
            subject = self.subject()
            while subject.person not in {2, 4}:
                subject = self.subject()
            dative = after_preposition("a", subject.source)
            source = (*dative, (DATIVE[subject.person], 0))
        negated = self.chance(0.25)
        asked = not negated and subject.person not in {0, 3} and self.chance(0.3)
        verb = conjugate("gustar", tense)[liked.person]
        key = self.linked(verb, "like")[0]
        no = (("no", 0),) if negated else ()
        if negated:
            source = source[:-1] + no + source[-1:]
        group = verb_group(LIKE, tense, subject.person, key[0][1], asked=asked, negated=negated)
        target = group.before_subject + subject.target + group.after_subject + group.main
        target += liked.target
        return source + key + liked.source, target, asked

    def wh_question(self) -> Clause:
        """¿Dónde vive tu hermana?: Where does your sister live?"""
        draw = self.random.random()
        if draw < 0.2:
            verb, tense = self._verb(tuple(v for v in PLACE_VERBS if v.preposition == "en"))
            return self._question(("dónde", "where"), verb, tense, NOTHING)
        if draw < 0.4:
            verb, tense = self._verb(TRANSITIVE_VERBS)
            return self._question(("qué", "what"), verb, tense, NOTHING)
        verb, tense = self._verb(tuple(v for v in TRANSITIVE_VERBS if "past" in v.tenses))
        tense = self.pick([name for name in verb.tenses if name != "present"])
        if draw < 0.55:
            verb, tense = self._verb(PERSON_VERBS)
            return self._question(("a quién", "who"), verb, tense, NOTHING)
        thing = self.thing(verb.objects, ANY_DETERMINER)
        if draw < 0.7:
            return self._question(("cuándo", "when"), verb, tense, thing, timed=False)
        if draw < 0.8:
            return self._question(("por qué", "why"), verb, tense, thing, timed=False)
        if draw < 0.9:
            who = Phrase(*self.linked("quién", "who"))
            return (*self._sentence(verb, tense, thing, who, plain=True)[:2], True)
        kinds = [kind for kind in verb.objects if kind not in MASS_CLASSES]
        if not kinds:
            return self._question(("qué", "what"), verb, tense, NOTHING)
        counted = self.noun_phrase(self.pick(NOUNS[self.pick(kinds)]))
        how_many = self.linked("cuántas" if counted.gender == "f" else "cuántos", "how many")
        asked = (how_many[0] + counted.source, how_many[1] + counted.target)
        return self._question(asked, verb, tense, NOTHING)

    # --- assembly -----------------------------------------------------------------------------

    def _sentence(
        self,
        verb: Verb,
        tense: str,
        after: Phrase,
        subject: Phrase | None = None,
        *,
        clitic: tuple[Words, Words] = ((), ()),
        stative: bool = False,
        plain: bool = False,
    ) -> Clause:
        """Put subject, verb and what follows it in order, as a statement or a question."""
        draw = 0.99 if plain else self.random.random()
        asked = draw < 0.2 and (subject is None or subject.person not in {0, 3})
        counted = bool(after.target) and after.target[0][0] in COUNTING
        negated = 0.2 <= draw < 0.38 and not counted  # nobody denies five apples
        subject = subject or self.subject(asked=asked)
        form = conjugate(verb.spanish, tense)[subject.person]
        spanish_verb = self.linked(form, verb.english.split()[0])[0]
        key = spanish_verb[0][1]
        nothing: Words = ()
        first = before = last = often = nothing
        time = NOTHING
        unclear = is_tense_unclear(verb.spanish, subject.person)
        habit = tense == "present" and not stative
        if habit and not asked and not negated and not plain and self.chance(0.6):
            spanish, english, where = self.pick(FREQUENCY_TABLE)
            words, often = self.linked(spanish, english)
            first, before, last = (
                (words if where == place else ()) for place in ("first", "before", "last")
            )
        elif habit or unclear or (not stative and self.chance(0.5)):
            time = self.time(tense)
        if not asked and time is not NOTHING and not plain and self.chance(0.45):
            first, last = time.source, ()
        elif time is not NOTHING:
            last = time.source
        no = (("no", 0),) if negated else ()
        source = no + before + clitic[0] + spanish_verb
        source = source + subject.source if asked else subject.source + source
        source = first + source + after.source + last
        group = verb_group(verb, tense, subject.person, key, asked=asked, negated=negated)
        target = group.before_subject + subject.target + group.after_subject + often + group.main
        target += clitic[1] + after.target
        return source, target + time.target, asked

    def _question(
        self,
        asked: tuple[str, str] | tuple[Words, Words],
        verb: Verb,
        tense: str,
        after: Phrase,
        *,
        timed: bool = True,
    ) -> Clause:
        """Put a question word first, then the verb, then the subject."""
        wh = self.linked(*asked) if isinstance(asked[0], str) else asked
        subject = self.subject(asked=True)
        form = conjugate(verb.spanish, tense)[subject.person]
        spanish_verb = self.linked(form, verb.english)[0]
        time = NOTHING
        if timed and (self.chance(0.6) or (tense == "present" and not after.source)):
            time = self.time(tense)
        group = verb_group(verb, tense, subject.person, spanish_verb[0][1], asked=True)
        source = wh[0] + spanish_verb + subject.source + after.source + time.source
        target = wh[1] + group.before_subject + subject.target + group.main + after.target
        return source, target + time.target, True

    def _be(
        self, spanish: str, tense: str, subject: Phrase, state: Phrase, asked: bool | None = None
    ) -> Clause:
        """Put subject, form of "be" and state in order; the question inverts both languages."""
        if asked is None:
            asked = subject.person in {1, 2, 4} and self.chance(0.25)
        negated = not asked and self.chance(0.25)
        copula = self.linked(conjugate(spanish, tense)[subject.person], "be")[0]
        key = copula[0][1]
        time = NOTHING
        if spanish != "ser" and self.chance(0.6):
            time = self.time("state" if tense == "present" else tense)
        group = verb_group(BE, tense, subject.person, key, asked=asked, negated=negated)
        target = group.before_subject + subject.target + group.after_subject + group.main
        target += state.target + time.target
        if asked:
            return copula + state.source + subject.source + time.source, target, True
        no = (("no", 0),) if negated else ()
        rest = subject.source + no + copula + state.source
        if self.chance(0.4):
            return time.source + rest, target, False
        return rest + time.source, target, False

    def _verb(self, verbs: tuple[Verb, ...]) -> tuple[Verb, str]:
        verb = self.pick(verbs)
        return verb, self.pick(verb.tenses)

    def _subject_other_than(self, person: int) -> Phrase:
        """Return a subject for which the object pronoun is not reflexive."""
        excluded = {0, 3} if person in {0, 3} else {person} if person == 1 else set()
        subject = self.subject()
        while subject.person in excluded:
            subject = self.subject()
        return subject

    def _agreeing_adjective(self, kind: str, subject: Phrase) -> Phrase:
        adjective = self.pick(ADJECTIVES[kind])
        form = spanish_adjective(adjective.spanish, subject.gender, subject.person in {3, 4})
        return Phrase(*self.linked(form, adjective.english))


_DESCRIBED = (
    "event",
    "show",
    "text",
    "large",
    "small",
    "clothes",
    "building",
    "drink",
    "dish",
    "fruit",
    "town",
    "open",
    "animal",
)
_LIKED = (
    "drink",
    "dish",
    "fruit",
    "food",
    "animal",
    "plant",
    "event",
    "show",
    "clothes",
    "song",
    "text",
)
