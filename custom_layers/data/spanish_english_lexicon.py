"""The words of the demo corpus: Spanish and English side by side, as tables to be read.

Nouns stand with their article, which shows the gender: `la casa house` is feminine. `el/f` marks a
feminine noun that takes "el" in the singular because it begins with a stressed a (el agua fría). An
asterisk marks a noun used in the singular only, where the Spanish masculine plural would also mean
the mixed group (mis padres: "my parents", not "my fathers").
"""

from typing import NamedTuple

# fmt: off
# ruff: noqa: E501  (a table is easier to read with one row per line)
NOUN_TABLE = {
    "kin": "la hermana sister, la hija daughter, la madre* mother, el padre* father, la abuela grandmother,"
           " el abuelo* grandfather, la tía aunt, el tío* uncle, el amigo friend, la amiga friend,"
           " el vecino neighbor, el hermano* brother, el hijo* son",
    "person": "el profesor teacher, la profesora teacher, el médico doctor, la enfermera nurse, el niño child,"
              " la niña girl, el chico boy, la mujer woman, el hombre man, el estudiante student,"
              " el camarero waiter, la actriz actress, el pintor painter",
    "animal": "el perro dog, el gato cat, el caballo horse, el pájaro bird, la vaca cow, el ratón mouse,"
              " la oveja sheep, el conejo rabbit",
    "fruit": "la manzana apple, la naranja orange, el huevo egg, el tomate tomato, el plátano banana,"
             " el pastel cake, la patata potato, el limón lemon",
    "food": "el pan bread, el queso cheese",
    "dish": "el arroz rice, la carne meat, el pescado fish, la sopa soup",
    "drink": "el/f agua water, la leche milk, el café coffee, el té tea, el vino wine, la cerveza beer,"
             " el zumo juice",
    "text": "el libro book, la carta letter, la novela novel, el poema poem, el mensaje message",
    "press": "el periódico newspaper, la revista magazine",
    "large": "el coche car, la mesa table, la silla chair, la lámpara lamp, el ordenador computer,"
             " la bicicleta bicycle, la guitarra guitar",
    "small": "el reloj watch, la caja box, el cuchillo knife, el teléfono phone, el paraguas umbrella,"
             " la maleta suitcase, el lápiz pencil, el mapa map, la llave key",
    "clothes": "el sombrero hat, la camisa shirt, el vestido dress, el zapato shoe, el abrigo coat",
    "image": "la foto photo",
    "art": "el cuadro painting",
    "plant": "la flor flower, el árbol tree",
    "song": "la canción song",
    "building": "la casa house",
    "room": "la cocina kitchen, la ventana window, la puerta door, la habitación room",
    "event": "la fiesta party, el viaje trip, la clase class, el examen exam",
    "show": "la película movie, el concierto concert",
    "town": "la ciudad city in, el pueblo village in",
    "study": "la escuela school at, la biblioteca library in, la universidad university at",
    "open": "la playa beach at, el parque park in, el jardín garden in",
    "work": "el hospital hospital in, la oficina office in, el museo museum in, la tienda shop in,"
            " el restaurante restaurant in, el mercado market at",
    "sight": "la iglesia church in, la estación station at, el cine cinema at",
}
MASS_CLASSES = frozenset({"food", "dish", "drink"})  # no plural, no "a": pan, water

PLACE_CLASSES = ("town", "study", "open", "work", "sight")  # with their English preposition of place
CITY_TABLE = "Madrid Madrid, Sevilla Seville, Londres London, París Paris, Barcelona Barcelona"
NAME_TABLE = "María Maria f, Ana Ana f, Carmen Carmen f, Elena Elena f, Juan Juan m, Pedro Pedro m," \
             " Luis Luis m, Pablo Pablo m"

ADJECTIVE_TABLE = {
    "colour": "rojo red, blanco white, negro black, verde green, azul blue, amarillo yellow",
    "size": "grande big, pequeño small",
    "trade": "nuevo new, viejo old, caro expensive, barato cheap",
    "look": "bonito pretty, feo ugly",
    "taste": "fresco fresh, delicioso delicious",
    "heat": "frío cold, caliente hot",
    "character": "alto tall, joven young, simpático nice, inteligente intelligent, famoso famous,"
                 " español Spanish, inglés English",
    "content": "aburrido boring, interesante interesting, largo long, corto short, difícil difficult, fácil easy",
    "mood": "cansado tired, enfermo sick, contento happy, triste sad, ocupado busy, nervioso nervous",
}
ADJECTIVES_OF = {  # noun class -> classes of the adjectives that may stand beside it
    "kin": (), "person": ("character",), "animal": ("size", "colour"), "fruit": ("size", "taste"),
    "food": ("taste",), "dish": ("taste", "heat"), "drink": ("heat",), "text": ("content",), "press": ("content",),
    "large": ("colour", "size", "trade"), "small": ("colour", "size", "trade"), "image": ("size", "look"),
    "clothes": ("colour", "trade", "look"), "art": ("size", "look"), "plant": ("size", "look"),
    "song": ("content",), "building": ("colour", "size", "trade"), "room": ("colour", "size"),
    "event": ("content",), "show": ("content",), "town": ("size", "look"), "study": ("size", "look"),
    "open": ("size", "look"), "work": ("size",), "sight": ("size",),
}

# infinitive, English base (an underscore before its preposition), English past, the tenses in which the
# verb is natural (r present, p past, f future), classes of its objects.
TRANSITIVE_TABLE = """
comer      eat        ate        rpf  fruit food dish
beber      drink      drank      rpf  drink
comprar    buy        bought     rpf  fruit food drink press large small clothes art plant building
vender     sell       sold       pf   large small clothes art building animal
leer       read       read       rpf  text press
escribir   write      wrote      rpf  text
encontrar  find       found      pf   small clothes text animal image
perder     lose       lost       p    small clothes text image
buscar     look_for   looked     pf   small clothes text image
romper     break      broke      p    large small
pintar     paint      painted    pf   art building room plant
lavar      wash       washed     rpf  clothes fruit
limpiar    clean      cleaned    rpf  building room
preparar   prepare    prepared   rpf  dish event
cantar     sing       sang       rpf  song
escuchar   listen_to  listened   rpf  song
dibujar    draw       drew       rpf  animal plant building
traer      bring      brought    rpf  food drink press fruit
ver        see        saw        pf   show animal image
"""
STATIVE_TABLE = """
tener      have       had        r    large small clothes animal building text
querer     want       wanted     r    large small clothes fruit drink food dish text
necesitar  need       needed     r    large small clothes food text
"""
PERSON_VERB_TABLE = """
visitar    visit      visited    rpf
ayudar     help       helped     rpf
invitar    invite     invited    pf
llamar     call       called     rpf
saludar    greet      greeted    rpf
esperar    wait_for   waited     pf
conocer    know       knew       r
"""
GIVING_TABLE = """
dar        give       gave       pf
enviar     send       sent       rpf
mostrar    show       showed     pf
"""
# infinitive, Spanish preposition, English base, past, tenses, classes of places ("city": a city's name).
# The English preposition is "to" after "a", and the place noun's own after "en".
PLACE_VERB_TABLE = """
ir         a   go      went      rpf  town study open work sight city
volver     a   return  returned  rpf  town study open work sight city
viajar     a   travel  traveled  rpf  city
vivir      en  live    lived     rf   town city
trabajar   en  work    worked    rpf  study work city
estudiar   en  study   studied   rpf  study city
jugar      en  play    played    rpf  open
bailar     en  dance   danced    rpf  open
"""
TENSES = {"r": "present", "p": "past", "f": "future"}

# Tense -> Spanish phrase, English phrase, word links (Spanish position - English position).
TIME_TABLE = {
    "present": ("todos los días | every day | 0-0 2-1", "cada semana | every week | 0-0 1-1",
                "los lunes | on Mondays | 1-1", "los viernes | on Fridays | 1-1",
                "los domingos | on Sundays | 1-1", "por la tarde | in the afternoon | 0-0 1-1 2-2",
                "por la noche | at night | 0-0 2-1"),
    "past": ("ayer | yesterday | 0-0", "anoche | last night | 0-1", "la semana pasada | last week | 1-1 2-0",
             "el mes pasado | last month | 1-1 2-0", "el lunes pasado | last Monday | 1-1 2-0"),
    "future": ("mañana | tomorrow | 0-0", "esta noche | tonight | 0-0 1-0",
               "la próxima semana | next week | 1-0 2-1", "el domingo | on Sunday | 1-1", "pronto | soon | 0-0"),
    "state": ("hoy | today | 0-0", "ahora | now | 0-0"),
}
# Spanish, English, where the Spanish phrase stands; the English word stands before the main verb.
FREQUENCY_TABLE = (("siempre", "always", "before"), ("nunca", "never", "before"),
                   ("a veces", "sometimes", "first"), ("a menudo", "often", "last"))
# English singular and plural, then Spanish: masculine, feminine, masculine plural, feminine plural.
DETERMINER_TABLE = """
the       the    el      la      los      las
a         -      un      una     -        -
-         some   -       -       unos     unas
-         many   -       -       muchos   muchas
this      these  este    esta    estos    estas
that      those  ese     esa     esos     esas
my        my     mi      mi      mis      mis
your      your   tu      tu      tus      tus
our       our    nuestro nuestra nuestros nuestras
"""
# Spanish subject pronoun, English, person (0 to 4), gender of the adjectives that go with it.
PRONOUN_TABLE = (("yo", "I", 0, "m"), ("tú", "you", 1, "m"), ("él", "he", 2, "m"), ("ella", "she", 2, "f"),
                 ("nosotros", "we", 3, "m"), ("nosotras", "we", 3, "f"), ("ellos", "they", 4, "m"),
                 ("ellas", "they", 4, "f"))
# Spanish object pronoun, English, the person it stands for.
PERSON_CLITICS = (("me", "me", 0), ("te", "you", 1), ("nos", "us", 3), ("lo", "him", 2), ("la", "her", 2),
                  ("los", "them", 4), ("las", "them", 4))
THING_CLITICS = (("lo", "it"), ("la", "it"), ("los", "them"), ("las", "them"))
NUMBER_TABLE = "dos two, tres three, cuatro four, cinco five, seis six, diez ten"
SENSATION_TABLE = "hambre hungry, sed thirsty, frío cold, sueño sleepy, prisa in_a_hurry"

# present | preterite | future stem; a dash leaves the tense regular. Persons: yo tú él nosotros ellos.
IRREGULAR_VERBS = {
    "ser": "soy eres es somos son | fui fuiste fue fuimos fueron | -",
    "estar": "estoy estás está estamos están | estuve estuviste estuvo estuvimos estuvieron | -",
    "ir": "voy vas va vamos van | fui fuiste fue fuimos fueron | -",
    "tener": "tengo tienes tiene tenemos tienen | tuve tuviste tuvo tuvimos tuvieron | tendr",
    "dar": "doy das da damos dan | di diste dio dimos dieron | -",
    "traer": "traigo traes trae traemos traen | traje trajiste trajo trajimos trajeron | -",
    "leer": "- | leí leíste leyó leímos leyeron | -",
    "conocer": "conozco conoces conoce conocemos conocen | - | -",
    "ver": "veo ves ve vemos ven | vi viste vio vimos vieron | -",
    "enviar": "envío envías envía enviamos envían | - | -",
    "querer": "quiero quieres quiere queremos quieren | quise quisiste quiso quisimos quisieron | querr",
    "encontrar": "encuentro encuentras encuentra encontramos encuentran | - | -",
    "perder": "pierdo pierdes pierde perdemos pierden | - | -",
    "volver": "vuelvo vuelves vuelve volvemos vuelven | - | -",
    "jugar": "juego juegas juega jugamos juegan | - | -",
    "mostrar": "muestro muestras muestra mostramos muestran | - | -",
}
IRREGULAR_SPANISH_PLURALS = {"joven": "jóvenes", "examen": "exámenes", "paraguas": "paraguas"}
IRREGULAR_ENGLISH_PLURALS = {"child": "children", "woman": "women", "man": "men", "mouse": "mice",
                             "sheep": "sheep", "knife": "knives"}
# fmt: on


class Noun(NamedTuple):
    """A noun: `gender` is "m" or "f"; `place` is the English preposition of place before it."""

    spanish: str
    english: str
    gender: str
    kind: str
    takes_el: bool = False
    singular_only: bool = False
    place: str = ""


class Adjective(NamedTuple):
    """An adjective in its masculine singular, and its English word."""

    spanish: str
    english: str


class Verb(NamedTuple):
    """A verb: its infinitive, English base (with a preposition, if any), English past and use."""

    spanish: str
    english: str
    past: str
    tenses: tuple[str, ...]
    objects: tuple[str, ...] = ()
    preposition: str = ""


def _rows(text: str) -> list[list[str]]:
    return [row.split() for row in text.split(",")]


def _noun(row: list[str], kind: str) -> Noun:
    article, spanish, english, *place = row
    gender = "m" if article == "el" else "f"
    return Noun(
        spanish.rstrip("*"),
        english,
        gender,
        kind,
        takes_el=article == "el/f",
        singular_only=spanish.endswith("*") or kind in MASS_CLASSES,
        place=place[0] if place else "",
    )


def _verbs(table: str, *, place: bool = False) -> tuple[Verb, ...]:
    verbs = []
    for row in filter(None, table.splitlines()):
        columns = row.split()
        preposition = columns.pop(1) if place else ""
        spanish, english, past, tenses, *objects = columns
        names = tuple(TENSES[letter] for letter in tenses)
        english = english.replace("_", " ")
        verbs.append(Verb(spanish, english, past, names, tuple(objects), preposition))
    return tuple(verbs)


NOUNS: dict[str, tuple[Noun, ...]] = {
    kind: tuple(_noun(row, kind) for row in _rows(text)) for kind, text in NOUN_TABLE.items()
}
ADJECTIVES: dict[str, tuple[Adjective, ...]] = {
    kind: tuple(Adjective(*row) for row in _rows(text)) for kind, text in ADJECTIVE_TABLE.items()
}
CITIES = tuple(map(tuple, _rows(CITY_TABLE)))
NAMES = tuple(map(tuple, _rows(NAME_TABLE)))
NUMBERS = tuple(map(tuple, _rows(NUMBER_TABLE)))
DETERMINERS = tuple(tuple(row.split()) for row in DETERMINER_TABLE.strip().splitlines())
TRANSITIVE_VERBS = _verbs(TRANSITIVE_TABLE)
STATIVE_VERBS = _verbs(STATIVE_TABLE)
PERSON_VERBS = _verbs(PERSON_VERB_TABLE)
GIVING_VERBS = _verbs(GIVING_TABLE)
PLACE_VERBS = _verbs(PLACE_VERB_TABLE, place=True)
