"""The table of faults: what people and machines do to a run, and what it must answer.

Every line is a command of `tljax`, run in an empty folder in this process. Where it fails it says what, where and what
to do next, in at most 10 lines without a traceback, and leaves nothing half-written.
"""

import json
import sys
import warnings

import pytest

from tests.faults import command_lines, disk, image_folders, interrupts, publications, ranges, text_tables
from tests.faults.making import Fault, Scene
from tljax import __main__

TABLES = (interrupts, disk, ranges, command_lines, publications, image_folders, text_tables)
CASES = {name: fault for table in TABLES for name, fault in table.CASES.items()}
LINES = 10


@pytest.fixture
def scene(tmp_path, monkeypatch, request):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tljax.cli.keep_compiled", lambda: None)  # the tests have their own place for programs
    monkeypatch.setattr(sys, "argv", ["tljax"])
    monkeypatch.setattr(warnings, "showwarning", lambda *a, **k: sys.stderr.write(warnings.formatwarning(*a[:4])))
    return Scene(folder, monkeypatch, request)


def files(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_answered(name, scene, capsys):
    fault = CASES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        command = fault.command(scene) if callable(fault.command) else fault.command
        before = files(scene.root)
        capsys.readouterr()
        code = __main__.main(list(command))
        out, scene.err = capsys.readouterr()
        scene.said = out + scene.err
        last = "\n".join(scene.said.splitlines()[-12:])
        assert code == fault.code, last
        assert [word for word in fault.words if word not in " ".join(scene.said.split())] == [], last
        assert "Traceback" not in scene.said, last
        assert_nothing_is_half_written(scene)
        if code:
            assert len(scene.err.splitlines()) <= LINES, scene.err
            assert fault.writes or files(scene.root) == before
        if fault.then:
            fault.then(scene)


def assert_nothing_is_half_written(scene: Scene) -> None:
    assert not list(scene.root.rglob("*.part*")), "a file was left half-written"
    for file in scene.root.rglob("run*/*.json"):
        json.loads(file.read_text())
    for folder in scene.root.glob("run*/checkpoints/*/[0-9]*"):
        assert (folder / "checksums.json").exists() or folder.name == "0", f"{folder} is no whole checkpoint"


def test_every_one_of_the_56_cases_is_in_the_table():
    """By its number, at the beginning of the name; where one process on one machine has no such case, the reason."""
    numbered = {int(name.split()[0]) for name in CASES if name.split()[0].isdigit()}
    assert numbered | set(NOT_HERE) == set(range(1, 57)) and not numbered & set(NOT_HERE)
    assert isinstance(next(iter(CASES.values())), Fault)


NOT_HERE = {
    26: "a run is one process on one machine; a second one in its folder is refused (17)",
}
