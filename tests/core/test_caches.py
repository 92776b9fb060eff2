"""Where caches are kept, what killed processes leave there, and the limit that holds them."""

import io
import os
import pwd
import sys
import time

import jax
import pytest

from tljax import cli
from tljax.core import caches
from tljax.core.errors import ConfigError
from tljax.core.feature_store import Store
from tljax.data import tokens


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


def test_a_tilde_is_the_home_folder_and_an_address_has_its_copy_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cli.read(["--workdir=~/x"]).workdir == tmp_path / "x"
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    asked = cli.read(["--workdir=memory://bucket/run"])
    assert asked.home == "memory://bucket/run" and asked.workdir.name == "run"
    assert asked.workdir.is_relative_to(tmp_path / "cache/remote") and not asked.workdir.exists()
    with pytest.raises(ConfigError, match=r"named by its path alone; got 'file:///tmp'\. Leave out file://"):
        cli.read(["--workdir=file:///tmp"])


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


HASH = "a" * 64


def put(file, size, *, age=0.0):
    """A file of so many bytes that was last used so many hours ago."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)
    for place in (file, file.parent):
        os.utime(place, (time.time() - 3600 * age,) * 2)
    return file


@pytest.fixture
def filled(tmp_path, monkeypatch):
    """A cache of each kind, the oldest 3 hours old, in a folder where others keep things too."""
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path))
    put(tmp_path / f"features/{HASH}/1.bin", 100, age=3)
    put(tmp_path / f"tokens/{HASH}.npz", 20, age=2)
    put(tmp_path / "xla/jit_f-12-cache", 3, age=0.5)
    for own in ("features/mine/1.bin", "tokens/thesis.npz", "xla/notes.txt", "models/1.bin"):
        put(tmp_path / own, 1000, age=9)
    return tmp_path


def files(root):
    return sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.is_file())


OTHERS = ["features/mine/1.bin", "models/1.bin", "tokens/thesis.npz", "xla/notes.txt"]


def test_what_caches_hold_is_counted_and_cleared_and_nothing_else(filled):
    assert caches.sizes() == {"features": (1, 100), "tokens": (1, 20), "xla": (1, 3), "remote": (0, 0)}
    assert [caches.clear(kind) for kind in caches.KINDS] == [(1, 100), (1, 20), (1, 3), (0, 0)]
    assert files(filled) == OTHERS and set(caches.sizes().values()) == {(0, 0)}
    with pytest.raises(ConfigError, match="must be one of features, tokens, xla, remote; got 'models'"):
        caches.clear("models")


@pytest.mark.parametrize(("most", "gone"), [(123, (0, 0)), (122, (1, 100)), (22, (2, 120)), (0, (2, 120))])
def test_the_least_recently_used_goes_first_and_what_runs_may_use_stays(filled, most, gone):
    assert caches.trim(most=most) == gone
    assert set(OTHERS) < set(files(filled))


def test_starts_look_through_the_caches_once_an_hour(filled, monkeypatch):
    looked = []
    monkeypatch.setattr(caches, "entries", lambda kind, real=caches.entries: (looked.append(kind), real(kind))[1])
    monkeypatch.setenv("TLJAX_CACHE_GIB", str(110 / 2**30))
    assert [caches.trim_hourly(), caches.trim_hourly()] == [(1, 100), (0, 0)] and len(looked) == len(caches.KINDS)
    monkeypatch.setenv("TLJAX_CACHE_GIB", str(10 / 2**30))
    assert caches.trim_hourly() == (1, 20)  # another limit
    put(filled / f"tokens/{HASH}.npz", 20, age=2)
    os.utime(filled / caches.TRIMMED, (time.time() - 2 * caches.FRESH,) * 2)
    assert caches.trim_hourly() == (1, 20) and set(OTHERS) < set(files(filled))


def test_what_is_used_again_goes_last(filled):
    caches.used(filled / "features" / HASH)
    assert caches.trim(most=110) == (1, 20)


def test_the_limit_is_said_where_something_goes(filled, monkeypatch, capsys):
    monkeypatch.setattr(jax.config, "update", lambda key, value: None)
    monkeypatch.setenv("TLJAX_CACHE_GIB", str(110 / 2**30))
    cli.keep_compiled()
    assert "caches: 0.0 GiB that were not used for the longest are removed; $TLJAX_CACHE_GIB" in capsys.readouterr().err
    assert caches.sizes()["features"] == (0, 0)
    for wrong in ("much", "-1", "nan"):
        monkeypatch.setenv("TLJAX_CACHE_GIB", wrong)
        with pytest.raises(ConfigError, match=rf"TLJAX_CACHE_GIB must be a number of GiB from 0 on.*got '{wrong}'"):
            cli.keep_compiled()


def test_kept_tokens_and_features_are_noted_as_used(filled, monkeypatch):
    old = filled / "tokens" / f"{HASH}.npz"
    with pytest.warns(UserWarning, match="damaged"):
        tokens._read(HASH)
    Store(filled / "features" / HASH, lambda line: None).read()
    assert time.time() - old.stat().st_mtime < 60
    assert caches.trim(most=0) == (0, 0)
