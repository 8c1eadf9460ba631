"""What, where and when: things with their articles and adjectives, places, times."""

from collections.abc import Sequence

from tools.grammar.draft import Draft
from tools.grammar.frames import Frame
from tools.grammar.lexicon import (
    CITIES,
    DAILY,
    NAMES,
    NOUNS,
    PAST,
    PLACES_IN,
    PRESENT,
    SEASONS,
    YEARLY,
    Noun,
)
from tools.grammar.phrases import fixed, noun_phrase, place_phrase, proper_phrase
from tools.grammar.trees import Phrase


def pick_object(
    draft: Draft, frame: Frame, names: Sequence[str], tense: str, rich: float
) -> Phrase:
    """Pick a noun, its determiner and its adjective."""
    tag = draft.new_tag()
    noun = NOUNS[draft.fresh(names)]
    if "proper" in frame.marks:
        return proper_phrase(tag, noun, article=noun.en not in CITIES)
    if noun.plurals[0] and frame.verb == "like":
        return noun_phrase(tag, noun, "generic", plural=True)
    if "generic" in frame.marks or frame.verb == "like":
        return noun_phrase(tag, noun, "generic")
    adjective = ""
    always = tense == "present" and "the" in frame.marks  # "washes the plates every day"
    if not always and draft.chance(0.1 + 0.45 * rich):
        adjective = pick_adjective(draft, noun)
        if frame.verb == "take_photo" and adjective == "old":  # it is new when it is taken
            adjective = ""
    if noun.kind in ("mass", "plural"):
        det = "the" if "the" in frame.marks else ""
        return noun_phrase(tag, noun, det, adjective)
    plural = bool(noun.plurals[0]) and "a" not in frame.marks
    if tense == "present":
        if plural:
            the = "the" if "the" in frame.marks else ""
            return noun_phrase(tag, noun, the, adjective, plural=True)
        det = "the" if "the" in frame.marks or noun.en == "newspaper" else "a"
        return noun_phrase(tag, noun, det, adjective)
    if "the" in frame.marks:
        adjective = "" if noun.en in ("bus", "train") else adjective
        return noun_phrase(tag, noun, "the", adjective, plural=plural)
    if "a" in frame.marks and "owned" not in frame.marks:
        return noun_phrase(tag, noun, "a", adjective)
    if "owned" in frame.marks and noun.owned and draft.chance(0.2):
        owner = draft.fresh(list(NAMES))
        return noun_phrase(tag, noun, "the", "" if rich < 0.5 else adjective, owner)
    choices = [("a", 5.0), ("the", 0.0 if noun.en == "photo" or frame.verb == "draw" else 3.0)]
    if noun.en in ("book", "letter", "story", "song", "film"):
        choices += [("this", 0.9), ("that", 0.6)]
    choices += [("", 2.0)] if plural else []
    det = draft.weighted(choices)
    return noun_phrase(tag, noun, det, adjective, plural=det == "")


def pick_adjective(draft: Draft, noun: Noun) -> str:
    """Pick an adjective of this noun that suits the sentence, if there is one."""
    fitting = [adjective for adjective in noun.adjectives if adjective not in draft.avoid]
    return draft.pick(fitting) if fitting else ""


def pick_described(
    draft: Draft, names: Sequence[str], rich: float, owned: float
) -> tuple[Noun, str, str]:
    """Pick a thing, its adjective and its owner; the last two may be "".

    rich: the chance of an adjective; owned: that of an owner
    """
    noun = NOUNS[draft.fresh(names)]
    adjective = draft.pick(noun.adjectives) if noun.adjectives and draft.chance(rich) else ""
    owner = draft.fresh(list(NAMES)) if noun.owned and draft.chance(owned) else ""
    return noun, adjective, owner


def pick_place(draft: Draft, place: str, verb: str, rich: float) -> Phrase:
    """Build the phrase of a place, sometimes with an adjective or an owner."""
    tag = draft.new_tag()
    draft.used.add(place)
    adjective = owner = ""
    if place in PLACES_IN and verb not in ("go", "stay"):
        noun = NOUNS[place]
        if draft.chance(0.5 * rich):
            adjective = pick_adjective(draft, noun)
        if noun.owned and draft.chance(0.25 * rich):
            owner = draft.fresh(list(NAMES))
    return place_phrase(tag, place, verb, adjective, owner)


def pick_time(draft: Draft, frame: Frame, tense: str) -> Phrase:
    """Pick a time that suits the verb: nobody flies to Africa every morning."""
    if tense == "present":
        names: tuple[str, ...] = DAILY
        if "season" in frame.marks:
            names += SEASONS * 4
        if "long" in frame.marks:
            names = (*SEASONS, *("every year",) * 4)
        if frame.verb == "swim":
            names = tuple(name for name in names if "winter" not in name)
        return fixed(draft.new_tag(), PRESENT[draft.pick(names)])
    if "long" in frame.marks:
        names = YEARLY + YEARLY + SEASONS * 3
    else:
        names = tuple(t for t in PAST if t not in YEARLY and t not in SEASONS)
        if not draft.days and "season" in frame.marks:
            names += YEARLY + SEASONS * 4
    avoid = (*draft.avoid, "winter") if frame.verb == "swim" else draft.avoid
    names = tuple(name for name in names if not set(avoid) & set(name.split()))
    return fixed(draft.new_tag(), PAST[draft.pick(names)])
