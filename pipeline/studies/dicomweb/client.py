"""A DICOMweb server (PS3.18): its studies, their metadata and the instances, over a network that fails.

What a server sends is input that nobody vouches for: every answer has a cap on its bytes and on its time, instances are
passed on unread, and metadata is parsed in processes with limits (see ``dicomweb_scan``). URLs hold UIDs: none reaches
a message or a log, and no redirect is followed, which could lead anywhere.
"""

import hashlib
import json
import logging
import os
import random
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from pathlib import PurePath
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

from pipeline.errors import ArchiveError, Reason
from pipeline.extras import needs
from pipeline.studies.dicomweb.multipart import IncompleteError, only_part
from pipeline.studies.index.headers import Facts, Kind, describe_json
from pipeline.studies.readers.shared.base import guarded, refused
from pipeline.studies.untrusted.containers import MEMBER_CAP

if TYPE_CHECKING:
    import httpx

__all__ = [
    "AUTHORIZATION_VARIABLE",
    "INSTANCE_CAP",
    "DicomWebServer",
    "Instance",
    "RetryPolicy",
    "instance_at",
    "is_uid",
    "is_url",
    "opaque",
    "open_client",
    "open_server",
    "retrieve",
    "study_counts",
    "study_entries",
    "study_page",
]

AUTHORIZATION_VARIABLE = "CAMAUDIT_DICOMWEB_AUTHORIZATION"
"""Its value is sent as the header Authorization."""

INSTANCE_CAP = MEMBER_CAP
"""Bytes that one instance may have."""

METADATA_CAP = 128 * 1024**2
"""Bytes that the metadata of one study may have."""

PAGE = 200
"""Studies asked for at a time."""

_URL = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?(/[A-Za-z0-9._~%+:/-]*)?")
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64
_TOO_MANY_REQUESTS = 429
_CHUNK = 1024**2
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"
_INSTANCES_OF_STUDY = "00201208"
_ONE_FILE = 'multipart/related; type="application/dicom"; transfer-syntax=*'  # as it is stored, nothing re-coded

Item = TypeVar("Item")


@dataclass(frozen=True)
class RetryPolicy:
    """How a request is tried; seconds. A pause doubles each time, give or take a half.

    ``longest_pause`` bounds what a server may ask for (Retry-After), ``silence`` the wait for the next byte, ``whole``
    an answer from its first byte to its last.
    """

    tries: int = 4
    pause: float = 1.0
    longest_pause: float = 60.0
    silence: float = 30.0
    whole: float = 900.0


@dataclass(frozen=True)
class DicomWebServer:
    """Where a server's services begin, what is sent as Authorization, and how patient a client is."""

    url: str
    authorization: str | None = field(default=None, repr=False)
    patience: RetryPolicy = RetryPolicy()

    @property
    def host(self) -> str:
        """The part of the URL that a message may name."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True)
class Instance:
    """One stored object by its UIDs."""

    study: str = field(repr=False)
    series: str = field(repr=False)
    instance: str = field(repr=False)

    @property
    def name(self) -> str:
        """Its path in a catalogue, in a manifest and in the folder of fetched files."""
        return f"{self.study}/{self.series}/{self.instance}.dcm"


def is_url(archive: str) -> bool:
    """Tell whether an archive is named by a URL, of whatever scheme."""
    return "://" in archive


def open_server(url: str) -> DicomWebServer:
    """Return the server at a URL, with the authorization that the environment holds; nothing is sent yet.

    Raises:
        ArchiveError: when the URL has another scheme, holds credentials, a query or a fragment, or the authorization
            is not one line of text; neither is quoted. Also where no server can be asked from here.
    """
    try:
        import httpx  # noqa: F401
    except ModuleNotFoundError as error:
        raise ArchiveError(f"a DICOMweb server {needs('httpx')}") from error
    if not _URL.fullmatch(url):
        raise ArchiveError(
            "the URL of a DICOMweb server must be http:// or https://, a host and a path, without user, password, "
            f"query and fragment: it stands in the lock; credentials go into {AUTHORIZATION_VARIABLE}"
        )
    authorization = os.environ.get(AUTHORIZATION_VARIABLE) or None
    if authorization is not None and not (authorization.isascii() and authorization.isprintable()):
        raise ArchiveError(f"{AUTHORIZATION_VARIABLE}: must be one line of printable ASCII, e.g. 'Bearer ...'")
    return DicomWebServer(url.rstrip("/"), authorization)


def is_uid(text: str) -> bool:
    """Tell whether a text is digits and single dots, at most 64: a part of a URL or path that leads nowhere else."""
    return len(text) <= _LONGEST_UID and _UID.fullmatch(text) is not None


def instance_at(path: PurePath) -> Instance | None:
    """Return the instance that a path names, relative to the folder of fetched files; None for any other path."""
    if len(path.parts) != 3 or path.suffix != ".dcm":
        return None
    study, series, instance = path.parts[0], path.parts[1], path.stem
    return Instance(study, series, instance) if all(map(is_uid, (study, series, instance))) else None


def opaque(text: str) -> str:
    """Return a path of our own for what a server names by something else than UIDs."""
    return f"invalid/{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:16]}"


# Requests.


class _AgainError(Exception):
    """A failure that may pass; ``after`` are the seconds that the server asks for."""

    def __init__(self, message: str, after: float = 0.0) -> None:
        super().__init__(message)
        self.after = after


@contextmanager
def open_client(server: DicomWebServer) -> "Iterator[httpx.Client]":
    """Yield a client for several threads; certificates are checked by the system's store, or by SSL_CERT_FILE."""
    import httpx

    headers = {"Accept-Encoding": "identity", "User-Agent": "camaudit"}
    headers |= {"Authorization": server.authorization} if server.authorization else {}
    # a proxy that happens to stand in the environment is no place to send patients through
    options: Any = {"verify": ssl.create_default_context(), "trust_env": False, "follow_redirects": False}
    with httpx.Client(headers=headers, timeout=server.patience.silence, **options) as client:
        yield client


def _requested(
    server: DicomWebServer, client: "httpx.Client", place: str, accept: str, take: "Callable[[httpx.Response], Item]"
) -> Item:
    """Return what ``take`` makes of the answer, trying again after failures that may pass.

    Raises:
        StudyError: NOT_FETCHED, naming the server's host and status; or ``take``'s own.
    """
    patience, fault = server.patience, _AgainError("was not asked")
    for number in range(patience.tries):
        if number:
            jittered = patience.pause * 2 ** (number - 1) * random.uniform(0.5, 1.5)
            sleep(min(max(fault.after, jittered), patience.longest_pause))
        try:
            with _unlogged():
                return _once(server, client, place, accept, take)
        except _AgainError as error:
            fault = error
    raise refused(Reason.NOT_FETCHED, f"the DICOMweb server {server.host} {fault} ({patience.tries} tries)")


def _once(
    server: DicomWebServer, client: "httpx.Client", place: str, accept: str, take: "Callable[[httpx.Response], Item]"
) -> Item:
    import httpx

    try:
        with client.stream("GET", f"{server.url}/{place}", headers={"Accept": accept}) as response:
            _check_status(server, response)
            return take(response)
    except httpx.ConnectError as error:
        raise _AgainError(f"cannot be reached: {error}") from None  # the system's or TLS's own words: no URL
    except (httpx.HTTPError, IncompleteError) as error:
        raise _AgainError(f"broke off: {type(error).__name__}") from None
    except httpx.InvalidURL:
        raise refused(Reason.NOT_FETCHED, f"the URL of the DICOMweb server {server.host} is none") from None


def _check_status(server: DicomWebServer, response: "httpx.Response") -> None:
    status = response.status_code
    if status == _TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _AgainError(f"answered {status}", _retry_after(response.headers.get("Retry-After", "")))
    if status not in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
        advice = f"; is {AUTHORIZATION_VARIABLE} right?" if status in (401, 403) else ""
        advice = "; redirects are not followed" if response.is_redirect else advice
        raise refused(Reason.NOT_FETCHED, f"the DICOMweb server {server.host} answered {status}{advice}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise refused(Reason.NOT_FETCHED, f"the DICOMweb server {server.host} packs its answers, unasked")


def _retry_after(value: str) -> float:
    """Return the seconds of a Retry-After, stated as such or as a date; 0 for what is neither."""
    try:
        return float(value) if value.isdigit() else (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _chunks(server: DicomWebServer, response: "httpx.Response", cap: int) -> Iterator[bytes]:
    """Yield an answer's bytes, up to a cap and within a time.

    Raises:
        StudyError: TOO_LARGE, NOT_FETCHED.
    """
    total, end = 0, monotonic() + server.patience.whole
    for chunk in response.iter_raw(_CHUNK):
        total += len(chunk)
        if total > cap:
            raise refused(Reason.TOO_LARGE, f"an answer of the DICOMweb server is longer than {cap >> 10} KiB")
        if monotonic() > end:
            raise refused(Reason.NOT_FETCHED, f"the DICOMweb server {server.host} took too long for one answer")
        yield chunk


# httpx logs every URL, httpcore the headers of every answer; both also work for others in this process.

_here = threading.local()


def _is_others(_: logging.LogRecord) -> bool:
    return not getattr(_here, "unlogged", False)


for _name in ("httpx", "httpcore.connection", "httpcore.http11"):
    logging.getLogger(_name).addFilter(_is_others)


@contextmanager
def _unlogged() -> Iterator[None]:
    _here.unlogged = True
    try:
        yield
    finally:
        _here.unlogged = False


# The three services.


def study_page(server: DicomWebServer, offset: int) -> list[str]:
    """Return the UIDs, as they are, of the studies from ``offset`` on, a page of them (QIDO-RS); runs in a worker.

    Raises:
        StudyError: NOT_FETCHED, TOO_LARGE, or NOT_READABLE for an answer that is no DICOM JSON.
    """
    items = _json(server, f"studies?limit={PAGE}&offset={offset}")
    return guarded("the server's answer", lambda: [_value(item, _STUDY) for item in items])


def study_counts(server: DicomWebServer, offset: int) -> list[tuple[str, str]]:
    """Return a page of studies, each with its number of instances as the server tells it, '' where it does not.

    Raises:
        StudyError: as ``study_page``.
    """
    items = _json(server, f"studies?limit={PAGE}&offset={offset}&includefield={_INSTANCES_OF_STUDY}")
    return guarded(
        "the server's answer", lambda: [(_value(item, _STUDY), _value(item, _INSTANCES_OF_STUDY)) for item in items]
    )


def study_entries(server: DicomWebServer, study: str) -> list[tuple[str, Facts]]:
    """Return a study's instances by their metadata (WADO-RS): each one's path and facts; runs in a worker.

    An instance whose UIDs are none is excluded under a path of our own; of one that is named twice the first counts.

    Raises:
        StudyError: as ``study_page``.
    """
    entries: dict[str, Facts] = {}
    for item in _json(server, f"studies/{study}/metadata"):
        path, facts = guarded("the server's answer", partial(_entry, study, item))
        entries.setdefault(path, facts)
    return list(entries.items())


def _entry(study: str, item: dict[str, Any]) -> tuple[str, Facts]:
    instance = Instance(study, _value(item, _SERIES), _value(item, _INSTANCE))
    if is_uid(instance.series) and is_uid(instance.instance):
        return instance.name, describe_json(item)
    return f"{study}/{opaque(instance.name)}", {"kind": Kind.OBJECT, "reason": Reason.NOT_READABLE}


def _value(item: dict[str, Any], tag: str) -> str:
    return str((item.get(tag, {}).get("Value") or [""])[0])


def _json(server: DicomWebServer, place: str) -> list[Any]:
    def take(response: "httpx.Response") -> bytes:
        return b"".join(_chunks(server, response, METADATA_CAP))

    with open_client(server) as client:
        body = _requested(server, client, place, "application/dicom+json", take)
    answer = guarded("the server's answer", lambda: json.loads(body)) if body else []
    if not isinstance(answer, list):
        raise refused(Reason.NOT_READABLE, "the server's answer is no list of DICOM JSON")
    return answer


def retrieve(server: DicomWebServer, client: "httpx.Client", instance: Instance, file: BinaryIO) -> int:
    """Write one instance as it is stored (WADO-RS) into ``file``, unread, and return its bytes.

    Raises:
        StudyError: NOT_FETCHED, or TOO_LARGE beyond the cap.
        OSError: when it cannot be written.
    """

    def take(response: "httpx.Response") -> int:
        file.seek(0)
        file.truncate()
        return sum(file.write(chunk) for chunk in _content(response, _chunks(server, response, INSTANCE_CAP)))

    place = f"studies/{instance.study}/series/{instance.series}/instances/{instance.instance}"
    return _requested(server, client, place, _ONE_FILE, take)


def _content(response: "httpx.Response", chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Return the bytes of the instance in an answer of one part, or in one that is the instance.

    Raises:
        IncompleteError: when it ends early, or nothing would tell whether it does.
    """
    stated = Message()
    stated["Content-Type"] = response.headers.get("Content-Type", "")
    if stated.get_content_maintype() == "multipart":
        return only_part(chunks, str(stated.get_param("boundary", "")).encode("latin-1", "replace"))
    if response.status_code != HTTPStatus.OK or not {"content-length", "transfer-encoding"} & response.headers.keys():
        raise IncompleteError
    return chunks
