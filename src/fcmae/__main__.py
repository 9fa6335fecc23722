"""`python -m fcmae`, as torchrun needs it."""

import sys

from fcmae.cli import main

if __name__ == "__main__":
    sys.exit(main())
