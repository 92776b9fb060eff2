"""Find a function by its path: "package.module:function", "package.module.function" or "path/to/file.py:function"."""

import importlib
import importlib.util
import inspect
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from tljax.core.errors import ConfigError

FORMS = "'package.module:function', 'package.module.function' or 'path/to/file.py:function'"


def find(path: str, what: str) -> Callable[..., Any]:
    """The function that `path` names; a path without a function's name means the module's only function.

    Args:
      what: what the function must be, for the error: "a schedule (constant, cosine)".

    Raises:
      ConfigError: `path` has none of the three forms, or cannot be imported, or is not a function.
    """
    place, colon, name = path.partition(":")
    if not colon and not place.endswith(".py"):
        place, dot, name = path.rpartition(".")
        colon = dot
    if not place or (colon and not name):
        raise ConfigError(f"'{path}' must be {what}, or a function by its place: {FORMS}.")
    try:
        module = _file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except Exception as error:  # the file is the user's, and may raise anything
        raise ConfigError(
            f"'{path}' must be {what}, or importable as {FORMS}: {type(error).__name__}: {error}."
        ) from error
    functions = [key for key, value in vars(module).items() if inspect.isfunction(value) and key[0] != "_"]
    own = [key for key in functions if vars(module)[key].__module__ == module.__name__]
    name = name or (own[0] if len(own) == 1 else "")
    if name not in vars(module):
        raise ConfigError(
            f"'{path}' must be importable as {FORMS}: it names no function of {place}. "
            f"Its functions are {', '.join(own or functions) or 'none'}."
        )
    found = vars(module)[name]
    if not callable(found):
        raise ConfigError(f"'{path}' must be {what}, and so a function; it is a {type(found).__name__}.")
    return found


def _file(path: Path) -> ModuleType:
    """The module of a file, loaded once; a real module, which dataclasses and pickle can find."""
    path = path.expanduser().resolve()
    name = f"{path.stem}_of_{zlib.crc32(bytes(path.parent)):08x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
