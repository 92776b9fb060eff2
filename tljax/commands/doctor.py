"""What this machine has: versions, devices, memory, disk, caches and weights; each line is ok or says what to do."""

import argparse
from collections.abc import Sequence

from tljax.core.errors import ConfigError
from tljax.core.untrusted import printable
from tljax.reporting import machine


def main(arguments: Sequence[str]) -> None:
    """`tljax doctor`: it writes nothing and does not use the network.

    Raises:
      ConfigError: something that tljax needs is missing or wrong; all lines are printed first.
    """
    argparse.ArgumentParser(prog="tljax doctor", description=__doc__).parse_args(arguments)
    wrong = []
    for line in machine.look():
        state = "ok" if not line.advice else "TO DO" if line.needed else "-"
        wrong += [line.what] if line.advice and line.needed else []
        print(printable(f"{state:5s} {line.what}: {line.found}"))
        if line.advice:
            print(printable(f"      {line.advice}"))
    if wrong:
        raise ConfigError(f"This machine needs a hand, as said above: {', '.join(wrong)}.")
