"""Python that a user names: a module, or a file that lies anywhere, loaded as a real module of its own."""

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Protocol

from tljax.core.errors import ConfigError


class Plugin(Protocol):
    """A file of any kind, as a module. What a kind has besides is a protocol of its own, beside its folder."""

    @property
    def __name__(self) -> str: ...
    @property
    def __file__(self) -> str | None: ...


def is_file(name: str) -> bool:
    """Whether a name in a config means a Python file, "path/to/mine.py", and not a module."""
    return name.endswith(".py")


def name(module: Plugin) -> str:
    """A module's last name, "mine" of package.mine and of path/to/mine.py."""
    stem = Path(module.__file__ or module.__name__).stem
    return module.__name__.rpartition(".")[2] if stem == "__init__" else stem


def load(name: str, key: str) -> ModuleType:
    """The module of "package.module" or of "path/to/file.py".

    Args:
      key: what the name was given for, for the error.

    Raises:
      ConfigError: it cannot be found, or fails while it loads.
    """
    if is_file(name):
        return load_file(Path(name), key)
    try:
        return importlib.import_module(name)
    except Exception as error:  # a plugin is code; whatever it raises, its author wants to know
        raise ConfigError(f"{key}: '{name}' must be a module that loads: {type(error).__name__}: {error}.") from error


def load_file(path: Path, key: str) -> ModuleType:
    """A Python file as a module; what lies beside it can be imported from it. The same file is loaded once.

    Its name is the file's own, so that dataclasses, pickles and "name:function" find it; where a module of that name
    is there already, a name of the file's place.

    Raises:
      ConfigError: see `load`.
    """
    place = path.expanduser().resolve()
    if not place.is_file():
        raise ConfigError(f"{key} must be a Python file; '{path}' is none (looked at {place}).")
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == str(place) and getattr(module, "__spec__", None):
            return module
    name = place.stem
    if name in sys.modules or not name.isidentifier() or importlib.util.find_spec(name):
        name = f"file_{hashlib.sha256(str(place).encode()).hexdigest()[:12]}_{place.stem}"
    if str(place.parent) not in sys.path:
        sys.path.append(str(place.parent))
    spec = importlib.util.spec_from_file_location(name, place)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{key} must be a Python file (.py); got '{path}'.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(f"{key}: '{path}' must load, but fails: {type(error).__name__}: {error}") from error
    return module
