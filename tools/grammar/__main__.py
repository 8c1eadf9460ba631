"""Write the grammar corpora: `python -m tools.grammar data/grammar`."""

import argparse

from tools.grammar.corpus import write_corpus

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m tools.grammar", description="Write the grammar corpora."
    )
    parser.add_argument("folder", help="where the .tsv files go, e.g. data/grammar")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    write_corpus(arguments.folder, arguments.seed)
