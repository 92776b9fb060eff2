"""Around what fails with an error of our own: without what other libraries log and print about it."""

import contextlib
import io
import logging
import sys
import time
from collections.abc import Iterator

LATE = 0.5  # seconds in which tensorstore's threads may print after a failure


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Where it fails, the tracebacks that orbax logs and tensorstore prints are left out; else all is printed then."""
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
