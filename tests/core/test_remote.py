"""Copies of what lies in a store, and a run's folder mirrored there: fsspec's own store in memory."""

import functools
import http.server
import threading

import fsspec
import pytest
from ml_collections import ConfigDict

from tljax.core import caches
from tljax.core.errors import ConfigError, DataError
from tljax.core.remote import copies, mirror, store


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """An empty store; what is asked of it is in `got`."""
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    system = fsspec.filesystem("memory")
    system.rm("/", recursive=True) if system.ls("/") else None
    got, get = [], type(system).get
    monkeypatch.setattr(type(system), "get", lambda self, names, to: (got.extend(names), get(self, names, to))[1])
    system.got = got
    yield system
    del system.got
    system.rm("/", recursive=True) if system.ls("/") else None


def test_a_folder_is_copied_once_and_follows_the_store(memory):
    for name in ("train/ant/1.txt", "train/bee/1.txt", "[a] #1?.txt"):
        memory.pipe_file(f"/b/set/{name}", name.encode())
    memory.pipe_file("/b/set2/no.txt", b"begins alike")
    place = copies.local("memory://b/set")
    assert place.name == "set" and (place / "train/ant/1.txt").read_text() == "train/ant/1.txt"
    assert sorted(str(p.relative_to(place)) for p in place.rglob("*.txt")) == [
        "[a] #1?.txt", "train/ant/1.txt", "train/bee/1.txt",
    ]  # fmt: skip
    memory.got.clear()
    assert copies.local("memory://b/set/") == place and memory.got == []
    memory.pipe_file("/b/set/train/ant/1.txt", b"another text 12")
    memory.rm_file("/b/set/train/bee/1.txt")
    (place / "[a] #1?.txt").write_text("changed here")
    copies.local("memory://b/set")
    assert memory.got == ["/b/set/[a] #1?.txt", "/b/set/train/ant/1.txt"]
    assert (place / "train/ant/1.txt").read_text() == "another text 12" and not (place / "train/bee").exists()
    assert store.facts("memory://b/set")["files"] == 2 and store.facts("memory://b/none") is None


def test_what_a_store_does_not_tell_apart_is_copied_again(memory, monkeypatch):
    """A page may say neither time nor checksum: the size alone would keep another content of the same size."""
    monkeypatch.setattr(store, "MARKS", ())
    for content in (b"first", b"other"):
        memory.pipe_file("/b/one.txt", content)
        assert copies.local("memory://b/one.txt").read_bytes() == content
    assert memory.got == ["/b/one.txt"] * 2


def test_a_file_of_a_page(tmp_path, monkeypatch):
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "1.txt").write_text("content")
    handler = functools.partial(QuietHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = copies.local(f"http://127.0.0.1:{server.server_port}/1.txt")
        assert place.name == "1.txt" and place.read_text() == "content"
        with pytest.raises(DataError, match="there is none"):
            copies.local(f"http://127.0.0.1:{server.server_port}/2.txt")
        server.shutdown()


def test_a_file_comes_with_what_lies_beside_it(memory):
    for name in ("net.safetensors", "net.card.json", "other.safetensors", "deeper/x.json"):
        memory.pipe_file(f"/w/{name}", b"{}")
    place = copies.local("memory://w/net.safetensors", beside=(".json",))
    assert sorted(path.name for path in place.parent.iterdir()) == ["net.card.json", "net.safetensors"]


def test_what_cannot_be_had_is_said(memory, monkeypatch):
    with pytest.raises(DataError, match="must be a file or a folder 'memory://b/none'; there is none"):
        copies.local("memory://b/none")
    with pytest.raises(DataError, match=r"'nothing://b/x' is not: .*nothing"):
        copies.local("nothing://b/x")
    with pytest.raises(DataError, match=r"Install the package it names \(pip install 'tljax\[gs\]' for gs://\)"):
        copies.local("s3://b/x")
    with pytest.raises(ConfigError, match=r"named by its path alone; got 'file:///tmp'"):
        copies.local("file:///tmp")
    memory.pipe_file("/b/x", b"12345")
    monkeypatch.setattr(type(memory), "get", lambda self, names, to: [open(one, "wb").close() for one in to])
    with pytest.raises(DataError, match=r"must have 5 bytes, as its store says; 0 came"):
        copies.local("memory://b/x")


def test_people_and_configs_see_addresses(memory):
    memory.pipe_file("/b/my set/1.txt", b"")
    place = copies.local("memory://b/my set")
    assert copies.named(f"no label in '{place}/1.txt'.") == "no label in 'memory://b/my set/1.txt'."
    config = ConfigDict({"data": {"dir": "memory://b/my set", "size": 3}, "seed": 0})
    assert copies.localized(config).data.dir == str(place) and config.data.dir == "memory://b/my set"


def test_a_copy_in_use_stays_in_the_cache(memory):
    memory.pipe_file("/b/a/deep/1", b"123")
    home = copies.local("memory://b/a").parents[1]
    assert caches.clear("remote").entries == 0 and home.exists()
    assert caches.sizes()["remote"].bytes > 3
    caches._held.pop(home)
    [path.unlink() for path in home.glob(caches.HELD)]  # as after the process
    assert caches.clear("remote").entries == 1 and not home.exists()


STEP = "checkpoints/latest/8"


def written(folder, step="8", text="a"):
    for name in ("config.json", "metrics.jsonl", f"checkpoints/latest/{step}/d/x", f"checkpoints/latest/{step}/y"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / f"checkpoints/latest/{step}/checksums.json").write_text(text)
    (folder / "result.json").write_text(text)


def test_another_machine_goes_on_with_what_was_put(memory, tmp_path, monkeypatch):
    with mirror.worked_in("memory://b/run") as folder:
        written(folder)
        (folder / "model.part123").write_text("half")
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "other machine"))
    with mirror.worked_in("memory://b/run") as other:
        assert other != folder and (other / STEP / "d/x").read_text() == "a"
        assert not list(other.rglob("*.part*")) + list(other.rglob(mirror.OWNER))
        (other / STEP / "y").unlink()
        assert mirror.is_mirrored(other / STEP) and not mirror.is_mirrored(tmp_path)
    assert not memory.exists(f"/b/run/{STEP}/y") and memory.exists(f"/b/run/{STEP}/d/x")
    (other / "metrics.jsonl").write_text("not put, since the process was killed")
    assert copies.local("memory://b/run") != other  # who reads the folder does not touch the one that is worked in
    with mirror.worked_in("memory://b/run") as other:
        assert (other / "metrics.jsonl").read_text() == "a"


def test_cut_off_anywhere_nothing_counts_that_is_not_whole(memory, monkeypatch):
    put, most = type(memory).put_file, [0]

    def cut(self, *arguments, **more):
        most[0] -= 1
        if most[0] < 0:
            raise ConnectionError("the network is gone")
        put(self, *arguments, **more)

    monkeypatch.setattr(type(memory), "put_file", cut)
    seen = set()
    for number in range(7):
        one = mirror.Mirror(f"memory://b/run{number}")
        written(one.folder)
        most[0] = number
        if number < 6:
            with pytest.raises(DataError, match="the network is gone"):
                one.push()
        else:
            one.push()
        there = {path.removeprefix(f"/b/run{number}/") for path in memory.find(f"/b/run{number}")} - {mirror.OWNER}
        assert len(there) == number
        whole = {f"{STEP}/d/x", f"{STEP}/y"} <= there
        assert whole or f"{STEP}/checksums.json" not in there
        assert "result.json" not in there or len(there) == 6
        seen |= there
        most[0] = 10
        one.push()  # it goes on where it was
        assert len(memory.find(f"/b/run{number}")) == 7
    assert len(seen) == 6


def test_a_job_that_was_taken_for_dead_ends(memory, monkeypatch, tmp_path):
    with mirror.worked_in("memory://b/run") as folder:
        written(folder)
        mirror.push(folder / "checkpoints")
        with pytest.raises(ConfigError, match="another of this machine is at work in 'memory://b/run'"):
            mirror.worked_in("memory://b/run").__enter__()
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "first"))
    first = mirror.Mirror("memory://b/run")
    first.pull()
    written(first.folder, text="first")
    first.push()
    monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / "second"))
    second = mirror.Mirror("memory://b/run")
    second.pull()
    written(second.folder, text="second")
    second.push()
    written(first.folder, step="9", text="first again")
    with pytest.raises(ConfigError, match=r"'memory://b/run' was taken over by process \d+ on '.*', so this one ends"):
        first.push()
    assert memory.cat_file("/b/run/metrics.jsonl") == b"second" and not memory.exists("/b/run/checkpoints/latest/9")


def test_a_failure_of_the_run_counts_and_what_it_wrote_is_put(memory, capsys):
    def run(folder):
        written(folder)
        raise DataError("of the run")

    with pytest.raises(DataError, match="of the run"), mirror.worked_in("memory://b/run") as folder:
        run(folder)
    assert memory.exists("/b/run/result.json") and capsys.readouterr().err == ""
    memory.pipe_file("/b/file", b"")
    with pytest.raises(ConfigError, match="--workdir must be a folder, or nothing yet; 'memory://b/file' is a file"):
        mirror.worked_in("memory://b/file").__enter__()
