"""What an installed package says of itself, as texts: prose alone, each object once, under the part it stands in."""

import sys
from collections import Counter

import pytest

from configs import default, docstrings
from tljax.core.errors import DataError
from tljax.data.sources import docstrings as source

PACKAGE = {
    "__init__": "__version__ = '1.0'",
    "seas": '''
import numpy as np
from fields import hills
__all__ = ["Tide", "hills", "shore", "Drowned", "LIMIT", "deep", "test"]
LIMIT = 3
class Tide:
    """How the water rises.

    And falls.
    """
class Drowned(ValueError):
    """What is raised under water."""
def shore(x):
    """shore(x)

    Where `x` meets
    the land.

    .. math:: x = 1

    Parameters
    ----------
    x : number
    """
def test():
    """Run the tests."""
from fields.seas import deep
''',
    "seas/deep": """
from fields.seas import Tide
__all__ = ["trench", "Tide"]
def trench():
    "A long hole."
""",
    "hills": """
from fields.seas import shore
__all__ = ["slope", "shore", "bare"]
def slope():
    "How steep."
def bare():
    pass
""",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package "fields" of two parts, one of which has a part of its own."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name, code in PACKAGE.items():
        folder = tmp_path / "fields" / (name if name == "seas" else name.rpartition("/")[0])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name.rpartition('/')[2] if name != 'seas' else '__init__'}.py").write_text(code)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "fields"]:
        del sys.modules[name]


def config(**changes):
    data = default.get_config().data
    data.update(source="docstrings", **changes)
    return data


def test_every_public_object_once_and_only_prose(package):
    dataset = source.load(config(name="fields", classes=("hills", "seas")))
    assert [(row.label, row.id, row.text) for row in dataset.splits["all"].rows] == [
        ("hills", "fields.hills.shore", "Where `x` meets the land."),
        ("hills", "fields.hills.slope", "How steep."),
        ("seas", "fields.seas.Tide", "How the water rises. And falls."),
        ("seas", "fields.seas.deep.trench", "A long hole."),
    ]
    assert dataset.info.classes == ("hills", "seas") and dataset.info.source == "docstrings of fields 1.0"


@pytest.mark.parametrize(
    ("doc", "text"),
    [
        ("f(x[, out])\n\nOne\nline.\n\nA = f(b)\n    is code.", "One line. A = f(b) is code."),
        ("Gamma.\n\nNotes\n-----\nLong.", "Gamma."),
        ("Gamma.\nNotes\n=====\nLong.", "Gamma."),
        ("Parameters\n----------\nx : int", ""),
        ("\n\nA.\n\n    >>> f(1)\n\n>>> f(2)\n\n.. note:: x\n\nB.", "A. B."),
    ],
)
def test_prose(doc, text):
    assert source.prose(doc) == text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"name": "no_such_package"},
            "config.data.name must be an installed package; got 'no_such_package': No module",
        ),
        ({"name": ""}, "config.data.name must be an installed package; got ''"),
        ({"name": "fields", "classes": ("lakes",)}, "must be parts of fields; it has no 'lakes': No module named"),
    ],
)
def test_faults(package, changes, said):
    with pytest.raises(DataError, match=said):
        source.load(config(**changes))


def test_scipy_says_enough_of_every_field():
    data = docstrings.get_config().data
    dataset = source.load(data)
    split = dataset.splits["all"]
    counts = Counter(dataset.info.classes[label] for label in split.labels)
    assert set(counts) == set(docstrings.FIELDS) and min(counts.values()) >= 30 and len(split) > 1200
    texts = {row.id: row.text for row in split.rows}
    assert texts["scipy.linalg.inv"].startswith("Compute the inverse of a matrix.")
    assert len(set(texts.values())) == len(texts)
