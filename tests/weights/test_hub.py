"""The hub as a weight source, against a stand-in that answers as the hub does: resolve, redirect, commit, ETag."""

import dataclasses
import hashlib
import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import safetensors.numpy
from huggingface_hub import constants

from tljax.core import plugins, types
from tljax.core.errors import WeightsError
from tljax.weights import sentence_pooling
from tljax.weights.sources import hub

SPEC = "timm/resnet18.tv_in1k"
FIRST, SECOND = "1" * 40, "2" * 40
ARRAYS = {"conv1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2), "fc.bias": np.ones(5, np.float32)}
CARD = types.Card(mean=(0.5,), std=(0.25,))


def published(scale: float = 1.0) -> bytes:
    return safetensors.numpy.save({name: array * np.float32(scale) for name, array in ARRAYS.items()})


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Hub(http.server.ThreadingHTTPServer):
    """One repository with a file of weights and some beside it, its commits, and a branch "main"."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repository, self.file = SPEC, "model.safetensors"
        self.commits, self.main = {FIRST: published()}, FIRST
        self.beside: dict[str, bytes] = {}  # at every commit
        self.said: str | None = None  # the commit it says it serves, where it lies
        self.asked: list[tuple[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Hub  # pyright: ignore[reportIncompatibleVariableOverride]: it is no other here

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append((self.command, self.path))
        files = {sha256(data): data for data in (*self.server.commits.values(), *self.server.beside.values())}
        start, _, rest = self.path.partition("/resolve/")
        revision, _, file = rest.partition("/")
        commit = self.server.main if revision == "main" else revision
        if self.path.startswith("/cdn/"):
            self._answer(200, body=files[self.path.removeprefix("/cdn/")])
        elif start != f"/{self.server.repository}":
            self._answer(404, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif commit not in self.server.commits:
            self._answer(404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": f"Invalid rev id: {commit}"})
        elif file != self.server.file and file not in self.server.beside:
            said = {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found", "X-Repo-Commit": commit}
            self._answer(404, said)
        else:  # as of a large file: its place, size and hash are headers of a redirect
            data = self.server.beside[file] if file in self.server.beside else self.server.commits[commit]
            linked = {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{sha256(data)}"', "ETag": '"pointer"'}
            # The client follows redirects within a host and stops at those to another, as the hub's storage is.
            place = {
                "Location": f"http://localhost:{self.server.server_port}/cdn/{sha256(data)}",
                "X-Repo-Commit": self.server.said or commit,
            }
            self._answer(302, linked | place)

    def _answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


def use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """What HF_ENDPOINT does when it is set before the import."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "agents.json"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "cache"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        use(monkeypatch, server.url)
        yield server
        huggingface_hub.close_session()
        server.shutdown()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "run" / "tljax.lock.json"


def assert_is(got: types.Published, scale: float = 1.0) -> None:
    assert sorted(got.arrays) == sorted(ARRAYS)
    assert len(got.arrays) == len(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(got.arrays[name], array * np.float32(scale))


@pytest.mark.parametrize("spec", hub.zoo())
def test_every_card_of_the_zoo_can_be_used(spec):
    card = hub.read_card(spec)
    assert card.repository == spec
    pictures = plugins.find("families", card.family).INPUT == "image"
    assert len(card.mean) == len(card.std) == (3 if pictures else 0)
    assert all(value > 0 for value in card.std)
    assert card.licence and card.file and card.family and card.variant and card.parameters


def test_the_card_of_resnet18_is_that_of_torchvision_and_needs_no_download():
    card = hub.read_card(SPEC)
    assert (card.mean, card.std, card.scale) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 255.0)
    assert (card.family, card.variant, card.parameters, card.size) == ("resnet", "18", 11689512, 224)
    assert (card.revision, card.sha256) == ("", "")


def test_a_given_card_does_not_change_the_zoos():
    given = dataclasses.replace(CARD, scale=1.0, channel_order="BGR", interpolation="bicubic")
    assert hub.read_card(SPEC, card=given) == hub.read_card(SPEC)


def test_the_first_download_gives_the_arrays_and_records_what_it_got(server, lock):
    got = hub.read(SPEC, lock=lock)
    assert_is(got)
    assert (got.card.revision, got.card.sha256) == (FIRST, sha256(published()))
    assert json.loads(lock.read_text()) == {
        SPEC: {"file": "model.safetensors", "revision": FIRST, "sha256": sha256(published()), "beside": {}}
    }
    assert list(lock.parent.iterdir()) == [lock]


def test_a_new_upstream_commit_changes_nothing_once_it_is_locked(server, lock, cache):
    hub.read(SPEC, lock=lock)
    server.commits[SECOND], server.main = published(2.0), SECOND
    cache.rename(cache.with_name("old"))
    assert_is(hub.read(SPEC, lock=lock))
    lock.unlink()
    cache.rename(cache.with_name("older"))
    assert_is(hub.read(SPEC, lock=lock), scale=2.0)


def test_the_second_load_is_from_the_cache_and_asks_nobody(server, lock):
    hub.read(SPEC, lock=lock)
    server.asked.clear()
    assert_is(hub.read(SPEC, lock=lock))
    lock.unlink()
    assert_is(hub.read(SPEC, lock=lock))
    assert json.loads(lock.read_text())[SPEC]["revision"] == FIRST
    assert server.asked == []


@pytest.mark.parametrize("cached", [False, True], ids=["by the server", "on the disk"])
def test_a_file_that_is_not_the_locked_one_is_refused(server, lock, cache, cached):
    path = Path(hub.read(SPEC, lock=lock).where)
    before = lock.read_text()
    if cached:
        path.resolve().write_bytes(published(2.0))
    else:
        cache.rename(cache.with_name("old"))
        server.commits[FIRST] = published(2.0)
    with pytest.raises(WeightsError) as raised:
        hub.read(SPEC, lock=lock)
    assert f"sha256 must be {sha256(published())}, got {sha256(published(2.0))}" in str(raised.value)
    assert f"Delete '{path.resolve()}'" in str(raised.value) or not cached
    assert f"delete the entry '{SPEC}' from {lock}" in str(raised.value)
    assert lock.read_text() == before
    if cached:  # what the message says is enough
        path.resolve().unlink()
        assert_is(hub.read(SPEC, lock=lock))


def test_a_server_that_gives_another_commit_than_the_locked_one_is_refused(server, lock, cache):
    hub.read(SPEC, lock=lock)
    cache.rename(cache.with_name("old"))
    server.said = SECOND
    with pytest.raises(WeightsError, match=f"revision must be {FIRST}, got {SECOND}"):
        hub.read(SPEC, lock=lock)


def test_a_locked_commit_that_is_gone_upstream_is_an_error(server, lock, cache):
    hub.read(SPEC, lock=lock)
    cache.rename(cache.with_name("old"))
    server.commits, server.main = {SECOND: published()}, SECOND
    with pytest.raises(WeightsError, match=rf"(?s)at revision {FIRST}\) could not be downloaded from 127.*: 404"):
        hub.read(SPEC, lock=lock)


def test_a_card_that_pins_is_held_to_before_anything_is_locked(server, lock):
    card = dataclasses.replace(CARD, sha256="0" * 64)
    server.repository = "some/one"
    with pytest.raises(WeightsError, match="sha256 must be 0000"):
        hub.read("some/one", card=card, lock=lock)
    assert not lock.exists()


def test_a_card_that_pins_something_else_than_the_lock_is_refused(server, lock):
    server.repository = "some/one"
    hub.read("some/one", card=CARD, lock=lock)
    server.commits[SECOND] = published(2.0)
    with pytest.raises(WeightsError, match=f"revision must be {FIRST}, got {SECOND}"):
        hub.read("some/one", card=dataclasses.replace(CARD, revision=SECOND), lock=lock)


def test_two_repositories_share_a_lock(server, lock):
    hub.read(SPEC, lock=lock)
    server.repository, server.file = "some/one", "weights/part.safetensors"
    got = hub.read("some/one", card=dataclasses.replace(CARD, file="weights/part.safetensors"), lock=lock)
    assert_is(got)
    assert (got.card.mean, got.card.repository, got.card.revision) == ((0.5,), "some/one", FIRST)
    assert sorted(json.loads(lock.read_text())) == ["some/one", SPEC]


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"a/b": {}}', '{"a/b": {"revision": "main", "sha256": "0"}}', '{"a/b": 3}'],
    ids=["cut", "list", "empty", "unpinned", "number"],
)
def test_a_damaged_lock_is_an_error_and_left_as_it_is(server, lock, text):
    lock.parent.mkdir()
    lock.write_text(text)
    with pytest.raises(WeightsError, match="(?s)lock file .* is damaged: .*Restore it from version control"):
        hub.read(SPEC, lock=lock)
    assert lock.read_text() == text
    assert server.asked == []


def test_a_lock_that_cannot_be_written_is_an_error(server, lock):
    lock.parent.write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match="must be recorded in .* cannot be written"):
        hub.read(SPEC, lock=lock)


def test_a_file_that_is_no_safetensors_is_an_error(server, lock):
    server.commits[FIRST] = published()[:-5]
    with pytest.raises(WeightsError, match="must be a whole safetensors file"):
        hub.read(SPEC, lock=lock)
    assert not lock.exists()


@pytest.mark.parametrize(
    ("repository", "file"),
    [("some/other", "model.safetensors"), (SPEC, "other.safetensors")],
    ids=["repository", "file"],
)
def test_what_the_hub_does_not_have_is_named(server, lock, repository, file):
    server.repository, server.file = repository, file
    with pytest.raises(WeightsError, match=rf"Weights '{SPEC}' \(model.safetensors at revision main\) could not be"):
        hub.read(SPEC, lock=lock)
    assert not lock.exists()


def test_a_repository_without_a_card_needs_one(lock):
    with pytest.raises(WeightsError) as raised:
        hub.read("some/one", lock=lock)
    assert all(said in str(raised.value) for said in ("'some/one'", *hub.zoo(), "config.model.card.mean"))


@pytest.mark.parametrize(("listening", "why"), [(False, "Connection refused"), (True, "no answer within 1.5 s")])
def test_without_network_the_error_comes_at_once_and_says_what_helps(lock, cache, monkeypatch, listening, why):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listening:
            silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        use(monkeypatch, f"http://{address}")
        start = time.monotonic()
        with pytest.raises(WeightsError) as raised:
            hub.read(SPEC, lock=lock)
        assert time.monotonic() - start < 2.5
    assert str(raised.value).splitlines() == [
        f"Weights '{SPEC}' (model.safetensors at revision main) are not cached: looked in {cache}.",
        f"They cannot be downloaded from {address} either: {why}.",
        "Name a file or a folder that you have instead, where this name stands (of a config: "
        "--config.model.weights=<file.safetensors>).",
    ]


def test_the_hubs_own_offline_switch_is_obeyed(server, lock, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set"):
        hub.read(SPEC, lock=lock)
    assert server.asked == []


def test_a_server_that_is_no_hub_is_quoted(server, lock, monkeypatch):
    monkeypatch.setattr(Handler, "do_GET", lambda handler: handler._answer(404))
    with pytest.raises(WeightsError, match=rf"from 127\.0\.0\.1:{server.server_port}: Client error '404 Not Found'"):
        hub.read(SPEC, lock=lock)


# What lies beside the weights

BESIDE = {
    "config.json": b'{"hidden_size": 16}',
    "tokenizer.json": b'{"version": "1.0"}',
    "vocab.txt": b"[PAD]\n",
    "sentencepiece.bpe.model": b"\n",
}


@pytest.fixture
def texts(server):
    """A repository of a text encoder."""
    server.repository, server.beside = "some/bert", dict(BESIDE)
    return server


def read(lock, spec="some/bert"):
    return hub.read(spec, card=types.Card(mean=(), std=()), lock=lock)


def test_what_lies_beside_is_taken_along_at_the_same_commit_and_recorded(texts, lock):
    got = read(lock)
    folder = Path(got.where).parent
    assert got.config == {"hidden_size": 16}
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {"model.safetensors": published(), **BESIDE}
    assert json.loads(lock.read_text())["some/bert"]["beside"] == {k: sha256(v) for k, v in BESIDE.items()}
    asked = {path.split("/resolve/")[1] for _, path in texts.asked if "/resolve/" in path}
    assert asked == {"main/model.safetensors", *(f"{FIRST}/{name}" for name in hub.BESIDE)}
    assert hub.locate("some/bert", card=CARD, lock=lock) == folder


def test_what_lies_beside_comes_from_the_cache_and_asks_nobody(texts, lock, monkeypatch):
    read(lock)
    texts.asked.clear()
    assert read(lock).config == {"hidden_size": 16}
    lock.unlink()
    assert read(lock).config == {"hidden_size": 16}  # what the repository does not have is known from the cache, too
    assert texts.asked == [] and len(json.loads(lock.read_text())["some/bert"]["beside"]) == len(BESIDE)


def test_a_lock_says_how_texts_are_pooled_as_of_all_else(texts, lock):
    """What it does not hold is not read, though it may lie in the cache."""
    mean = {"1_Pooling/config.json": b'{"pooling_mode_mean_tokens": true}'}
    modules = b'[{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]'
    texts.beside |= {"modules.json": modules, **mean}
    assert read(lock).config[sentence_pooling.KEY]["pooling"] == "mean"
    locked = json.loads(lock.read_text())
    for name in ("modules.json", "1_Pooling/config.json"):
        del locked["some/bert"]["beside"][name]  # as a lock of before they were read
    lock.write_text(json.dumps(locked))
    assert read(lock).config == {"hidden_size": 16}


@pytest.mark.parametrize("cached", [False, True], ids=["by the server", "on the disk"])
def test_a_tokenizer_that_is_not_the_locked_one_is_refused(texts, lock, cache, cached):
    place = Path(read(lock).where).with_name("tokenizer.json")
    before = lock.read_text()
    if cached:
        place.resolve().write_bytes(b"{}")
    else:
        cache.rename(cache.with_name("old"))
        texts.beside["tokenizer.json"] = b"{}"
    with pytest.raises(WeightsError) as raised:
        read(lock)
    held, got = sha256(BESIDE["tokenizer.json"]), sha256(b"{}")
    assert f"sha256 of tokenizer.json must be {held}, got {got}" in str(raised.value)
    assert lock.read_text() == before


def test_a_locked_file_beside_that_is_gone_is_an_error(texts, lock, cache):
    read(lock)
    cache.rename(cache.with_name("old"))
    del texts.beside["vocab.txt"]
    with pytest.raises(WeightsError, match=rf"\(vocab.txt at revision {FIRST}\) could not be downloaded"):
        read(lock)


def test_without_a_network_the_cache_serves_and_what_is_unknown_is_locked_later(texts, lock, cache, monkeypatch):
    read(lock)
    for file in next(cache.glob("*/.no_exist")).rglob("*.json"):
        file.unlink()  # as where the folder was copied here
    lock.unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert read(lock).config == {"hidden_size": 16}
    assert "beside" not in json.loads(lock.read_text())["some/bert"]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    read(lock)
    assert len(json.loads(lock.read_text())["some/bert"]["beside"]) == len(BESIDE)


def test_a_lock_that_names_another_file_beside_is_damaged(texts, lock):
    read(lock)
    said = json.loads(lock.read_text())
    said["some/bert"]["beside"] = {"../evil": "0" * 64}
    lock.write_text(json.dumps(said))
    with pytest.raises(WeightsError, match="is damaged: .*evil"):
        read(lock)


def test_files_beside_weights_in_a_folder_are_those_of_that_folder(texts, lock):
    texts.file = "onnx/net.safetensors"
    texts.beside = {"onnx/config.json": b'{"hidden_size": 8}', "config.json": b"{}"}
    got = hub.read("some/bert", card=types.Card(mean=(), std=(), file=texts.file), lock=lock)
    assert got.config == {"hidden_size": 8}
