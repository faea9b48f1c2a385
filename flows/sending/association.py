"""C-STORE (PS3.4 annex B): objects to a storage provider, over one association."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from flows.sending.sent import Sent, objects_below
from pipeline.errors import ConfigError
from pipeline.extras import needs
from reports.exports.dicom.quiet import quiet_libraries

if TYPE_CHECKING:
    from pynetdicom.association import Association

__all__ = ["CALLING_TITLE", "StorageProvider", "provider_of", "store_below"]

CALLING_TITLE = "CAMAUDIT"
_ADDRESS = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(\d{1,5}),([A-Za-z0-9][A-Za-z0-9_ .-]{0,15})")
_HIGHEST_PORT = 65535
_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
_SECONDS = 30
_WARNINGS = range(0xB000, 0xC000)
_REFUSALS = {
    0xA7: "out of resources",
    0xA9: "the object does not match its class",
    0xC0: "cannot understand the object",
}


@dataclass(frozen=True)
class StorageProvider:
    """Who stores: a host, a port, and the title of its application entity."""

    host: str
    port: int
    title: str


def provider_of(text: str) -> StorageProvider:
    """Return the provider that ``HOST:PORT,TITLE`` names.

    Raises:
        ConfigError: when it is not of that form, or what speaks DICOM is not installed.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match[2]) <= _HIGHEST_PORT:
        raise ConfigError(f"--send: must be HOST:PORT,TITLE, such as pacs.example.org:104,ARCHIVE, not {text!a}")
    try:
        import pynetdicom  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(f"--send: {needs('pynetdicom')}") from error
    return StorageProvider(match[1].strip("[]"), int(match[2]), match[3].strip())


def store_below(folder: Path, provider: StorageProvider) -> list[Sent]:
    """Send the objects of an export, one after the other; each is accounted for, whatever happens on the way."""
    objects = list(objects_below(folder))
    if not objects:
        return []  # an association without a kind of object is none
    with quiet_libraries():
        return _stored(objects, provider)


def _stored(objects: Sequence[tuple[str, Path]], provider: StorageProvider) -> list[Sent]:
    association = _associated(objects, provider)
    if not association.is_established:
        reason = _why_not(association, provider)
        return [Sent(name, reason) for name, _ in objects]
    try:
        return [_store(association, name, path) for name, path in objects]
    finally:
        if association.is_established:
            association.release()


def _associated(objects: Sequence[tuple[str, Path]], provider: StorageProvider) -> "Association":
    from pynetdicom import AE

    entity = AE(CALLING_TITLE)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = _SECONDS
    classes = {str(dcmread(path, specific_tags=["SOPClassUID"]).SOPClassUID) for _, path in objects}
    for kind in sorted(classes):
        entity.add_requested_context(kind, _SYNTAXES)
    return entity.associate(provider.host, provider.port, ae_title=provider.title)


def _why_not(association: "Association", provider: StorageProvider) -> str:
    where = f"{provider.host}:{provider.port}"
    if association.is_rejected:
        return f"{where} rejects the association; does it know {CALLING_TITLE}, and is it called {provider.title}?"
    return f"{where} cannot be reached, or broke the association off"


def _store(association: "Association", name: str, path: Path) -> Sent:
    """Send one object; what the library or the other side raises is this object's reason."""
    if not association.is_established:
        return Sent(name, "the association was broken off before")
    try:
        status = association.send_c_store(dcmread(path))
    except ValueError:
        return Sent(name, "the archive takes no object of this kind, or not in this transfer syntax")
    except RuntimeError:
        return Sent(name, "the association was broken off before")
    if "Status" not in status:
        return Sent(name, "no answer: the association was broken off or timed out")
    return _answered(name, int(status.Status))


def _answered(name: str, status: int) -> Sent:
    if status == 0:
        return Sent(name)
    if status in _WARNINGS:
        return Sent(name, remark=f"stored with warning {status:04X}")
    words = _REFUSALS.get(status >> 8, "refused")
    return Sent(name, f"status {status:04X}: {words}")
