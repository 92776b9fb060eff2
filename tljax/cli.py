"""The flags of main.py, exit codes, and where compiled programs are kept."""

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
from absl import flags
from ml_collections import config_flags

from tljax import suite
from tljax.errors import ConfigError, TljaxError

FLAGS = flags.FLAGS


def start(run: Callable[[Any, Path], Any], argv: Sequence[str]) -> int:
    """Parse `argv`, run the config's experiment or suite, and return the exit code."""
    config_flags.DEFINE_config_file("config", "configs/digits.py", "File with get_config(), and :row if it has rows.")
    flags.DEFINE_string("workdir", "", "Folder of the run; default runs/<config>[-row]. A second start resumes it.")
    flags.DEFINE_bool("debug", False, "Show the traceback of an error.")

    def begin() -> None:
        _parse(argv)
        keep_compiled()
        workdir = Path(FLAGS.workdir or _default_folder(argv))
        if FLAGS.config.suite.rows:
            suite.run(run, FLAGS.config, workdir)
        else:
            run(FLAGS.config, workdir)

    return guarded(begin, debug="--debug" in argv)


def guarded(begin: Callable[[], Any], *, debug: bool = False) -> int:
    """0, or the exit code of a TljaxError, whose message is printed without its traceback."""
    try:
        begin()
    except TljaxError as error:
        if debug:
            traceback.print_exc()
        print(f"error: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def keep_compiled() -> None:
    """Keep compiled programs in $TLJAX_CACHE or ~/.cache/tljax: a second start compiles nothing."""
    folder = Path(os.environ.get("TLJAX_CACHE", "~/.cache/tljax")).expanduser() / "xla"
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


def _parse(argv: Sequence[str]) -> None:
    try:
        left = FLAGS(argv)
        FLAGS.config  # noqa: B018  (the file is read here)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError, ImportError) as error:
        raise ConfigError(f"The command line does not fit: {error}\nEvery key stands in configs/default.py.") from error
    if len(left) > 1:
        raise ConfigError(f"Flags must begin with --; got {' '.join(left[1:])}.")


def _default_folder(argv: Sequence[str]) -> str:
    named = next(
        (
            a.partition("=")[2] or b
            for a, b in zip(argv, [*argv[1:], ""], strict=True)
            if a.startswith("--config") and "." not in a.partition("=")[0]
        ),
        "digits",
    )
    path, _, row = named.partition(":")
    return str(Path("runs") / (Path(path).stem + (f"-{row}" if row else "")))
