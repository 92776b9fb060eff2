"""The rooms of the house: imports between them point down, plugins never import each other, every module loads."""

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

from tljax.core.plugins import FOLDERS

ROOT = Path(__file__).parents[1]
# From the ground up: a room may import those before it. Beside the rooms stand `cli`, which the verbs share, and above
# all `__main__` and `main.py`.
ROOMS = (
    "core",
    "networks",
    "weights",
    "data",
    "transfer",
    "reporting",
    "tasks",
    "training",
    "serving",
    "runs",
    "given",
    "commands",
)
ORDER = (*ROOMS[:-1], "cli", "commands", "__main__", "main")
FILES_A_ROOM = 21  # a room that needs more holds two ideas
PACKAGES = {f"tljax.{folder}" for folder in FOLDERS.values()}


def imported(file: Path) -> set[str]:
    """The modules of tljax that a file imports, as dotted names."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "tljax":
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.startswith("tljax.")}
    return names


def dotted(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def room(name: str) -> str:
    """ "networks" of "tljax.networks.ops"; "main" of "main"."""
    parts = name.split(".")
    return parts[1] if parts[0] == "tljax" else parts[0]


def plugin_folder(name: str) -> str | None:
    """ "tljax.networks.families" of "tljax.networks.families.vit", and of what is in that; not of its protocols."""
    for package in PACKAGES:
        first = name.removeprefix(f"{package}.").split(".")[0]
        if name.startswith(f"{package}.") and (ROOT / package.replace(".", "/") / f"{first}.py").exists():
            return package
    return None


FILES = [ROOT / "main.py", *(p for p in sorted((ROOT / "tljax").rglob("*.py")) if p.name != "__init__.py")]


@pytest.mark.parametrize("file", FILES, ids=dotted)
def test_imports_point_down(file):
    own = room(dotted(file))
    found = {name for name in imported(file) if name != "tljax.__version__"}
    upward = sorted(name for name in found if ORDER.index(room(name)) > ORDER.index(own))
    assert upward == [], f"{own} may not import {upward}"


@pytest.mark.parametrize("file", [file for file in FILES if plugin_folder(dotted(file))], ids=dotted)
def test_plugins_never_import_each_other(file):
    sideways = sorted(name for name in imported(file) if plugin_folder(name))
    assert sideways == []


def test_every_file_stands_in_a_room():
    assert {room(dotted(file)) for file in FILES} == set(ORDER)


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_says_what_it_is_and_is_no_larger_than_one_can_see(name):
    folder = ROOT / "tljax" / name
    said = importlib.import_module(f"tljax.{name}").__doc__ or ""
    assert len(said.splitlines()) > 2, (
        f"tljax/{name}/__init__.py must say what is in here, what goes in, comes out, may not be"
    )
    assert len([file for file in folder.glob("*.py") if file.name != "__init__.py"]) <= FILES_A_ROOM


def test_the_tests_mirror_the_rooms():
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and list(path.glob("test_*.py"))}
    assert folders <= {*ROOMS, "faults", "parity"}


@pytest.mark.parametrize("package", ["tljax", "configs"])
def test_every_module_loads(package):
    root = importlib.import_module(package)
    names = [module.name for module in pkgutil.walk_packages(root.__path__, f"{package}.")]
    assert names
    for name in names:
        assert importlib.import_module(name).__doc__, f"{name} must say what it is"


# Imported inside of functions, by what needs it alone.
HEAVY = {"tljax.data.tokenizer": {"transformers"}, "tljax.weights.formats.pth": {"torch"}}


def test_the_network_is_free_of_torch_and_tensorflow():
    for file in FILES:
        heavy = {"torch", "tensorflow", "transformers"} - HEAVY.get(dotted(file), set())
        tree = ast.parse(file.read_text())
        top = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        top |= {(n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert not top & heavy, file


@pytest.mark.parametrize("file", FILES, ids=dotted)
def test_text_is_read_and_written_as_utf_8_whatever_the_locale(file):
    """Without `encoding`, Python takes the locale's: with LC_ALL=C a run would fail at its last line."""
    bad = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or any(keyword.arg == "encoding" for keyword in node.keywords):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        binary = re.search("'[rwax]b'", ast.unparse(node))
        if name in ("read_text", "write_text") or (name == "open" and not binary and _is_of_a_file(node)):
            bad.append(node.lineno)
    assert bad == []


def _is_of_a_file(call: ast.Call) -> bool:
    """`path.open("w")` and `open(path)`, but not `Image.open(file)`, `tarfile.open(file)` or `os.open(file, flags)`."""
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return not (isinstance(owner, ast.Name) and owner.id in ("Image", "tarfile", "os", "archive"))


def test_no_two_files_of_tests_have_one_name():
    """pytest takes them for one module, and does not collect the second."""
    names = [file.name for file in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
