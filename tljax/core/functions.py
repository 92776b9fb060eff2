"""Find a function by its path: "package.module:function", "package.module.function" or "path/to/file.py:function"."""

import inspect
from collections.abc import Callable
from typing import Any

from tljax.core import modules
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
        module = modules.load(place, "a function's place")
    except ConfigError as error:
        raise ConfigError(f"'{path}' must be {what}, or importable as {FORMS}: {error}") from error
    functions = [key for key, value in vars(module).items() if inspect.isfunction(value) and key[0] != "_"]
    own = [key for key in functions if vars(module)[key].__module__ == module.__name__]
    name = name or (own[0] if len(own) == 1 else "")
    if name not in vars(module):
        raise ConfigError(
            f"'{path}' must be importable as {FORMS}: it names no function of {place}. "
            f"Its functions are {', '.join(own or functions) or 'none'}."
        )
    function = vars(module)[name]
    if not callable(function):
        raise ConfigError(f"'{path}' must be {what}, and so a function; it is a {type(function).__name__}.")
    return function
