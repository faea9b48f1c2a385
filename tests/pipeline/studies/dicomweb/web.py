"""A small DICOMweb server on a port of its own, with faults on demand; it knows nothing of the client."""

import json
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom import Dataset

BOUNDARY = b"1a2b3c"
Fault = Callable[["Handler", bytes], None]


class Web(ThreadingHTTPServer):
    """Objects by study, series and instance. ``faults`` are used up one a request to a path, then all is well."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, Dataset] = {}
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.always: Fault | None = None
        self.asked: list[str] = []
        self.headers: list[Any] = []
        self.knows_pages = True
        self.counts_instances = True
        self.hold = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/dicom-web"

    def store(self, *datasets: Dataset) -> None:
        for one in datasets:
            place = f"studies/{one.StudyInstanceUID}/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}"
            self.objects[place] = one

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is none of our errors."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Web

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        place = parts.path.removeprefix("/dicom-web/")
        self.server.asked.append(place)
        self.server.headers.append(self.headers)
        body = self.answer(place, parse_qs(parts.query))
        faults = self.server.faults[place]
        if faults:
            faults.popleft()(self, body)
        elif self.server.always is not None and place.startswith("studies/"):
            self.server.always(self, body)
        elif not body:
            self.send(404)
        else:
            self.send(200, body, self.kind(place))

    def kind(self, place: str) -> str:
        if "/instances/" in place:
            return f'multipart/related; type="application/dicom"; boundary="{BOUNDARY.decode()}"'
        return "application/dicom+json"

    def answer(self, place: str, query: dict[str, list[str]]) -> bytes:
        objects = self.server.objects
        if place == "studies":
            return json.dumps(self.page(query)).encode()
        if place.endswith("/metadata"):
            study = place.removesuffix("metadata")
            return json.dumps([described(one) for name, one in objects.items() if name.startswith(study)]).encode()
        return multipart(stored(objects[place])) if place in objects else b""

    def page(self, query: dict[str, list[str]]) -> list[Any]:
        counts = Counter(dataset.StudyInstanceUID for dataset in self.server.objects.values())
        studies = list(counts)
        if self.server.knows_pages:
            start = int(query["offset"][0])
            studies = studies[start : start + int(query["limit"][0])]
        return [self.study_entry(study, counts[study]) for study in studies]

    def study_entry(self, study: str, instances: int) -> dict[str, Any]:
        entry: dict[str, Any] = {"0020000D": {"vr": "UI", "Value": [study]}}
        if self.server.counts_instances:
            entry["00201208"] = {"vr": "IS", "Value": [instances]}
        return entry

    def send(self, status: int, body: bytes = b"", kind: str = "text/plain", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Type": kind, "Content_Length": str(len(body)), **headers}.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def stored(dataset: Dataset) -> bytes:
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def described(dataset: Dataset) -> dict[str, Any]:
    plain = Dataset({tag: one for tag, one in dataset.items() if tag != 0x7FE00010})
    return plain.to_json_dict()


def multipart(content: bytes) -> bytes:
    return b"\r\n--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n--%b--" % (BOUNDARY, content, BOUNDARY)


def status(number: int, **headers: str) -> Fault:
    """Answer with a status and no content."""
    return lambda handler, _: handler.send(number, b"", **headers)


def cut(handler: Handler, body: bytes) -> None:
    """Announce more than comes."""
    handler.send(200, body[:-40], handler.kind(handler.path), Content_Length=str(len(body)))
    handler.close_connection = True


def unclosed(handler: Handler, body: bytes) -> None:
    """Send more than there is, without the closing boundary; nothing announces a length."""
    handler.send(200, body[: body.rindex(b"\r\n--")] + bytes(500), handler.kind(handler.path), Content_Length="")
    handler.close_connection = True


def hung_up(handler: Handler, _: bytes) -> None:
    handler.close_connection = True


@contextmanager
def serving(*datasets: Dataset) -> Iterator[Web]:
    with Web() as web:
        web.store(*datasets)
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield web
        finally:
            web.hold.set()
            web.shutdown()
            thread.join()
