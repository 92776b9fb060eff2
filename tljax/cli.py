"""The command line of main.py, exit codes, and the cache of compiled programs."""

import contextlib
import io
import os
import re
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from tljax.core import atomic, caches, signals, untrusted
from tljax.core.errors import ConfigError, DeviceError, TljaxError, of_device
from tljax.core.processes import agreement, ending, joining
from tljax.core.remote import copies, mirror
from tljax.given.flags import Parser, add_short, entries, of_short, read, split

__all__ = ["Parser", "add_short", "entries", "guarded", "keep_compiled", "of_short", "read", "split", "start", "train"]
Run = Callable[[Any, Path], dict[str, Any]]

_FORMAT = warnings.formatwarning
LINES, LONGEST = 9, 1600  # the most lines of an error's message, and the most characters of a line, that are shown
DEVICES = ("cpu", "gpu", "tpu")
ROOM = 2**24  # bytes that must be free on the disk of compiled programs


def start(argv: Sequence[str], *, run: Run | None = None) -> int:
    """Read the command line, run the config's experiment or suite, and return the exit code."""
    arguments = list(argv[1:])

    def begin() -> None:
        joining.join(arguments)  # before `required` touches a device
        train(required(arguments), run=run)

    return guarded(begin, debug="--debug" in argv)


def train(arguments: Sequence[str], *, run: Run | None = None) -> Path:
    """Run the experiment or the suite that the command line asks for; return its folder.

    Args:
      run: replaces `runs.run`. That module takes seconds to import, so a wrong key is reported before the import.

    Raises:
      TljaxError: the command line, the config, data or weights do not fit.
    """
    asked = read(arguments)
    for note in asked.given.notes:
        print(untrusted.printable(note), flush=True)
    config = asked.given.config
    from tljax.runs import suite
    from tljax.runs.run import run as experiment

    warnings.formatwarning = _plain
    keep_compiled()
    if asked.options.dry_run:
        from tljax.runs import dry_run

        dry_run.run(config)
        return asked.workdir
    with mirror.worked_in(asked.home) as workdir:
        if config.suite.rows:
            suite.run(run or experiment, config, workdir, flags=asked.changes)
        else:
            (run or experiment)(config, workdir)
    return workdir


def guarded(begin: Callable[[], Any], *, debug: bool = False) -> int:
    """`outcome`; where several processes are one run, all of them end with the code of the one that failed."""
    said = io.StringIO()
    try:
        code = outcome(begin, debug=debug, also=said)
        if not code:
            agreement.meet()  # a process that is done waits for the others: their end may still be an error
    except Exception as error:
        if agreement.count() == 1:
            raise
        traceback.print_exc()
        ending.expect(first=True)  # where another process has failed, this error follows from it
        ending.together(1, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
        return 1
    if code:
        if code > 128:  # process 0 has most to write: it says when that is done
            ending.expect()
        ending.together(code, said.getvalue().strip())
    return code


def outcome(begin: Callable[[], Any], *, debug: bool = False, also: TextIO) -> int:
    """0, or the exit code of a TljaxError, whose message is printed without its traceback.

    What the system refuses, a full disk or a folder that is not ours, is one too, wherever it happens.

    Args:
      also: is told what stderr is.
    """
    for stream in (sys.stdout, sys.stderr):  # signs that the terminal does not have are replaced
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        with signals.watched():
            begin()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has ended, as `head` does
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # the shell's exit code for a program that SIGPIPE ended
    except (TljaxError, OSError, RuntimeError, MemoryError) as error:
        said = error if isinstance(error, TljaxError) else of_device(error)
        said = atomic.refusal(error) if said is None and isinstance(error, OSError) else said
        if said is None:
            raise
        if debug:
            traceback.print_exc()
        text = _in_short(untrusted.printable(copies.named(str(said))))
        colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        print("\033[1;31merror:\033[0m" if colour else "error:", text, file=sys.stderr)
        print(text, file=also)
        return said.code
    except signals.Stopped as stop:
        _say(f"stopped by {stop}; the same command starts again, a run from its last checkpoint if it has one", also)
        return stop.code
    except KeyboardInterrupt:
        _say("stopped; the same command starts again, a run from its last checkpoint if it has one", also)
        return 130
    return 0


def _in_short(said: str) -> str:
    """The message in at most LINES lines; if something is left out, the whole message is written to a file."""
    lines = said.splitlines()
    half = LONGEST // 2
    short = [x if len(x) <= LONGEST else f"{x[:half]} ... ({len(x):,} characters) ... {x[-half:]}" for x in lines]
    if len(short) > LINES:
        short = [*short[: LINES - 3], f"  ... {len(lines) - LINES + 2:,} lines more", short[-1]]
    if short == lines:
        return said
    with (
        contextlib.suppress(OSError),
        tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="tljax-error-", suffix=".txt", delete=False) as file,
    ):
        file.write(f"{said}\n")
        short.append(f"All of this message is in {file.name}")
    return "\n".join(short)


def required(arguments: Sequence[str]) -> list[str]:
    """The arguments without `--require KIND`; checks that jax computes on this kind of device.

    Raises:
      ConfigError: there is no such kind.
      DeviceError: jax computes on another kind; without an accelerator it uses the CPU.
    """
    rest, kinds = list(arguments), []
    for place in reversed([i for i, word in enumerate(rest) if re.match(r"--require(=|$)", word)]):
        width = 1 if "=" in rest[place] else 2
        kinds.append(rest[place].partition("=")[2] if width == 1 else "".join(rest[place + 1 : place + 2]))
        del rest[place : place + width]
    for kind in kinds:
        if kind not in DEVICES:
            raise ConfigError(f"--require must be one of {', '.join(DEVICES)}; got '{kind}'.")
        import jax

        if jax.default_backend() != kind:
            raise DeviceError(
                f"--require {kind}: jax must compute on a {kind}, and finds {jax.device_count()} x "
                f"{jax.devices()[0].device_kind} ({jax.default_backend()}). Install the jax of that device (pip "
                f"install 'jax[{'tpu' if kind == 'tpu' else 'cuda12'}]'), or leave --require out."
            )
    return rest


def _say(text: str, also: TextIO) -> None:
    for stream in (sys.stderr, also):
        print(text, file=stream)


def keep_compiled() -> None:
    """Cache compiled programs in $TLJAX_CACHE or ~/.cache/tljax, so that a second start does not compile.

    If the folder cannot be written, a message says so, and every start compiles again. All caches together hold at most
    $TLJAX_CACHE_GIB.
    """
    most = caches.limit()
    try:
        folder = caches.folder("xla")
        if (gone := caches.trim_hourly()).entries:
            print(
                f"caches: {gone.bytes / 2**30:.1f} GiB that were not used for the longest are removed; "
                f"$TLJAX_CACHE_GIB, the limit of all together, is {most / 2**30:g}",
                file=sys.stderr,
            )
        atomic.make_folder(folder)
        if shutil.disk_usage(folder).free < ROOM:  # jax would repeat the message for every program
            raise ConfigError(f"'{folder}' must have {ROOM / 2**20:g} MiB free. Make room, or set $TLJAX_CACHE.")
    except ConfigError as error:
        print(f"compiled programs are not kept. {error}", file=sys.stderr)
        return
    import jax

    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _plain(message: Any, category: type[Warning], filename: str, *rest: Any) -> str:
    """A warning as text: those of tljax are for users; those of other packages keep their place, for developers."""
    if "tljax" in Path(filename).parts:
        return f"{message}\n"
    return _FORMAT(message, category, filename, *rest)
