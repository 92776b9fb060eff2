"""A run whose data, weights and folder lie in Google Cloud Storage, for which a server of this machine stands in."""

import json
import threading
from http.server import ThreadingHTTPServer

import pytest
from outside import storage
from small import bits, losses, photographs, saved_bits

from tljax.core.remote import mirror
from tljax.reporting.report import Report
from tljax.runs.loaded import Loaded
from tljax.runs.run import run


@pytest.fixture
def bucket(monkeypatch):
    """gcsfs's file system, with an empty bucket "b"."""
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")  # another protocol, for another kind of bucket
    gcsfs = pytest.importorskip("gcsfs")
    server = ThreadingHTTPServer(("127.0.0.1", 0), storage.Storage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    storage.OBJECTS.clear()
    yield gcsfs.GCSFileSystem()
    server.shutdown()
    server.server_close()


def put(system, folder, place):
    files = [path for path in folder.rglob("*") if path.is_file()]
    system.put(list(map(str, files)), [f"{place}/{path.relative_to(folder)}" for path in files])


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine that is called by a name: what is in its cache alone."""
    return lambda name: monkeypatch.setenv("TLJAX_CACHE", str(tmp_path / name))


def test_killed_on_one_machine_a_run_ends_on_another_as_at_home(bucket, machine, tmp_path, monkeypatch, capsys):
    config = photographs(tmp_path / "photos", monkeypatch)
    config.train.update(checkpoint_epochs=0.5, log_steps=1)
    config.report = "none"
    run(config, tmp_path / "first")
    put(bucket, tmp_path / "photos", "b/photos")
    put(bucket, tmp_path / "first/model", "b/net")
    config.strategy.name, config.model.weights = "full", str(tmp_path / "first/model")
    run(config, tmp_path / "home")
    config.data.dir, config.model.weights = "gs://b/photos", "gs://b/net"
    machine("one")
    with monkeypatch.context() as patched:
        cut_off(patched, at=4)
        with pytest.raises(KeyboardInterrupt), mirror.worked_in("gs://b/run") as folder:
            run(config, folder)
    there = {path.removeprefix("b/run/") for path in bucket.find("b/run")}
    assert "checkpoints/latest/3/checksums.json" in there and "result.json" not in there
    machine("another")
    capsys.readouterr()
    with mirror.worked_in("gs://b/run") as folder:
        run(config, folder)
    said = capsys.readouterr().out
    assert "resuming at step 3 of 6" in said and "result:" in said and "gs://b/run" in said
    assert "gs://b/photos: " in said and str(tmp_path / "another") not in said
    assert saved_bits(folder) == saved_bits(tmp_path / "home")
    assert losses(folder).tolist() == losses(tmp_path / "home").tolist()
    machine("a third")
    read = Loaded("gs://b/run")
    assert bits(read.model.variables) == bits(Loaded(tmp_path / "home").model.variables)
    stored = json.loads(bucket.cat_file("b/run/config.json"))
    assert stored["data"]["dir"] == "gs://b/photos" and stored["model"]["weights"] == "gs://b/net"
    with mirror.worked_in("gs://b/run") as folder:
        assert run(config, folder)["metrics"] == read.result["metrics"]
    assert "already finished" in capsys.readouterr().out


def cut_off(patched, *, at):
    """The process is gone when step `at` is done: nothing is put from there on."""
    advance = Report.advance

    def cut(report, step):
        advance(report, step)
        if step == at:
            patched.setattr(mirror.Mirror, "push", lambda self: None)
            raise KeyboardInterrupt

    patched.setattr(Report, "advance", cut)
