"""The command line of main.py, exit codes, and where compiled programs are kept."""

import argparse
import contextlib
import io
import os
import re
import shutil
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tljax.core import atomic, caches, config_files, overrides, settings, signals, untrusted
from tljax.core.errors import ConfigError, TljaxError

Run = Callable[[Any, Path], dict[str, Any]]

PREFIX = "--config."
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
    config, workdir = read(arguments)
    from tljax.runs import suite
    from tljax.runs.run import run as experiment

    warnings.formatwarning = _plain
    keep_compiled()
    if config.suite.rows:
        suite.run(run or experiment, config, workdir, flags=split(arguments)[1])
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


def read(arguments: Sequence[str]) -> tuple[Any, Path]:
    """The config with its overrides, checked, and the run folder.

    Raises:
      ConfigError: a flag, a key, a value or the config file does not fit.
    """
    flags, changes = split(arguments)
    options = _parser().parse_args(flags)
    config = overrides.apply(config_files.load(options.config), changes)
    settings.check(config)
    path, _, row = options.config.partition(":")
    workdir = _folder(options.workdir or f"runs/{'-'.join(filter(None, (Path(path).stem, row)))}")
    if workdir.exists() and not workdir.is_dir():
        raise ConfigError(f"--workdir must be a folder, or nothing yet; '{workdir}' is a file.")
    if not (workdir / "result.json").exists():  # of a finished run nothing is written
        atomic.check_folder(workdir)
    return config, workdir


def _folder(name: str) -> Path:
    """The folder that --workdir names; "~" is the home folder."""
    if re.match(r"[a-z][a-z0-9+.-]*://", name):
        raise ConfigError(
            f"--workdir must be a folder of this machine, a mounted one too; '{name}' is an address. Mount it, or copy "
            f"the folder there after the run."
        )
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"--workdir={name} needs a home folder, and this user has none ($HOME is not set)."
        ) from error


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


def entries(text: str) -> list[str]:
    """What stands between the commas of a flag; those within brackets part nothing: "A:KEY=(1,2),B" is two."""
    return re.split(r",(?![^()]*\))", text)


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """(flags, "key=value" of every --config.key=value, --config.key value or --config.key, which is true)."""
    flags, changes, rest = [], [], list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith(PREFIX):
            flags.append(word)
        elif "=" in word:
            changes.append(word.removeprefix(PREFIX))
        else:
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
            changes.append(f"{word.removeprefix(PREFIX)}={value}")
    return flags, changes


def _plain(message: Any, category: type[Warning], filename: str, *rest: Any) -> str:
    """What tljax warns of is for people; what others warn of is for developers, who need to know where."""
    if "tljax" in Path(filename).parts:
        return f"{message}\n"
    return _FORMAT(message, category, filename, *rest)


class Parser(argparse.ArgumentParser):
    """What does not fit is a ConfigError, as everywhere."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"The command line does not fit: {message}.\n{self.format_usage().strip()}")


EPILOG = "Every KEY stands in configs/default.py, or is an option of a plugin: `tljax options` prints them."
CONFIG_HELP = "a Python file with get_config(), or the name of one that comes with tljax; and a row of it"


def _parser() -> Parser:
    usage = "tljax train [--config FILE[:ROW]] [--config.KEY=VALUE ...] [--workdir FOLDER] [--debug]"
    parser = Parser(
        usage=usage,
        allow_abbrev=False,
        epilog=EPILOG,
    )
    parser.add_argument(
        "--config",
        default="configs/digits.py",
        help=CONFIG_HELP,
    )
    parser.add_argument("--workdir", help="folder of the run; default runs/<config>[-row]; a second start resumes it")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser
