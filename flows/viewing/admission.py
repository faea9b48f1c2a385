"""Who may ask this server: whoever has the token, from the page that it gave, by the address that it listens on.

Any page in the reader's browser can send requests to a port of the loopback; what it cannot do is know the token, set a
header of its own without asking first, or claim another origin. All of them are demanded together.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from pipeline.findings.reviews import REVIEW_BYTES

__all__ = ["Admission", "Refused"]

_TOKEN_HEADER = "X-Camaudit-Token"


class Refused(NamedTuple):
    """Why a request is not answered: the status, and a sentence that tells nothing of the run."""

    status: HTTPStatus
    sentence: str


@dataclass(frozen=True)
class Admission:
    """The server's port and token."""

    port: int
    token: str

    @property
    def host(self) -> str:
        """What ``Host`` has to be."""
        return f"127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """The page's address, which holds the token."""
        return f"http://{self.host}/{self.token}/"

    def place(self, path: str, headers: Mapping[str, str]) -> str | Refused:
        """Return what a path asks for behind the token: '' for the page, ``case/0`` or ``review`` for the others.

        The page itself is had by its address alone; all else needs the token in the header, too.
        """
        if headers.get("Host") != self.host:
            return Refused(HTTPStatus.MISDIRECTED_REQUEST, f"this server answers to {self.host} alone")
        given, slash, place = path.removeprefix("/").partition("/")
        if not slash or not self._is_token(given):
            return Refused(HTTPStatus.NOT_FOUND, "there is nothing here")
        if place and not self._is_token(headers.get(_TOKEN_HEADER, "")):
            return Refused(HTTPStatus.FORBIDDEN, f"the header {_TOKEN_HEADER} is missing, or not this page's")
        return place

    def written_length(self, headers: Mapping[str, str]) -> int | Refused:
        """Return how many bytes a review that is sent here has, or why it is not read."""
        if headers.get("Origin") != f"http://{self.host}":
            return Refused(HTTPStatus.FORBIDDEN, "the request comes from another page")
        if headers.get("Content-Type") != "application/json":
            return Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "a review is sent as application/json")
        length = headers.get("Content-Length", "")
        if headers.get("Transfer-Encoding") is not None or not (length.isascii() and length.isdigit()):
            return Refused(HTTPStatus.LENGTH_REQUIRED, "a review is sent with its Content-Length")
        if len(length) > 9 or int(length) > REVIEW_BYTES:
            return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a review has at most {REVIEW_BYTES} bytes")
        return int(length)

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "replace"), self.token.encode())
