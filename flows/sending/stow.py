"""STOW-RS (PS3.18 section 10.5): objects to a DICOMweb server, one request each, so that each has its own answer."""

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.sending.sent import Sent, objects_below
from pipeline.studies.dicomweb.client import AUTHORIZATION_VARIABLE, DicomWebServer, open_client

if TYPE_CHECKING:
    import httpx

__all__ = ["stow_below"]

_OK, _ACCEPTED, _CONFLICT = 200, 202, 409
_FAILED, _FAILURE, _STORED = "00081198", "00081197", "00081199"
_LONGEST_ANSWER = 2**20


def stow_below(folder: Path, server: DicomWebServer) -> list[Sent]:
    """Send the objects of an export; each is accounted for, whatever happens on the way."""
    outcomes: list[Sent] = []
    with open_client(server) as client:
        for name, path in objects_below(folder):
            outcomes.append(_posted(server, client, name, path))
            if outcomes[-1].is_final:
                break
    tried = len(outcomes)
    return outcomes + [Sent(name, outcomes[-1].reason) for name, _ in list(objects_below(folder))[tried:]]


def _posted(server: DicomWebServer, client: "httpx.Client", name: str, path: Path) -> Sent:
    import httpx

    boundary = secrets.token_hex(16)
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Accept": "application/dicom+json",
    }
    body = b"".join(
        [f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode(), path.read_bytes(),
         f"\r\n--{boundary}--\r\n".encode()]
    )  # fmt: skip
    try:
        answer = client.post(f"{server.url}/studies", content=body, headers=headers)
    except (httpx.ConnectError, httpx.ConnectTimeout):
        return Sent(name, f"{server.host} cannot be reached", is_final=True)
    except httpx.HTTPError as error:
        return Sent(name, f"{server.host} cannot be reached, or broke off: {type(error).__name__}")
    return _answered(name, answer)


def _answered(name: str, answer: "httpx.Response") -> Sent:
    """Return what an answer says of its only object: one that does not say it was stored was not."""
    status = answer.status_code
    if status not in (_OK, _ACCEPTED, _CONFLICT):
        closed = status in (401, 403)
        advice = f"; is {AUTHORIZATION_VARIABLE} right?" if closed else ""
        return Sent(name, f"the server answered {status}{advice}", is_final=closed)
    content = _content(answer)
    failed = content.get(_FAILED, {}).get("Value")
    if failed or status == _CONFLICT:
        return Sent(name, f"the server refused it: reason {_reason(failed)}")
    if not content.get(_STORED, {}).get("Value"):
        return Sent(name, f"the server answered {status}, and does not say that it stored the object")
    return Sent(name, remark="stored with a warning" if status == _ACCEPTED else None)


def _content(answer: "httpx.Response") -> dict[str, Any]:
    """Return the answer's data set; nothing for what is none."""
    try:
        content = answer.json() if len(answer.content) <= _LONGEST_ANSWER else {}
    except ValueError:
        return {}
    first = content[0] if isinstance(content, list) and content else content
    return first if isinstance(first, dict) else {}


def _reason(failed: Any) -> str:  # noqa: ANN401 - a server's answer may be anything
    """Return the failure reason's number (PS3.18 table 10.5.3-1), in hexadecimal."""
    try:
        return f"{int(failed[0][_FAILURE]['Value'][0]):04X}"
    except (LookupError, TypeError, ValueError):
        return "not stated"
