"""Clauses without a verb of action: what something is, what it is like, where it is."""

from dataclasses import replace

from tools.grammar.draft import Draft
from tools.grammar.frames import FRAMES
from tools.grammar.lexicon import ADJECTIVES, I_THE_CAT, NAMES, NOUNS, THAT, THIS
from tools.grammar.people import marks_of, pick_subject
from tools.grammar.phrases import fixed, noun_phrase, on_phrase, place_phrase, subject_phrase
from tools.grammar.things import pick_described
from tools.grammar.trees import Clause, Phrase

NAMED = (
    "book", "pen", "pencil", "hat", "bag", "umbrella", "key", "picture", "letter", "photo",
    "newspaper", "cake", "apple", "flower", "tree", "gift", "table", "chair", "piano", "guitar",
    "bicycle", "car",
)  # fmt: skip
LYING_ABOUT = (
    "book", "hat", "bag", "umbrella", "key", "letter", "newspaper", "picture", "photo", "cake",
    "pen", "apple",
)  # fmt: skip
DETERMINERS = ("the",)  # of what lies about
WHEREABOUTS = (
    "garden", "kitchen", "living room", "library", "school", "station", "home", "hospital", "park",
    "London", "Tokyo",
)  # fmt: skip


def naming(draft: Draft, rich: float) -> Clause:
    """Build "this is a pen", "that is Jane 's new bag"."""
    row = draft.pick((THIS, THAT))
    noun, adjective, owner = pick_described(draft, NAMED, rich, owned=0.4)
    what = noun_phrase(draft.new_tag(), noun, "a", adjective, owner)
    tag = draft.new_tag()
    return Clause(tag, "noun", fixed(tag + "s", row), "present", slots={"object": what})


def speaking_cat(draft: Draft) -> Clause:
    """Build "I am Jane 's black cat": the cat alone says 吾輩 and で ある."""
    adjective = draft.pick(("white", "black")) if draft.chance(0.5) else ""
    owner = draft.pick(list(NAMES))
    what = noun_phrase(draft.new_tag(), NOUNS["cat"], "a", adjective, owner)
    return cat_clause(draft.new_tag(), what)


def cat_clause(tag: str, what: Phrase) -> Clause:
    """Let the cat say what it is."""
    subject = fixed(tag + "s", I_THE_CAT, person=1)
    return Clause(tag, "noun", subject, "present", name="cat", slots={"object": what})


def profession(draft: Draft) -> Clause:
    """Build "Jane is a doctor"; French has no article there."""
    who = draft.pick([*NAMES, *NAMES, "my mother", "my father", "my little sister", "my friend"])
    jobs = ["doctor", "teacher", "student"]
    if "child" in marks_of(who):
        jobs = ["student"]
    if "elder" in marks_of(who):
        jobs = ["doctor", "teacher"]
    what = noun_phrase(draft.new_tag(), NOUNS[draft.pick(jobs)], "a")
    slots = {"object": replace(what, fr=what.fr[1:])}
    draft.used.add(who)
    tag = draft.new_tag()
    subject = subject_phrase(tag + "s", who)
    return Clause(tag, "noun", subject, "present", name="job", slots=slots, who=who)


def looks(draft: Draft) -> Clause:
    """Build "this house is old"."""
    noun = NOUNS[draft.fresh([n for n, noun in NOUNS.items() if noun.adjectives])]
    ends = [a for a in noun.adjectives if ADJECTIVES[a].ko_end and a not in ("hot", "cold")]
    quality = draft.pick(ends)
    owner = draft.fresh(list(NAMES)) if noun.owned and draft.chance(0.5) else ""
    det = draft.pick(("the", "this", "that"))
    if noun.kind == "plural" or noun.en in ("walk", "café"):
        det = "the"
    subject = noun_phrase(draft.new_tag(), noun, det, "", owner)
    return Clause(draft.new_tag(), "adjective", subject, "present", name=quality)


def being_there(draft: Draft, rich: float) -> Clause:
    """Build "the cat is in the garden", "Jane 's book is on the table"."""
    tense = "present" if draft.chance(0.6) else "past"
    kind = draft.pick(("thing", "animal", "person"))
    tag = draft.new_tag()
    if kind == "person":
        who = pick_subject(draft, [FRAMES["sleep"]])
        where = place_phrase(draft.new_tag(), draft.pick(WHEREABOUTS), "stay")
        subject = subject_phrase(tag + "s", who)
        return Clause(tag, "exist", subject, tense, slots={"place": where}, who=who)
    names = ("cat", "dog") if kind == "animal" else LYING_ABOUT
    noun, adjective, owner = pick_described(draft, names, rich, owned=0.35)
    subject = noun_phrase(draft.new_tag(), noun, draft.pick(DETERMINERS), adjective, owner)
    animate = kind == "animal"
    where = resting_place(draft, rich, animate)
    return Clause(tag, "exist", subject, tense, slots={"place": where}, animate=animate)


def resting_place(draft: Draft, rich: float, animate: bool) -> Phrase:
    """Choose where an animal or a thing is: on a table, in the kitchen."""
    if draft.chance(0.5):
        seat = NOUNS[draft.pick(("table", "chair"))]
        adjective = draft.pick(seat.adjectives) if draft.chance(rich) else ""
        return on_phrase(draft.new_tag(), seat, adjective)
    spots = ("kitchen", "living room", "garden") if animate else ("kitchen", "living room")
    return place_phrase(draft.new_tag(), draft.pick(spots), "stay")
