"""The command line of main.py, exit codes, and where compiled programs are kept."""

import contextlib
import io
import os
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tljax.core import atomic, caches, signals, untrusted
from tljax.core.errors import ConfigError, TljaxError
from tljax.given.flags import Parser, entries, read, split

__all__ = ["Parser", "entries", "guarded", "keep_compiled", "read", "split", "start", "train"]
Run = Callable[[Any, Path], dict[str, Any]]

_FORMAT = warnings.formatwarning
ROOM = 2**24  # bytes that must be free where compiled programs are kept


def start(argv: Sequence[str], *, run: Run | None = None) -> int:
    """Read the command line, run the config's experiment or suite, and return the exit code."""
    return guarded(lambda: train(argv[1:], run=run), debug="--debug" in argv)


def train(arguments: Sequence[str], *, run: Run | None = None) -> None:
    """Run the experiment or the suite that the command line asks for.

    Args:
      run: in the place of `runs.run`, which with all that computes takes seconds to import: a key that does not fit is
        said before.

    Raises:
      TljaxError: the command line, the config, data or weights do not fit.
    """
    asked = read(arguments)
    for note in asked.given.notes:
        print(untrusted.printable(note), flush=True)
    config, workdir = asked.given.config, asked.workdir
    from tljax.runs import suite
    from tljax.runs.run import run as experiment

    warnings.formatwarning = _plain
    keep_compiled()
    if config.suite.rows:
        suite.run(run or experiment, config, workdir, flags=asked.changes)
    else:
        (run or experiment)(config, workdir)


def guarded(begin: Callable[[], Any], *, debug: bool = False) -> int:
    """0, or the exit code of a TljaxError, whose message is printed without its traceback.

    What the system refuses, a full disk or a folder that is not ours, is one too, wherever it happens.
    """
    for stream in (sys.stdout, sys.stderr):  # where a terminal lacks a sign, another stands for it
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        with signals.watched():
            begin()
        sys.stdout.flush()
    except BrokenPipeError:  # who read the output has seen enough, as `head` does
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as the shell says of a program that SIGPIPE ended
    except (TljaxError, OSError) as error:
        said = atomic.refusal(error) if isinstance(error, OSError) else error
        if said is None:
            raise
        if debug:
            traceback.print_exc()
        print(untrusted.printable(f"error: {said}"), file=sys.stderr)
        return said.code
    except signals.Stopped as stop:
        print(f"stopped by {stop}; the same command goes on from the last checkpoint", file=sys.stderr)
        return stop.code
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def keep_compiled() -> None:
    """Keep compiled programs in $TLJAX_CACHE or ~/.cache/tljax: a second start compiles nothing.

    Where that takes no files, it is said, and every start compiles anew. All caches are held to $TLJAX_CACHE_GIB.
    """
    most = caches.limit()
    try:
        folder = caches.folder("xla")
        if (gone := caches.trim()).entries:
            print(
                f"caches: {gone.bytes / 2**30:.1f} GiB that were not used for the longest are removed; "
                f"$TLJAX_CACHE_GIB, the limit of all together, is {most / 2**30:g}",
                file=sys.stderr,
            )
        atomic.make_folder(folder)
        if shutil.disk_usage(folder).free < ROOM:  # jax would say it again for every program
            raise ConfigError(f"'{folder}' must have {ROOM / 2**20:g} MiB free. Make room, or set $TLJAX_CACHE.")
    except ConfigError as error:
        print(f"compiled programs are not kept. {error}", file=sys.stderr)
        return
    import jax

    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _plain(message: Any, category: type[Warning], filename: str, *rest: Any) -> str:
    """What tljax warns of is for people; what others warn of is for developers, who need to know where."""
    if "tljax" in Path(filename).parts:
        return f"{message}\n"
    return _FORMAT(message, category, filename, *rest)
