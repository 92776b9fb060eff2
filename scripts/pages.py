"""What `make docs` adds to docs/: pages of the repository, the reference from docstrings, the picture of the rooms.

mkdocs calls the functions whose names begin with `on_` (`hooks` of mkdocs.yml).
"""

import ast
import io
import re
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {f"{name}.md": f"{name.upper()}.md" for name in ("contributing", "security", "changelog")}
_HELD = ast.parse((ROOT / "tests" / "test_rooms.py").read_text(encoding="utf-8")).body  # the order that a test holds
ROOMS: tuple[str, ...] = next(
    ast.literal_eval(node.value)
    for node in _HELD
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ROOMS"
)
PICTURE = "rooms.svg"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The reference comes into the navigation after the pages of docs/, a page a room."""
    pages = ["reference/index.md", *(f"reference/{room}.md" for room in ROOMS)]
    config.nav = [*(config.nav or []), {"Reference": pages}, *PAGES]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not files of docs/."""
    for page, source in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, "reference/index.md", content=_contents()))
    for room in ROOMS:
        files.append(File.generated(config, f"reference/{room}.md", content=_reference(room)))
    files.append(File.generated(config, PICTURE, content=_picture()))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Links as the repository has them, to pages of the site; the picture where a page asks for it."""
    for page, source in PAGES.items():
        markdown = markdown.replace(f"](../{source})", f"]({page})")
        markdown = markdown.replace(f"]({source})", f"]({page})")
    markdown = re.sub(r"\]\(docs/([\w/-]+\.md)\)", r"](\1)", markdown)
    alternative = "The rooms from the ground up, each with its size; a number is how many imports a room has of another"
    return markdown.replace("<!-- picture of the rooms -->", f"![{alternative}]({PICTURE})")


def _modules(room: str) -> list[str]:
    """Dotted names of a room's modules that have something public: its own files first, then those of its folders."""
    files = [file for file in (ROOT / "tljax" / room).rglob("*.py") if file.name != "__init__.py"]
    files.sort(key=lambda file: (len(file.parts), file))
    return [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]


def _reference(room: str) -> str:
    """The page of a room: what its `__init__` says, then every module."""
    names = [f"tljax.{room}", *_modules(room)]
    return f"# {room}\n" + "".join(f"\n## `{name}`\n::: {name}\n" for name in names)


def _contents() -> str:
    """The first page of the reference: a line a room."""
    lines = [f"- [{room}]({room}.md): {_said(room)}" for room in ROOMS]
    return "# Reference\nFrom the docstrings, a page a room, from the ground up.\n\n" + "\n".join(lines) + "\n"


def _said(room: str) -> str:
    text = (ROOT / "tljax" / room / "__init__.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").splitlines()[0]


def imports() -> dict[tuple[str, str], int]:
    """(room, another room) -> how many import lines of the first name the second."""
    found: dict[tuple[str, str], int] = {}
    for room in ROOMS:
        for file in (ROOT / "tljax" / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tljax."):
                    names = [str(node.module)]
                elif isinstance(node, ast.ImportFrom) and node.module == "tljax":
                    names = [f"tljax.{alias.name}" for alias in node.names]
                else:
                    continue
                for name in names:
                    other = name.split(".")[1]
                    if other != room and other in ROOMS:
                        found[room, other] = found.get((room, other), 0) + 1
    return found


def _picture() -> str:
    """An SVG: rooms from the ground up; a number in row A under column B is how many imports A has of B."""
    found, count = imports(), len(ROOMS)
    figure = Figure(figsize=(9, 5.2))
    axes = figure.add_subplot()
    most = max(found.values())
    for (room, other), number in found.items():
        x, y = ROOMS.index(other), ROOMS.index(room)
        axes.add_patch(mpl.patches.Rectangle((x, y), 1, 1, color="#3f51b5", alpha=0.15 + 0.7 * number / most, lw=0))
        axes.text(x + 0.5, y + 0.5, str(number), ha="center", va="center", fontsize=9)
    for place, room in enumerate(ROOMS):
        axes.add_patch(mpl.patches.Rectangle((place, place), 1, 1, color="#455a64", lw=0))
        axes.text(place + 0.5, place + 0.5, room, ha="center", va="center", fontsize=7, color="white")
        files = [ROOT / Path(*name.split(".")).with_suffix(".py") for name in _modules(room)]
        lines = sum(file.read_text(encoding="utf-8").count("\n") for file in files)
        label = f"{room}   {len(files)} files, {lines:,} lines"
        axes.text(-0.15, place + 0.5, label, ha="right", va="center", fontsize=9)
    axes.set(xlim=(-5.6, count), ylim=(0, count))
    axes.axis("off")
    figure.tight_layout(pad=0.2)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=False)
    return out.getvalue()
