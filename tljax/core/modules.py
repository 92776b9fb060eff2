"""Load Python code that a user names: a module, or a file anywhere, as a real module."""

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Protocol

from tljax.core.errors import ConfigError

# Name in a config -> (its file, the file's checksum when it was loaded), of the user's own code.
loaded: dict[str, tuple[str, str]] = {}
INSTALLED = ("site-packages", "dist-packages")  # folders of packages, which have versions


class Plugin(Protocol):
    """A plugin of any kind: a module. Each kind has a further protocol, in the package of its folder."""

    @property
    def __name__(self) -> str: ...
    @property
    def __file__(self) -> str | None: ...


def is_file(name: str) -> bool:
    """Whether a name in a config is a Python file, "path/to/mine.py", and not a module."""
    return name.endswith(".py")


def name(module: Plugin) -> str:
    """The last part of a module's name: "mine" for package.mine and for path/to/mine.py."""
    stem = Path(module.__file__ or module.__name__).stem
    return module.__name__.rpartition(".")[2] if stem == "__init__" else stem


def load(name: str, key: str) -> ModuleType:
    """The module of "package.module" or of "path/to/file.py".

    Args:
      key: the key or flag that held the name, for the error.

    Raises:
      ConfigError: the module cannot be found, or fails while it loads.
    """
    if is_file(name):
        return _noted(name, load_file(Path(name), key))
    try:
        return _noted(name, importlib.import_module(name))
    except Exception as error:  # a plugin is code and may raise anything; its author needs the error
        raise ConfigError(f"{key}: '{name}' must be a module that loads: {type(error).__name__}: {error}.") from error


def checksum(file: str) -> str:
    """sha256 of a file."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def beside(file: str) -> list[str]:
    """The files of loaded modules in the folder of a user's file or in its package: what it may have imported.

    Some compiled modules (of scikit-learn) name a file that is nowhere, without its folder.
    """
    root = Path(file).resolve().parent
    while (root.parent / "__init__.py").is_file():
        root = root.parent
    files = {name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items())}
    return sorted(
        file
        for name, file in files.items()
        if file.endswith(".py")
        and Path(file).is_absolute()
        and Path(file).resolve().is_relative_to(root)
        and not set(INSTALLED) & set(Path(file).parts)
        and name.partition(".")[0] not in ("__main__", "tljax")
    )


def _noted(name: str, module: ModuleType) -> ModuleType:
    """The module, noted in `loaded` if it is the user's own file."""
    file = module.__file__
    if file and name not in loaded and not set(INSTALLED) & set(Path(file).parts) and not name.startswith("tljax."):
        loaded[name] = file, checksum(file)
    return module


def load_file(path: Path, key: str) -> ModuleType:
    """A Python file as a module. It can import modules beside it. The same file is loaded only once.

    The module has the file's name, so that dataclasses, pickle and "name:function" find it. If a module of this name is
    already loaded, the name is made from the file's path.

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
