"""The corpus: its splits, what only one of them holds, and its files."""

import os
from collections import Counter
from pathlib import Path

from tools.grammar.being import cat_clause
from tools.grammar.draft import Draft
from tools.grammar.lexicon import NAMES, NOUNS, PRESENT, THIS, VERBS
from tools.grammar.patterns import BUCKETS, NOVEL_LENGTHS, draw
from tools.grammar.phrases import (
    as_object,
    fixed,
    name_phrase,
    noun_phrase,
    place_phrase,
    proper_phrase,
    subject_phrase,
)
from tools.grammar.reading import Sentence, read_out
from tools.grammar.trees import Clause, Joined, Node, Phrase, clauses_of
from utils.corpora import GRAMMAR_COLUMNS, GRAMMAR_LANGUAGES

SIZES = {"train": 10_000, "valid": 500, "test": 500, "novel": 500}

# The sentences of the lessons; each stands in the training part, word for word.
SEED_SENTENCES = (
    "Jane visits Africa in September",
    "this is a pen",
    "I studied at school",
    "I came home and took a rest",
    "I am a cat",
)

# Combinations that only the split "novel" holds: frame or verb with object, and name with verb.
HELD_OUT = frozenset({
    ("drink", "juice"), ("read", "letter"), ("cook", "rice"), ("visit", "Canada"),
    ("eat", "apple"), ("draw", "house"), ("wash", "vegetables"), ("buy", "hat"),
    ("give", "book"), ("study", "Korean"), ("listen", "song"), ("look", "umbrella"),
    ("Jane", "drink"), ("Paul", "cook"), ("Mina", "write"), ("Tom", "buy"),
    ("Anna", "clean"), ("Leo", "sing"),
})  # fmt: skip


def seed_trees() -> list[Node]:
    """Return the trees of SEED_SENTENCES, in that order."""

    def doing(name: str, subject: Phrase, tense: str, slots: dict[str, Phrase]) -> Clause:
        """Build a clause with a verb of action."""
        return Clause(name, "verb", subject, tense, VERBS[name], name, slots)

    jane, me = name_phrase("s", "Jane"), subject_phrase("s", "I")
    africa = as_object(proper_phrase("o", NOUNS["Africa"]), VERBS["visit"])
    september = fixed("t", PRESENT["in September"])
    pen = {"object": noun_phrase("o", NOUNS["pen"])}
    at_school, home = place_phrase("p", "school", "do"), place_phrase("p", "home", "go")
    rest = as_object(noun_phrase("o", NOUNS["rest"]), VERBS["take_rest"])
    came = doing("come", me, "past", {"goal": home})
    took = doing("take_rest", me, "past", {"object": rest})
    return [
        doing("visit", jane, "present", {"object": africa, "time": september}),
        Clause("is", "noun", fixed("s", THIS), "present", slots=pen),
        doing("study_alone", me, "past", {"place": at_school}),
        Joined("l", "then", came, took),
        cat_clause("is", noun_phrase("o", NOUNS["cat"])),
    ]


def features(node: Node) -> set[tuple[str, str]]:
    """Return the combinations of a tree: (verb, object) and (subject name, verb)."""
    found = set()
    for clause in clauses_of(node):
        if clause.kind != "verb":
            continue
        if phrase := clause.slots.get("object"):
            found.add((clause.name, phrase.head))
        if clause.who in NAMES:
            found.add((clause.who, clause.name))
    return found


def generate(seed: int = 0, sizes: dict[str, int] | None = None) -> dict[str, list[Sentence]]:
    """Generate the splits.

    sizes: sentences per split, SIZES by default
    Returns split -> sentences. The train part starts with the sentences of SEED_SENTENCES. Any
    prefix of a split holds all lengths: the four buckets take turns. No sentence of any language
    stands in two splits, and train has every word of the others. The first half of "novel" holds
    combinations of HELD_OUT, which no other split has; the second half 31 to 40 English words.
    """
    sizes = sizes or SIZES
    draft = Draft(seed)
    seen: dict[tuple[str, tuple[str, ...]], str] = {}
    known: set[tuple[str, str]] = set()  # the words of the train part
    splits: dict[str, list[Sentence]] = {split: [] for split in sizes}
    spread: Counter[tuple[str, str]] = Counter()  # how often novel has each of HELD_OUT
    most = 1 + sizes.get("novel", 0) // len(HELD_OUT)  # about half of it would be even

    def add(split: str, node: Node) -> bool:
        """Keep a sentence unless it was said before or has a word that train lacks."""
        sentence = read_out(node)
        texts = [(lang, sentence.words[lang]) for lang in GRAMMAR_LANGUAGES]
        if texts[0] in seen or any(seen.get(text, split) != split for text in texts):
            return False
        words = {(lang, word) for lang, text in texts for word in text}
        if split == "train":
            known.update(words)
        elif sizes.get("train") and not words <= known:
            return False
        seen.update((text, split) for text in texts)
        splits[split].append(sentence)
        return True

    def add_one(split: str, lengths: tuple[int, int], held_out: bool) -> None:
        """Draw until a sentence of this length and kind is found; spread what is held out."""
        while True:
            node = draw(draft, lengths)
            combinations = HELD_OUT & features(node)
            if bool(combinations) != held_out:
                continue
            if held_out and min(spread[pair] for pair in combinations) >= most:
                continue
            if add(split, node):
                spread.update(combinations)
                return

    for split in sorted(sizes, key=lambda name: (name != "train", name)):
        if split == "train":
            for node in seed_trees()[: sizes["train"]]:
                add("train", node)
        while (n := len(splits[split])) < sizes[split]:
            novel = split == "novel"
            if novel and n >= sizes[split] // 2:
                add_one(split, NOVEL_LENGTHS, held_out=False)
            else:
                add_one(split, BUCKETS[n % 4], held_out=novel)
    return splits


def write_corpus(folder: str | Path, seed: int = 0) -> None:
    """Write one .tsv file per split into a folder; each appears whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for split, sentences in generate(seed).items():
        lines = ["\t".join(GRAMMAR_COLUMNS), *("\t".join(sentence.row()) for sentence in sentences)]
        part = folder / f"{split}.tsv.part"
        part.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
        os.replace(part, folder / f"{split}.tsv")
