"""The pages docs/how-to/: their files are written, and their commands run, as a reader would."""

import re
import shlex
from pathlib import Path

import pytest

from tljax.__main__ import main
from tljax.core import plugins

PAGES = Path(__file__).parents[1] / "docs" / "how-to"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\w+\.py)\n")
# What shows that the reader's own code ran.
SAID = {
    "strategy": "phase 'two rates'.*config.strategy.gamma.*phase 'steepest'",
    "optimizer": "quick.*conv1 .*sgd",
    "network": r"tiny.*runs/tiny/export/npz\.npz",
    "data-source": "standing.*lying.*test accuracy",
    "task": "focal.*test accuracy",
    "together": "standing.*phase 'two rates'",
    "verb": r"\d,\d+ +backbone/\S+",
}
OTHERS = sorted(page.stem for page in PAGES.glob("*.md") if page.stem != "index")


def files(page: str) -> dict[str, str]:
    """The Python files that a page shows, by name."""
    found = {}
    for language, text in BLOCK.findall((PAGES / f"{page}.md").read_text(encoding="utf-8")):
        if language == "python":
            name = FILE.match(text)
            assert name, f"{page}.md: a block of Python must begin with the name of its file"
            found[name[1]] = text
    return found


def commands(page: str) -> list[list[str]]:
    """What a page has its reader type: the arguments of each `tljax` command."""
    found = []
    for language, text in BLOCK.findall((PAGES / f"{page}.md").read_text(encoding="utf-8")):
        if not language:
            lines = text.replace("\\\n", " ").splitlines()
            found += [shlex.split(line, comments=True)[1:] for line in lines]
            assert all(line.startswith("tljax ") for line in lines), f"{page}.md: not a command of tljax: {lines}"
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the first page of the part has been followed."""
    folder = tmp_path_factory.mktemp("reader")
    for page in ("index", *OTHERS):
        for name, text in files(page).items():
            (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def there(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(plugins, "_given", {})
    if not (folder / "runs" / "digits_run").exists():
        assert [main(command) for command in commands("index")] == [0] * len(commands("index"))
    return folder


@pytest.mark.parametrize("page", OTHERS)
def test_what_a_page_says_works(page, there, capsys):
    assert commands(page), f"{page}.md: a page shows how its file is used"
    for command in commands(page):
        assert main(command) == 0, f"{page}.md: tljax {' '.join(command)}: {capsys.readouterr().err}"
    assert re.search(SAID.get(page, "test accuracy"), capsys.readouterr().out, re.DOTALL)
    if page == "writer":
        lines = (there / "runs" / "lines" / "lines.txt").read_text().splitlines()
        assert any(re.match(r"\d+ final test accuracy 0\.\d", line) for line in lines), lines[-3:]
