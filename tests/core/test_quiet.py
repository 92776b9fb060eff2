"""What other libraries print about a failure is hidden, and what they print otherwise is not."""

import asyncio
import contextlib
import gc
import sys

from tljax.core.quiet import quiet


async def _write(path: str) -> None:
    raise OSError(f"{path}: the disk is full")


def _write_two() -> None:
    """Two tasks fail; the error of the first is raised, and nobody asks for that of the second."""
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(_write(path)) for path in ("a", "b")]
    loop.run_until_complete(asyncio.wait(tasks))
    loop.close()
    tasks[0].result()


def test_a_task_that_failed_beside_another_says_nothing_after_the_error(caplog):
    with contextlib.suppress(OSError), quiet():
        _write_two()
    gc.collect()
    assert not caplog.records


def test_what_is_printed_without_a_failure_is_kept(capsys):
    with quiet():
        print("a warning", file=sys.stderr)
    assert capsys.readouterr().err == "a warning\n"
