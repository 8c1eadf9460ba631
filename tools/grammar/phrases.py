"""Phrases in all four languages: names, nouns, places, subjects, and what stands around them."""

from collections.abc import Sequence
from dataclasses import replace

from tools.grammar import english, french
from tools.grammar.japanese import JAPANESE
from tools.grammar.korean import KOREAN, josa
from tools.grammar.lexicon import (
    CITIES,
    COUNTRIES,
    NAMES,
    NOUNS,
    PEOPLE,
    PLACES_AT,
    Noun,
    Verb,
    adjective_of,
)
from tools.grammar.trees import NamedThing, Phrase, marked


def fixed(tag: str, row: Sequence[str], **marks: object) -> Phrase:
    """Build a phrase from a row English | French | Japanese | Korean of a table."""
    en = tuple((word, frozenset([f"{tag}{i}"])) for i, word in enumerate(row[0].split()))
    others = (marked(text, tag) for text in row[1:4])
    return Phrase(en, *others, head=row[0], **marks)  # type: ignore[arg-type]


def adposition(
    tag: str, phrase: Phrase, en: str = "", fr: str = "", ja: str = "", ko: str = ""
) -> Phrase:
    """Put prepositions before a phrase in English and French, particles after it in ja and ko.

    All carry the key of the English preposition; with an empty tag they carry none. ja and ko may
    hold several words: と 一緒 に, 과/와 함께.
    """
    keys: frozenset[str] = frozenset([tag + "p"]) if tag and en else frozenset()
    last = phrase.ko[-1][0] if phrase.ko else ""
    return Phrase(
        ((en, keys), *phrase.en) if en else phrase.en,
        ((fr, keys), *phrase.fr) if fr else phrase.fr,
        (*phrase.ja, *((word, keys) for word in ja.split())),
        (*phrase.ko, *((josa(last, word), keys) for word in ko.split())),
        phrase.head, phrase.person, phrase.plural, phrase.feminine,
    )  # fmt: skip


def as_object(phrase: Phrase, verb: Verb) -> Phrase:
    """Give an object its particles, and its French preposition (jouer du piano)."""
    return adposition("", phrase, fr=verb.fr_case, ja=verb.ja_case, ko=verb.ko_case)


def name_phrase(tag: str, name: str) -> Phrase:
    """Build the phrase of a person's name."""
    gender, ja, ko = NAMES[name]
    keys = frozenset([tag + "n"])
    words = (((name, keys),), ((name, keys),), ((ja, keys),), ((ko, keys),))
    return Phrase(*words, head=name, feminine=gender == "f")


def noun_phrase(
    tag: str, noun: Noun, det: str = "a", adjective: str = "", owner: str = "", plural: bool = False
) -> Phrase:
    """Build determiner, owner, adjective and noun; det, owner and plural are those of NamedThing.

    adjective: by its English name
    """
    form = adjective_of(adjective, noun.en) if adjective else None
    thing = NamedThing(tag, noun, det, form, owner, plural)
    return Phrase(
        english.noun_words(thing),
        french.noun_words(thing),
        JAPANESE.noun_words(thing),
        KOREAN.noun_words(thing),
        head=noun.en,
        plural=thing.many,
        feminine=noun.gender == "f",
    )


def proper_phrase(tag: str, noun: Noun, article: bool = True) -> Phrase:
    """Build a place or language name; French has an article (l' Afrique) except for cities."""
    phrase = noun_phrase(tag, noun, "generic")
    return phrase if article else replace(phrase, fr=phrase.fr[1:])


def place_phrase(tag: str, place: str, verb: str, adjective: str = "", owner: str = "") -> Phrase:
    """Build "in the park", "to Japan", "at home".

    verb says how: "go" (to; に, 에), "stay" (に, 에) or anything else (で, 에서).
    """
    going, staying = verb == "go", verb in ("go", "stay")
    ja, ko = ("に", "에") if staying else ("で", "에서")
    if place == "home":
        home = (("home", frozenset([tag + "n"])),)
        base = noun_phrase(tag, NOUNS["house"], "generic")
        base = replace(base, en=home, head="home")
        return adposition(tag, base, "" if going else "at", "à", ja, ko)
    noun = NOUNS[place]
    if place in CITIES:
        phrase = proper_phrase(tag, noun, article=False)
        return adposition(tag, phrase, "to" if going else "in", "à", ja, ko)
    if place in COUNTRIES:
        masculine = noun.gender == "m"
        phrase = proper_phrase(tag, noun, article=masculine)
        return adposition(tag, phrase, "to" if going else "in", "à" if masculine else "en", ja, ko)
    if place == "school":
        phrase = noun_phrase(tag, noun, "generic")
        return adposition(tag, phrase, "to" if going else "at", "à", ja, ko)
    phrase = noun_phrase(tag, noun, "the", adjective, owner)
    en, fr = ("at", "à") if place in PLACES_AT else ("in", "dans")
    if place == "café" and not adjective:
        fr = "à"  # au café, but dans le petit café
    if going:
        en, fr = "to", "à"
    return adposition(tag, phrase, en, fr, ja, ko)


def on_phrase(tag: str, noun: Noun, adjective: str = "") -> Phrase:
    """Build "on the table": テーブル の 上 に, 탁자 위 에."""
    phrase = noun_phrase(tag, noun, "the", adjective)
    keys = frozenset([tag + "p"])
    return replace(
        phrase,
        en=(("on", keys), *phrase.en),
        fr=(("sur", keys), *phrase.fr),
        ja=(*phrase.ja, ("の", frozenset()), ("上", keys), ("に", keys)),
        ko=(*phrase.ko, ("위", keys), ("에", keys)),
    )


def pair_phrase(tag: str, first: str, second: str) -> Phrase:
    """Build "Jane and Paul"; one of the two is a man, so French says "ils"."""
    left, right = name_phrase(tag + "x", first), name_phrase(tag + "y", second)
    keys = frozenset([tag + "l"])
    return Phrase(
        (*left.en, ("and", keys), *right.en),
        (*left.fr, ("et", keys), *right.fr),
        (*left.ja, ("と", keys), *right.ja),
        (*left.ko, (josa(left.ko[-1][0], "과/와"), keys), *right.ko),
        head=f"{first} and {second}",
        plural=True,
    )


def subject_phrase(tag: str, who: str) -> Phrase:
    """Build the subject named who: a name, "Jane & Paul", "I", "we" or a key of PEOPLE."""
    if who == "I":
        return fixed(tag, ("I", "je/0", "私/0", "나/0"), person=1)
    if who == "we":
        return fixed(tag, ("we", "nous/0", "私たち/0", "우리/0"), person=1, plural=True)
    if " & " in who:
        first, second = who.split(" & ")
        return pair_phrase(tag, first, second)
    if who in NAMES:
        return name_phrase(tag, who)
    person = PEOPLE[who]
    return fixed(
        tag,
        (who, person.fr, person.ja, person.ko),
        feminine=person.gender == "f",
        plural="plural" in person.marks,
    )
