"""`python -m tfrobust`."""

import sys

from tfrobust.cli import main

if __name__ == "__main__":
    sys.exit(main())
