"""The errors a person can cause, each with the exit code that scripts can rely on.

A message says what must hold, what was got, all the names, and what to do next.
"""

from collections.abc import Callable
from typing import Any


class TljaxError(Exception):
    """Something outside the code is wrong; `main` prints the message and exits with `code`."""

    code = 1


class ConfigError(TljaxError):
    """A key, a type or a value of the config does not fit."""

    code = 2


class DataError(TljaxError):
    """Examples are missing, unreadable or contradict each other."""

    code = 3


class WeightsError(TljaxError):
    """Pretrained weights or a checkpoint are missing, damaged or of another architecture."""

    code = 4


def gather(*steps: Callable[[], Any]) -> list[Any]:
    """Run every step and return the results; failures are reported together, not one at a time.

    Raises:
      TljaxError: the one failure as it is, or all of them in one message under the first one's code.
    """
    results, failures = [], []
    for step in steps:
        try:
            results.append(step())
        except TljaxError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise type(failures[0])("\n".join(str(failure) for failure in failures))
    return results
