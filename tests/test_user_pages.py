"""The pages for users: the commands in README and docs/ have verbs, flags and keys that there are."""

import contextlib
import re
import shlex
from pathlib import Path

import nbclient
import nbformat
import pytest

from tljax.__main__ import main
from tljax.core import config_files, config_tables, options, plugins

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
FOR_ALL = {"--plugins", "--require", "--help", "--debug", "--config", "--workdir", "--distributed", "--version"}
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|`)(?:python -m )?tljax ([a-z][^`\n]*)", re.MULTILINE)
OPEN = ("optimizer.groups", "optimizer.kwargs", "optimizer.schedule_kwargs", "strategy.scales")  # names of the user's


def commands() -> list[list[str]]:
    """The arguments of every command of the pages; docs/how-to/ has a test of its own."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES if page.parent.name != "how-to"]
    blocks = [block for text in texts for block in BLOCK.findall(text)]
    quoted = [f"`{words}`" for text in texts for words in re.findall(r"`(tljax [^`\n]+)`", BLOCK.sub("", text))]
    lines = [line for text in (*blocks, *quoted) for line in COMMAND.findall(text.replace("\\\n", " "))]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.fixture(scope="module")
def keys() -> set[str]:
    """The keys that all runs share, and those of all plugins."""
    own = {f"{section}.{name}" for section in options.SECTIONS for name in options.shipped(section)}
    return own | set(config_tables.flat(config_files.default()))


def test_the_notebook_runs_and_holds_no_output(tmp_path, monkeypatch):
    book = nbformat.read(ROOT / "docs" / "tutorials" / "first_run.ipynb", as_version=4)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    for name, place in {"PYTHONPATH": ROOT, "TLJAX_CACHE": tmp_path, "IPYTHONDIR": tmp_path / "ipython"}.items():
        monkeypatch.setenv(name, str(place))
    nbclient.NotebookClient(book, timeout=120, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in cells for output in cell.outputs]
    said = "".join(output.get("text") or output["data"]["text/plain"] for output in outputs)
    assert "page: runs/digits/report/index.html" in said and (tmp_path / "runs/digits/report/index.html").exists()
    share, count = re.search(r"([\d.]+)% of (\d+) test pictures are right", said).groups()
    assert float(share) > 80 and int(count) > 25
    assert re.search(r"\{'picture': 'digits/3/\d+.png', 'prediction': '3', 'p\(3\)': [01]\.", said)


def test_commands_of_the_pages_name_what_there_is(keys, capsys):
    unknown, helped = set(), {}
    for verb, *arguments in (found := commands()):
        if verb not in plugins.available("commands"):
            unknown.add(verb)
            continue
        if verb not in helped:
            with contextlib.suppress(SystemExit):
                main([verb, "--help"])
            helped[verb] = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", capsys.readouterr().out)) | FOR_ALL
        for flag in (word.partition("=")[0] for word in arguments if re.match(r"--?[a-zA-Z]", word)):
            key = flag.removeprefix("--config.")
            known = key in keys or key.startswith(OPEN) if flag.startswith("--config.") else flag in helped[verb]
            if not known and not (verb == "train" and flag.startswith("--config.strategy.gamma")):
                unknown.add(f"{verb} {flag}")
    assert not unknown
    assert len(found) > 40 and len(helped) > 9  # the pattern still finds them
