"""Probing and fetching, against servers of our own that answer, refuse, break off, lie or stay silent."""

import contextlib
import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tljax.core import downloads
from tljax.core.errors import DataError

BODY = bytes(range(256)) * 4000
DIGESTS = {"md5": hashlib.md5(BODY).hexdigest(), "sha256": hashlib.sha256(BODY).hexdigest()}


class Server(http.server.ThreadingHTTPServer):
    """Serves BODY under every path but /404 and /503; writes down what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.ranges, self.cuts = BODY, True, 0  # `cuts` answers end half-way
        self.asked: list[tuple[str, str, str]] = []  # method, path, Range

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]: it is no other here

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.server.asked.append((self.command, self.path, wanted))
        if self.path in ("/404", "/503"):
            self.send_response(int(self.path[1:]))
            self.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-") or 0) if self.server.ranges else 0
        body = self.server.body[start:]
        self.send_response(416 if not body else 206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.server.cuts, cut = max(self.server.cuts - 1, 0), self.server.cuts > 0
            self.wfile.write(body[: len(body) // 2] if cut else body)

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(downloads, "PAUSE", 0.0)
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@contextlib.contextmanager
def port(*, listening: bool) -> Iterator[str]:
    """The address of a port that accepts and never answers, or of one where nobody listens."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listening:
            silent.listen()
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


@pytest.mark.parametrize(
    ("path", "expected"), [("/file", ""), ("/404", ""), ("/503", "its answer is 503")], ids=["200", "404", "503"]
)
def test_a_server_that_answers_is_reachable_unless_it_says_it_is_down(server: Server, path: str, expected: str):
    assert downloads.unreachable(server.url + path) == expected


@pytest.mark.parametrize(
    ("listening", "expected"),
    [(False, "Connection refused"), (True, "no answer within 1.5 s")],
    ids=["closed", "silent"],
)
def test_an_unreachable_server_is_known_within_two_seconds(server: Server, listening: bool, expected: str):
    with port(listening=listening) as url:
        start = time.monotonic()
        assert downloads.unreachable(url) == expected
        assert time.monotonic() - start < 2


def test_a_name_that_no_server_knows_is_unreachable():
    start = time.monotonic()
    assert downloads.unreachable("http://nowhere.invalid/file") != ""
    assert time.monotonic() - start < 2


def test_a_look_up_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(downloads, "SECONDS", 0.2)
    release = threading.Event()
    monkeypatch.setattr(downloads, "_head", lambda url: str(release.wait(5)))
    assert downloads.unreachable("http://anywhere/") == "no answer within 0.2 s"
    release.set()


def test_the_probe_takes_the_way_of_the_environments_proxy(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", server.url)
    assert downloads.unreachable("http://nowhere.invalid/file") == ""
    assert server.asked == [("HEAD", "http://nowhere.invalid/file", "")]


def test_fetch_writes_the_file_and_asks_once(server: Server, tmp_path):
    downloads.fetch(f"{server.url}/f", tmp_path / "new" / "f", digests=DIGESTS)
    assert (tmp_path / "new" / "f").read_bytes() == BODY
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "f"]
    downloads.fetch(f"{server.url}/f", tmp_path / "new" / "f", digests=DIGESTS)
    assert server.asked == [("GET", "/f", "")]


def test_a_download_that_breaks_off_goes_on_where_it_stopped(server: Server, tmp_path):
    server.cuts = 1
    downloads.fetch(f"{server.url}/f", tmp_path / "f", digests=DIGESTS)
    assert (tmp_path / "f").read_bytes() == BODY
    whole_chunks = len(BODY) // 2 // downloads.CHUNK * downloads.CHUNK
    assert [wanted for *_, wanted in server.asked] == ["", f"bytes={whole_chunks}-"]


def test_a_server_that_cannot_resume_is_asked_for_the_whole(server: Server, tmp_path):
    server.cuts, server.ranges = 1, False
    downloads.fetch(f"{server.url}/f", tmp_path / "f", digests=DIGESTS)
    assert (tmp_path / "f").read_bytes() == BODY


def test_what_a_broken_download_got_is_kept_for_the_next_one(server: Server, tmp_path):
    server.cuts = downloads.TRIES
    with pytest.raises(DataError, match=r"broke off 4 times: .*\n917,504 bytes are kept in '.*f\.part'"):
        downloads.fetch(f"{server.url}/f", tmp_path / "f", digests=DIGESTS)
    assert not (tmp_path / "f").exists()
    downloads.fetch(f"{server.url}/f", tmp_path / "f", digests=DIGESTS)
    assert (tmp_path / "f").read_bytes() == BODY
    assert server.asked[-1] == ("GET", "/f", "bytes=917504-")


@pytest.mark.parametrize("kept", [b"the beginning of another file", BODY], ids=["other", "all but the rename"])
def test_a_part_left_behind_does_not_spoil_the_file(server: Server, tmp_path, kept: bytes):
    (tmp_path / "f.part").write_bytes(kept)
    downloads.fetch(f"{server.url}/f", tmp_path / "f", digests=DIGESTS)
    assert (tmp_path / "f").read_bytes() == BODY


def test_another_file_than_the_published_one_is_refused_and_deleted(server: Server, tmp_path):
    server.body = b"an error page"
    expected, got = DIGESTS["md5"], hashlib.md5(server.body).hexdigest()
    with pytest.raises(DataError, match=f"must be the published file.*md5 must be {expected}, got {got}; sha256 must"):
        downloads.fetch(f"{server.url}/f", tmp_path / "f", digests=DIGESTS)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_file_that_is_already_there_is_named_and_left(server: Server, tmp_path):
    (tmp_path / "f").write_bytes(b"mine")
    with pytest.raises(DataError, match="Delete it to fetch it from"):
        downloads.fetch(f"{server.url}/f", tmp_path / "f", digests=DIGESTS)
    assert (tmp_path / "f").read_bytes() == b"mine"
    assert server.asked == []


def test_a_refusal_is_not_asked_for_again(server: Server, tmp_path):
    with pytest.raises(DataError, match=r"127\.0\.0\.1:\d+ answers 404 Not Found"):
        downloads.fetch(f"{server.url}/404", tmp_path / "f", digests=DIGESTS)
    assert len(server.asked) == 1
    assert list(tmp_path.iterdir()) == []
