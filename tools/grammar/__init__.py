"""The grammar that writes the course's four-way corpus: English, French, Japanese, Korean.

One tree of phrases is built for a sentence and then read out in four languages. Each English word
carries a key, and each word of the other languages carries the keys of the English words that it
stands for: the gold alignment is the set of shared keys, so it is right by construction.

Run `python -m tools.grammar data/grammar` to write the corpus; the same seed gives the same bytes.

The speaker is a man in French ("je suis rentré", as "je suis un chat"), every name has a fixed
gender, and a pair of names is a woman and a man: one English sentence has one translation.

From the words to the files: lexicon (the words), trees (what a sentence is made of), english,
french, and verb_last with japanese and korean (how each language reads a tree), phrases (parts of
sentences in all four), reading (a tree becomes four aligned sentences); frames and plans (what
makes sense), draft (the sentence in the making), people, things, clauses, being, sentences and
reasons (what is chosen), patterns (which sentence, by its length), corpus (the splits).
"""
