"""One experiment, from a clone: `python main.py --config configs/digits.py --workdir runs/digits`."""

import sys

from tljax.cli import start

if __name__ == "__main__":
    sys.exit(start(sys.argv))
