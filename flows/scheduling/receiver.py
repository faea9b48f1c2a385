"""A C-STORE provider (PS3.4 annex B) that files what a PACS pushes; a schedule with ``--on-arrival`` does the rest.

What comes in is input that nobody vouches for: nothing of it is parsed here, only filed, under a name made from the UID
of the request. An object is acknowledged when it is on the disk, and one that is there is never replaced.
"""

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from pipeline.errors import ConfigError, OutputError
from pipeline.extras import needs
from pipeline.file_lock import locked_at_once
from pipeline.files import written
from pipeline.studies.dicomweb.client import INSTANCE_CAP, is_uid
from reports.exports.dicom.quiet import quiet_libraries

if TYPE_CHECKING:
    from pynetdicom import AE
    from pynetdicom.association import Association
    from pynetdicom.dimse_primitives import C_STORE
    from pynetdicom.events import Event
    from pynetdicom.transport import ThreadedAssociationServer

__all__ = ["Filed", "Receiver", "receiving"]

_STORED, _NO_UID, _NO_ROOM, _ANOTHER = 0x0000, 0x0117, 0xA700, 0xC001  # status codes of C-STORE, PS3.4 table B.2-1
_LEFT_FREE = 1024**3  # bytes of the disk that are left to others
_ASSOCIATIONS = 4
_SECONDS = 60.0  # an association that says nothing for so long is ended
_NAME_DIGITS = 32


@dataclass(frozen=True)
class Receiver:
    """Where objects are filed, under which title and address, and the titles of those who may push (empty: anybody)."""

    folder: Path
    title: str
    host: str
    port: int
    callers: tuple[str, ...] = ()
    object_cap: int = INSTANCE_CAP


@dataclass
class Filed:
    """What one association brought, by outcome."""

    outcomes: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.items()) or "nothing"


@contextmanager
def receiving(receiver: Receiver, on_end: Callable[[Filed], None]) -> Iterator[int]:
    """Take objects as long as the block lasts; yield the port. ``on_end`` is told what each association brought.

    Raises:
        ConfigError: when what speaks DICOM is not installed, or the address cannot be listened on.
        OutputError: when the folder cannot be used, or another receiver files into it.
    """
    try:
        import pynetdicom
    except ModuleNotFoundError as error:
        raise ConfigError(f"receive: {needs('pynetdicom')}") from error
    with _alone(receiver.folder), quiet_libraries():
        desk = _Desk(receiver, on_end)
        handlers = [
            (pynetdicom.evt.EVT_C_STORE, desk.file),
            (pynetdicom.evt.EVT_PDU_RECV, desk.count),
            (pynetdicom.evt.EVT_CONN_CLOSE, desk.close),
        ]
        entity = _entity(receiver)
        server = _listening(entity, receiver, handlers)
        try:
            yield server.server_address[1]
        finally:
            entity.shutdown()  # ends associations too; what was not acknowledged is pushed again


def _listening(entity: "AE", receiver: Receiver, handlers: list[Any]) -> "ThreadedAssociationServer":
    address = (receiver.host, receiver.port)
    try:
        return cast("ThreadedAssociationServer", entity.start_server(address, block=False, evt_handlers=handlers))
    except OSError as error:
        where = f"{receiver.host}:{receiver.port}"
        raise ConfigError(f"receive: {where} cannot be listened on: {error.strerror or error}") from error


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make the folder, and remove what an earlier receiver did not finish; the lock lies beside it, not in it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror or error}") from error
    with locked_at_once(folder.with_name(f"{folder.name}.receiver.lock")) as is_alone:
        if not is_alone:
            raise OutputError(f"{folder}: another receiver files into it; end that one first")
        for unfinished in folder.glob("??/.*.dcm.*"):
            unfinished.unlink(missing_ok=True)
        yield


def _entity(receiver: Receiver) -> "AE":
    from pynetdicom import (
        AE,
        ALL_TRANSFER_SYNTAXES,
        AllStoragePresentationContexts,
        VerificationPresentationContexts,
    )

    entity = AE(receiver.title)
    entity.require_called_aet = True
    entity.require_calling_aet = list(receiver.callers)
    entity.maximum_associations = _ASSOCIATIONS
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = _SECONDS
    for context in VerificationPresentationContexts + AllStoragePresentationContexts:
        entity.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
    return entity


@dataclass
class _Desk:
    """Files objects of several associations, each in a thread of its own."""

    receiver: Receiver
    on_end: Callable[[Filed], None]
    _filed: dict[int, Filed] = field(default_factory=dict)
    _pending: Counter[int] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def count(self, event: "Event") -> None:
        """End an association whose object has more bytes than one may have: it is in memory until it is whole."""
        association, cap = event.assoc, self.receiver.object_cap
        with self._lock:
            before = self._pending[id(association)]
            self._pending[id(association)] = before + len(event.pdu)
        if before <= cap < before + len(event.pdu):
            self._note(association, "too large, association ended")
            association.abort()

    def file(self, event: "Event") -> int:
        """File one object; return the status that is sent back."""
        with self._lock:
            self._pending[id(event.assoc)] = 0
        uid = str(cast("C_STORE", event.request).AffectedSOPInstanceUID)
        status, outcome = _file(self.receiver.folder, uid, event.encoded_dataset)
        self._note(event.assoc, outcome)
        return status

    def close(self, event: "Event") -> None:
        """Tell what an association has brought."""
        with self._lock:
            self._pending.pop(id(event.assoc), None)
            filed = self._filed.pop(id(event.assoc), None)
        if filed is not None:
            self.on_end(filed)

    def _note(self, association: "Association", outcome: str) -> None:
        with self._lock:
            self._filed.setdefault(id(association), Filed()).outcomes[outcome] += 1


def _file(folder: Path, uid: str, encoded: Callable[[], bytes]) -> tuple[int, str]:
    """Return the status of one object and what became of it."""
    if not is_uid(uid):
        return _NO_UID, "refused: no UID"
    name = hashlib.sha256(uid.encode()).hexdigest()[:_NAME_DIGITS]  # as many folders as there are pairs of digits
    path, content = folder / name[:2] / f"{name}.dcm", encoded()
    try:
        if path.exists():
            is_same = path.read_bytes() == content
            return (_STORED, "here already") if is_same else (_ANOTHER, "refused: another object has this UID")
        if shutil.disk_usage(folder).free < len(content) + _LEFT_FREE:
            return _NO_ROOM, "refused: the disk is full"
        with written(path, private=True) as file:
            file.write(content)
    except (OSError, OutputError):
        return _NO_ROOM, "refused: cannot be written"
    return _STORED, "stored"
