"""`python -m tljax VERB ...`, also installed as `tljax`: a verb is a file in tljax/commands/."""

import sys
from collections.abc import Sequence

from tljax.cli import guarded
from tljax.core import plugins


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb and return its exit code; without one, list them."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        for verb in plugins.available("commands"):
            summary = (plugins.find("commands", verb).__doc__ or "").splitlines()[0]
            print(f"tljax {verb:12s} {summary}")
        return 0
    return guarded(lambda: plugins.find("commands", arguments[0]).main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main())
