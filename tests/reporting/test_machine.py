"""`tljax doctor` and `tljax clean`: each line is ok or says what to do; only what tljax wrote is removed."""

import importlib.metadata
import shutil

import pytest

from tljax.__main__ import main
from tljax.core import caches, memory
from tljax.reporting import machine

CONFIG = 2


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TLJAX_WEIGHTS", raising=False)


def lines():
    return {line.what: line for line in machine.look()}


def test_a_machine_that_serves_is_well(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "ok    devices: 4 x cpu (cpu)" in out and "TO DO" not in out and "ok    caches: " in out


def test_what_is_to_be_done_is_said(tmp_path, monkeypatch, capsys):
    versions = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: {"optax": "0.1"}.get(name) or versions(name))
    monkeypatch.setattr(memory, "available", lambda: 2**20)
    monkeypatch.setenv("TLJAX_WEIGHTS", str(tmp_path / "nowhere"))
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    found = lines()
    assert found["optax"].found == "0.1" and found["optax"].advice.startswith("pip install 'optax>=")
    assert "end other programs" in found["memory"].advice and "no folder" in found["weights"].advice
    assert "JAX does not use it" in found["devices"].advice
    assert main(["doctor"]) == CONFIG
    assert "needs a hand, as said above: optax, devices, memory, weights." in capsys.readouterr().err


def test_weights_are_listed_and_those_without_a_card_named(tmp_path, monkeypatch):
    for name in ("one.safetensors", "two.npz"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "one.card.json").write_text('{"mean": [0.5], "std": [0.5]}')
    monkeypatch.setenv("TLJAX_WEIGHTS", str(tmp_path))
    line = lines()["weights"]
    assert line.found == f"2 files in {tmp_path}: one, two" and line.advice == "no card beside two.npz"


def test_a_check_that_fails_is_a_line(monkeypatch):
    monkeypatch.setenv("TLJAX_CACHE_GIB", "many")
    assert "$TLJAX_CACHE_GIB must be a number" in lines()["caches"].advice


def test_clean_lists_and_clears_what_is_named(capsys):
    file = caches.folder("tokens") / f"{'0' * 64}.npz"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"1" * 2**20)
    (mine := file.with_name("mine.txt")).write_text("kept")
    assert main(["clean"]) == 0
    assert "tokens    1        1.0" in capsys.readouterr().out and file.exists()
    assert main(["clean", "tokens"]) == 0
    assert capsys.readouterr().out == "tokens: 1 entries, 1.0 MiB removed\n" and not file.exists() and mine.exists()
    assert main(["clean", "all"]) == 0
    assert capsys.readouterr().out.count("0 entries") == 4
    assert main(["clean", "results"]) == CONFIG
    assert "KIND must be one of features, tokens, xla, remote, all; got 'results'." in capsys.readouterr().err
