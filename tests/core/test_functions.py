"""A function by its place: module, dotted path or file; what is wrong is said with what there is."""

import dataclasses

import pytest

from tljax.core import functions
from tljax.core.errors import ConfigError

FILE = """
from __future__ import annotations
import dataclasses

@dataclasses.dataclass
class Wish:
    name: str = "x"

def grant(wish: str) -> Wish:
    return Wish(wish)
"""


@pytest.mark.parametrize("path", ["math:sqrt", "math.sqrt"])
def test_a_function_of_a_module(path):
    assert functions.find(path, "a root")(9) == 3


@pytest.mark.parametrize("name", [":grant", ""])
def test_a_function_of_a_file_is_one_of_a_real_module_and_loaded_once(tmp_path, name):
    file = tmp_path / "wishes.py"
    file.write_text(FILE)
    found = functions.find(f"{file}{name}", "a wish")
    assert dataclasses.asdict(found("peace")) == {"name": "peace"}
    assert functions.find(f"{file}{name}", "a wish") is found


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("sqrt", "'sqrt' must be a root, or a function by its place: 'package.module:function'"),
        ("math:", "must be a root, or a function by its place"),
        ("math:sqr", "names no function of math. Its functions are none"),
        ("nowhere:sqrt", "No module named 'nowhere'"),
        ("math:pi", "and so a function; it is a float"),
        ("/nowhere/roots.py:sqrt", "'/nowhere/roots.py' is none"),
    ],
)
def test_what_is_no_function(path, message):
    with pytest.raises(ConfigError, match=message):
        functions.find(path, "a root")


def test_what_is_wrong_in_a_file_is_said(tmp_path):
    (tmp_path / "broken.py").write_text("def f(:\n")
    with pytest.raises(ConfigError, match="SyntaxError"):
        functions.find(f"{tmp_path}/broken.py:f", "a root")
