"""The docstrings of an installed Python package: real prose without a download.

The class of a text is its part of the package: "Solve the equation a @ x = b" is from scipy's linalg. The texts are
prose from a dozen fields; scipy (BSD-3-Clause) is installed with tljax.
"""

import importlib
import inspect
import re
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from ml_collections import ConfigDict

from tljax.core.errors import DataError
from tljax.core.options import Option
from tljax.core.types import Dataset
from tljax.data import texts
from tljax.data.texts import Row

OPTIONS = {
    "name": Option("", "The Python package, such as scipy."),
}

HEADING = re.compile(r"^[-=~]{3,}$", re.MULTILINE)  # the line below a section's title, as numpydoc has it
SIGNATURE = re.compile(r"\w+(\.\w+)*\(.*")


def load(config: ConfigDict) -> Dataset:
    """The public objects of every part of the package `data.name` as the split "all", each once.

    If `data.classes` is set, only these parts are imported. A text is the docstring up to its first section
    ("Parameters"), without signatures, formulas and remarks on versions.

    Raises:
      DataError: there is no such package, or no such part in it; see also `texts.dataset`.
    """
    package = _import(config.name, f"config.data.name must be an installed package; got '{config.name}'")
    parts = tuple(config.classes) or tuple(name for name in _public(package) if not name.startswith("_"))
    rows, documented = [], set()
    for part in parts:
        name = f"{config.name}.{part}"
        module = _import(name, f"config.data.classes must be parts of {config.name}; it has no '{part}'")
        for place, thing in _documented(module, name):
            text = prose(inspect.getdoc(thing) or "")
            if id(thing) not in documented and text:
                documented.add(id(thing))
                rows.append(Row(text, "", part, place))
    version = getattr(package, "__version__", "")
    return texts.dataset({"all": rows}, f"docstrings of {config.name} {version}", config)


def prose(doc: str) -> str:
    """The sentences of a docstring before its first section, on one line."""
    if heading := HEADING.search(doc):
        doc = doc[: heading.start()].rstrip("\n").rpartition("\n")[0]  # the title above the line goes too
    paragraphs = re.split(r"\n\s*\n", doc.strip("\n"))
    prose = [" ".join(part.split()) for part in paragraphs if not part.startswith(("..", " ", ">>>"))]
    return " ".join(part for part in prose if part and not SIGNATURE.fullmatch(part))


def _documented(module: ModuleType, name: str) -> Iterator[tuple[str, Any]]:
    """(name, object) for public objects of `module`, then of its public modules; without exceptions and tests."""
    for word in sorted(_public(module), key=lambda word: (inspect.ismodule(vars(module).get(word)), word)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is deprecated
            thing = getattr(module, word, None)
        if inspect.ismodule(thing):
            if thing.__name__.startswith(f"{name}."):
                yield from _documented(thing, thing.__name__)
        elif callable(thing) and word != "test" and not (inspect.isclass(thing) and issubclass(thing, BaseException)):
            yield f"{name}.{word}", thing


def _public(module: ModuleType) -> list[str]:
    return list(getattr(module, "__all__", ()) or (name for name in vars(module) if not name.startswith("_")))


def _import(name: str, must: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (ImportError, ValueError) as error:
        raise DataError(f"{must}: {error}.") from error
