r"""A generated play: a text of any length for a model of characters, which needs no file.

It has what such a model can learn bit by bit: letters that make words, words that make sentences in
which verbs agree with their subjects, lines of some forty characters, and speeches under a name in
capitals with a colon:

    OSWIN:
    The quiet river keeps your secret;
    no lanterns wake before the dawn.

Nobody wrote it, and it means nothing.
"""

import random

from custom_layers.data.data_error import DataError

NAMES = (
    *("OSWIN", "MARIBEL", "THE MILLER", "CORVINA", "LEOFRIC", "OLD HALDEN", "ISAURA", "TOBIN"),
    *("FIRST FERRYMAN", "SECOND FERRYMAN", "DAME ODILE", "RUFUS"),
)
NOUNS = (
    *("river", "lantern", "garden", "captain", "shadow", "letter", "window", "winter", "brother"),
    *(
        "sister",
        "candle",
        "harbour",
        "mountain",
        "promise",
        "sparrow",
        "kingdom",
        "mirror",
        "stone",
    ),
    *(
        "morning",
        "hunter",
        "daughter",
        "soldier",
        "bell",
        "tower",
        "road",
        "song",
        "sword",
        "crown",
    ),
    *("friend", "stranger", "dream", "voice", "hand", "heart", "field", "storm", "horse", "door"),
)
ADJECTIVES = (
    *("quiet", "golden", "bitter", "faithful", "broken", "gentle", "hollow", "weary", "noble"),
    *(
        "silent",
        "crooked",
        "honest",
        "pale",
        "proud",
        "ancient",
        "foolish",
        "merry",
        "cold",
        "bright",
    ),
)
VERBS = (
    *("keep", "follow", "answer", "remember", "carry", "guard", "forgive", "lose", "find", "love"),
    *("betray", "welcome", "weigh", "break", "mend", "praise", "open", "fear", "serve", "want"),
)
DETERMINERS = (("the", "the"), ("my", "my"), ("your", "your"), ("this", "these"), ("that", "those"))
OPENINGS = ("O", "Come,", "Nay,", "Good sir,", "Alas,", "Hark!", "Peace!", "Well,", "Then")
LINKS = ("and", "but", "for", "while", "though", "because", "until", "when")
PLACES = ("at dawn", "by night", "in silence", "for ever", "beyond the sea", "before the king")
LINE = 44  # a line is broken at the first word that would reach beyond this


def generated_play(characters: int = 400_000, seed: int = 0) -> str:
    """Write a play.

    Args:
        characters: int >= 1, its length. It ends where that is reached, be it within a word.
        seed: the same seed gives the same play; a shorter one is its beginning.

    Raises: DataError when `characters` < 1.
    """
    if characters < 1:
        raise DataError(
            "generated_play: `characters` must be at least 1. Received: "
            f"characters={characters}. Ask for some thousands, so that there is something to learn."
        )
    rng = random.Random(seed)
    speeches: list[str] = []
    length, speaker = 0, ""
    while length < characters:
        speaker = rng.choice([name for name in NAMES if name != speaker])
        speeches.append(f"{speaker}:\n{_speech(rng)}\n\n")
        length += len(speeches[-1])
    return "".join(speeches)[:characters]


def _speech(rng: random.Random) -> str:
    """One to four sentences, broken into lines that begin small, as prose in verse does."""
    words = [word for _ in range(rng.randint(1, 4)) for word in _sentence(rng).split()]
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + 1 + len(word) > LINE:
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return "\n".join(lines)


def _sentence(rng: random.Random) -> str:
    parts = [_clause(rng)]
    if rng.random() < 0.4:
        parts.append(f"{rng.choice(LINKS)} {_clause(rng)}")
    if rng.random() < 0.25:
        parts[-1] += f" {rng.choice(PLACES)}"
    sentence = rng.choice((", ", "; ")).join(parts) if len(parts) > 1 else parts[0]
    if rng.random() < 0.3:
        return f"{rng.choice(OPENINGS)} {sentence}{rng.choice('!.')}"
    return f"{sentence[0].upper()}{sentence[1:]}{rng.choice('...!?')}"


def _clause(rng: random.Random) -> str:
    """Subject, verb and object; the verb takes its s from the subject's number."""
    subject, is_plural = _noun_phrase(rng)
    verb = rng.choice(VERBS)
    object_, _ = _noun_phrase(rng)
    if rng.random() < 0.25:
        auxiliary = "do not" if is_plural else "does not"
        return f"{subject} {auxiliary} {verb} {object_}"
    return f"{subject} {verb if is_plural else _with_s(verb)} {object_}"


def _noun_phrase(rng: random.Random) -> tuple[str, bool]:
    is_plural = rng.random() < 0.35
    determiner = rng.choice(DETERMINERS)[is_plural]
    noun = rng.choice(NOUNS)
    adjective = f"{rng.choice(ADJECTIVES)} " if rng.random() < 0.5 else ""
    return f"{determiner} {adjective}{f'{noun}s' if is_plural else noun}", is_plural


def _with_s(verb: str) -> str:
    if verb.endswith("y") and verb[-2] not in "aeo":
        return f"{verb[:-1]}ies"
    return f"{verb}es" if verb.endswith(("s", "sh", "ch")) else f"{verb}s"
