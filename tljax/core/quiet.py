"""Hide the logs and prints of other libraries about a failure for which tljax raises an error of its own."""

import contextlib
import gc
import io
import logging
import sys
import time
import traceback
import types
from collections.abc import Iterator

LATE = 0.5  # seconds in which tensorstore's threads may print after a failure
LOGGERS = ("absl", "orbax", "asyncio")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """A context: if its code fails, the output of orbax and tensorstore is dropped; else it is printed at the end."""
    loggers, printed = [logging.getLogger(name) for name in LOGGERS], io.StringIO()
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with contextlib.redirect_stderr(printed):
            try:
                yield
            except Exception as error:
                time.sleep(LATE)
                _delete_tasks(error)
                raise
        sys.stderr.write(printed.getvalue())
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _delete_tasks(error: BaseException) -> None:
    """Delete the asyncio tasks that the frames of `error` hold, now, while their logger is off.

    Several tasks may fail, and only one error is raised. The others log their tracebacks when they are deleted. Without
    this function that is when the error itself is deleted, long after the context.
    """
    chained: BaseException | None = error
    while chained is not None:
        for inner, _ in traceback.walk_tb(chained.__traceback__):
            frame: types.FrameType | None = inner
            while frame is not None:  # its callers too: since Python 3.13 they live as long as it does
                with contextlib.suppress(RuntimeError):  # it still runs
                    frame.clear()
                frame = frame.f_back
        chained = chained.__cause__ or chained.__context__
    gc.collect()
