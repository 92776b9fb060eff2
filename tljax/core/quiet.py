"""Hide the logs and prints of other libraries about a failure for which tljax raises an error of its own."""

import contextlib
import io
import logging
import sys
import time
from collections.abc import Iterator

LATE = 0.5  # seconds in which tensorstore's threads may print after a failure


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """A context: if its code fails, the output of orbax and tensorstore is dropped; else it is printed at the end."""
    loggers, printed = [logging.getLogger(name) for name in ("absl", "orbax")], io.StringIO()
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with contextlib.redirect_stderr(printed):
            try:
                yield
            except Exception:
                time.sleep(LATE)
                raise
        sys.stderr.write(printed.getvalue())
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
