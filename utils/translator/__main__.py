"""`python -m utils.translator`."""

import sys

from utils.translator.commands import main

if __name__ == "__main__":
    sys.exit(main())
