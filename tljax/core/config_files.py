"""Config files: the user's own, and those that come with tljax, found by name."""

import importlib
import importlib.util
import inspect
import sys
import types
from pathlib import Path

from ml_collections import ConfigDict

from tljax.core import modules
from tljax.core.errors import ConfigError
from tljax.core.near_names import paths

HERE = Path(__file__).parents[1]
SHIPPED = next((folder for folder in (HERE / "configs", HERE.parent / "configs") if folder.is_dir()), HERE / "configs")


def load(name: str) -> ConfigDict:
    """The result of `get_config(row)` for "path/to/file.py:row"; of `get_config()` for a name without a row.

    "digits" is configs/digits.py in this folder, else the config of tljax. A config file is a real module: it can
    import modules beside it, and its functions can be named as "its_name:function".

    Raises:
      ConfigError: no such file, or it fails.
    """
    path, _, row = name.partition(":")
    place = find(path)
    make_importable()
    module = modules.load_file(place, f"--config={path}")
    if not hasattr(module, "get_config"):
        raise ConfigError(f"--config={path} must define get_config(); '{place}' does not.")
    if row and not inspect.signature(module.get_config).parameters:
        raise ConfigError(f"--config={name} must name a row that there is; get_config() of '{place}' has no rows.")
    try:
        return module.get_config(*([row] if row else []))
    except Exception as error:  # a config is code and may raise anything; its author needs the error
        raise ConfigError(f"--config={name} must load, but fails: {type(error).__name__}: {error}") from error


def default() -> ConfigDict:
    """Every key at its default: what `configs/default.py` makes."""
    make_importable()
    return importlib.import_module("configs.default").get_config()


def find(path: str) -> Path:
    """The config file with this path or name.

    Raises:
      ConfigError: there is none; the message lists the configs that come with tljax.
    """
    if Path(path).is_file():
        return Path(path)
    if Path(path).parent in (Path(), Path("configs")):
        for place in (Path("configs") / f"{path}.py", SHIPPED / f"{Path(path).stem}.py"):
            if place.is_file():
                return place
    raise ConfigError(
        f"There must be a folder or table of examples, a Python file with get_config(), or a config that comes with "
        f"tljax ({', '.join(names())}); got '{path}', which is none of these.{paths.near(path)}"
    )


def names() -> list[str]:
    """The configs that come with tljax."""
    return sorted(file.stem for file in SHIPPED.glob("[!_]*.py") if file.stem != "default")


def make_importable() -> None:
    """Let `from configs import default` find tljax's default, even if the user has a package `configs`."""
    if "configs" not in sys.modules and importlib.util.find_spec("configs") is None:
        package = types.ModuleType("configs", "The configs that come with tljax.")
        package.__path__ = []
        sys.modules["configs"] = package
    configs = importlib.import_module("configs")
    if str(SHIPPED) not in configs.__path__:
        configs.__path__ = [*configs.__path__, str(SHIPPED)]
