"""The demo's web server: one page and one address to ask at, on 127.0.0.1 alone."""

import functools
import json
import secrets
import sys
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tljax.core import untrusted
from tljax.core.errors import ConfigError, TljaxError, of_device
from tljax.core.untrusted import Record
from tljax.serving.demo.answering import Answering

ADDRESS = "127.0.0.1"
NAMES = (ADDRESS, "localhost")  # a foreign name that leads here (DNS rebinding) is refused
PICTURE, TEXT = "application/octet-stream", "application/json"
LARGEST = {PICTURE: 32 * 2**20, TEXT: 2**20}  # bytes
POLICY = (
    "default-src 'none'; img-src data: blob:; style-src 'nonce-{0}'; script-src 'nonce-{0}'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class RefusedError(Exception):
    """A request that is not answered: the HTTP status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Server(ThreadingHTTPServer):
    """Listens from the moment it is made; `serve_forever` answers."""

    daemon_threads = True

    def __init__(self, answering: Answering, name: str, port: int = 0) -> None:
        """
        Args:
          name: what the page calls the run.
          port: 0: any that is free.

        Raises:
          ConfigError: the port cannot be used.
        """
        self.answering, self.name = answering, name
        try:
            super().__init__((ADDRESS, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"--port must be free, or 0 for any that is; {port} cannot be used: {error}.") from error

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_port}/"

    def page(self, nonce: str) -> str:
        """The page; only style and scripts with the nonce are heeded by a browser."""
        asking = self.answering
        content = {
            "name": untrusted.printable(self.name),
            "classes": [untrusted.printable(one) for one in asking.model.classes],
            "labels": asking.model.task.LABEL_KIND,
            "kind": asking.kind,
            "pairs": asking.pairs,
            "largest": LARGEST[PICTURE if asking.kind == "picture" else TEXT],
        }
        return _template().render(content, nonce=nonce)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves before the answer is no fault."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]
    timeout = 30  # seconds that a browser may be silent
    server_version, sys_version = "tljax", ""

    def do_GET(self) -> None:
        """The page."""
        try:
            self._check_names()
            if self.path != "/":
                raise RefusedError(404, f"There is only one page here: {self.server.url}")
        except RefusedError as refused:
            self._send(refused.status, "text/plain", str(refused))
            return
        nonce = secrets.token_urlsafe()
        self._send(200, "text/html", self.server.page(nonce), POLICY.format(nonce))

    def do_POST(self) -> None:
        """An answer as JSON, or {"error": why not}."""
        try:
            self._check_names()
            if self.path != "/ask":
                raise RefusedError(404, "Questions go to /ask.")
            status, answer = 200, self._answer()
        except RefusedError as refused:
            status, answer = refused.status, {"error": str(refused)}
        except ConnectionError:
            raise
        except Exception as error:  # the page stays, whatever one question brings
            traceback.print_exc()
            status, answer = 500, {"error": str(of_device(error) or error) or type(error).__name__}
        self._send(status, "application/json", json.dumps(answer))

    def _check_names(self) -> None:
        """Raise RefusedError if the request is meant for another name, or comes from another page."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if host.rpartition(":")[0] not in NAMES and host not in NAMES:
            raise RefusedError(403, f"This page answers only as {' or '.join(NAMES)}; it was called '{host[:100]}'.")
        if origin is not None and origin != f"http://{host}":
            raise RefusedError(403, "This page answers only its own questions, none of another page.")

    def _answer(self) -> Record:
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        wanted = PICTURE if self.server.answering.kind == "picture" else TEXT
        if kind != wanted:
            raise RefusedError(415, f"This run is asked about a {self.server.answering.kind}, sent as {wanted}.")
        body = self._body(LARGEST[wanted])
        try:
            asked = self.server.answering
            return asked.of_picture(body) if wanted == PICTURE else asked.of_text(_texts(body))
        except (ValueError, TljaxError) as error:
            raise RefusedError(400, f"This {self.server.answering.kind} cannot be used: {error}.") from error

    def _body(self, largest: int) -> bytes:
        said = self.headers.get("Content-Length", "")
        if not (said.isascii() and said.isdecimal()):
            raise RefusedError(411, "A question must say its length.")
        if len(said) > 20 or int(said) > largest:
            raise RefusedError(
                413, f"A question may have at most {largest / 2**20:g} MiB; this one has {said[:20]} bytes."
            )
        body = self.rfile.read(int(said))
        if len(body) != int(said):
            raise RefusedError(400, f"The question ended after {len(body):,} of {int(said):,} bytes.")
        return body

    def _send(self, status: int, kind: str, text: str, policy: str = "default-src 'none'") -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- http.server's name
        """Nothing: a line for each question would bury the address of the page."""


def _texts(body: bytes) -> list[str]:
    """The texts of a question, {"texts": ["...", ...]}; ValueError if it is none."""
    asked = untrusted.parse(body.decode())
    texts = asked.get("texts") if isinstance(asked, dict) else None
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise ValueError('a question must be {"texts": ["...", ...]}')
    return texts


@functools.cache
def _template() -> Any:
    import jinja2

    loader = jinja2.PackageLoader("tljax.serving.demo", "templates")
    made = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return made.get_template("page.html")
