"""Where caches are kept, and what killed processes leave there."""

import io
import os
import pwd
import sys
import time

import pytest

from tljax import cli
from tljax.core import caches
from tljax.core.errors import ConfigError


@pytest.fixture
def homeless(monkeypatch):
    """As in a container with another user's number: no $HOME, and no entry in the list of users."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda _: (_ for _ in ()).throw(KeyError("uid not found")))


def test_without_a_home_the_way_out_is_told(homeless, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("TLJAX_CACHE", raising=False)
    with pytest.raises(ConfigError, match=r"no home folder \(\$HOME is not set\).*Set \$TLJAX_CACHE"):
        caches.folder("tokens")
    cli.keep_compiled()
    assert capsys.readouterr().err.startswith("compiled programs are not kept. Caches must have a folder")
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path))
    assert caches.folder("tokens") == tmp_path / "tokens"
    with pytest.raises(ConfigError, match="--workdir=~/x needs a home folder"):
        cli.read(["--workdir=~/x"])


def test_a_tilde_is_the_home_folder_and_an_address_none(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cli.read(["--workdir=~/x"])[1] == tmp_path / "x"
    for address in ("gs://bucket/run", "s3://bucket", "file:///tmp"):
        with pytest.raises(ConfigError, match=f"'{address}' is an address. Mount it"):
            cli.read([f"--workdir={address}"])


def test_only_what_a_killed_process_left_is_removed(tmp_path):
    for name in ("old.npz.part12", "new.npz.part13", "whole.npz"):
        (tmp_path / name).write_text("")
    past = time.time() - 2 * caches.ABANDONED
    for name in ("old.npz.part12", "whole.npz"):
        os.utime(tmp_path / name, (past, past))
    caches.sweep(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new.npz.part13", "whole.npz"]


def test_a_terminal_that_lacks_a_sign_ends_no_run(monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.guarded(lambda: print("Größe ≥ 3")) == 0
    assert out.buffer.getvalue() == b"Gr??e ? 3\n"
