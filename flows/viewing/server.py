"""The loopback's server: a page, its cases' pictures, and a place that takes reviews; nothing is logged."""

import json
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from flows.viewing.admission import Admission, Refused
from flows.viewing.desk import Desk
from pipeline.errors import AuditError
from reports.viewer.assets import library
from reports.viewer.page import policy

__all__ = ["Viewing", "viewing"]

_SECONDS = 15  # that a request may take to arrive: an idle connection holds a thread

_CASE, _LIBRARY = "case/", "library"
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_SANDBOX = "sandbox allow-downloads allow-modals allow-same-origin allow-scripts; frame-ancestors 'none'"


class Viewing(ThreadingHTTPServer):
    """A server for one desk; ``admission`` knows its address and token."""

    daemon_threads = True
    allow_reuse_address = False

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - as the server calls it
        """Say nothing of a browser that went away, and of all else in a line what it was, not what it was about."""
        error = sys.exception()
        if not isinstance(error, (ConnectionError, TimeoutError)):
            print(f"camaudit: a request failed ({type(error).__name__})", file=sys.stderr)  # noqa: T201 - its console

    def __init__(self, desk: Desk, port: int) -> None:
        self.library = library()
        super().__init__(("127.0.0.1", port), _Answer)
        self.desk = desk
        self.admission = Admission(self.server_address[1], secrets.token_urlsafe(32))


@contextmanager
def viewing(desk: Desk, port: int = 0) -> Iterator[Viewing]:
    """Listen on the loopback; port 0 takes one that is free. Who enters calls ``serve_forever``.

    Raises:
        OSError: when the port is taken.
        OutputError: when the library of the view in space is not the released one.
    """
    server = Viewing(desk, port)
    try:
        yield server
    finally:
        server.server_close()


class _Answer(BaseHTTPRequestHandler):
    server: Viewing
    timeout = _SECONDS
    server_version = "camaudit"
    sys_version = ""

    def do_GET(self) -> None:
        place = self.server.admission.place(self.path, self._headers())
        if isinstance(place, Refused):
            self._refuse(place)
        elif place == "":
            self._give("text/html; charset=utf-8", self.server.desk.page())
        elif place == _LIBRARY:
            self._give("text/javascript; charset=utf-8", self.server.library)
        else:
            content = self.server.desk.case(place.removeprefix(_CASE)) if place.startswith(_CASE) else None
            if content is None:
                self._refuse(Refused(HTTPStatus.NOT_FOUND, "there is no such case"))
            else:
                self._give("application/octet-stream", content)

    def do_POST(self) -> None:
        admission, headers = self.server.admission, self._headers()
        place = admission.place(self.path, headers)
        length = place if isinstance(place, Refused) else admission.written_length(headers)
        if isinstance(length, Refused):
            self._refuse(length)
        elif place != "review":
            self._refuse(Refused(HTTPStatus.NOT_FOUND, "nothing is written here"))
        else:
            self._take(self.rfile.read(length), length)

    def _take(self, content: bytes, length: int) -> None:
        if len(content) != length:
            self._refuse(Refused(HTTPStatus.BAD_REQUEST, "the review is shorter than its Content-Length"))
            return
        try:
            name = self.server.desk.take(content)
        except AuditError as error:
            self._refuse(Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)))
            return
        self._give("application/json", json.dumps({"file": name}).encode(), HTTPStatus.CREATED)

    def _headers(self) -> dict[str, str]:
        """Return the headers by the names that are asked for; one that comes twice is as none at all."""
        names = ("Host", "Origin", "Content-Type", "Content-Length", "Transfer-Encoding", "X-Camaudit-Token")
        values = {name: self.headers.get_all(name, []) for name in names}
        return {name: given[0] for name, given in values.items() if len(given) == 1}

    def _refuse(self, refused: Refused) -> None:
        self._give("text/plain; charset=utf-8", f"{refused.sentence}\n".encode(), refused.status)

    def _give(self, kind: str, content: bytes, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(content)), **_HEADERS}
        headers["Content-Security-Policy"] = f"{policy(served=True)}; {_SANDBOX}"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: an address holds the token."""
