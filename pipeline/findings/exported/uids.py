"""Unique identifiers that follow from what they name: the same object of the same run has the same one each time."""

import uuid

__all__ = ["derived_uid"]

_NAMESPACE = uuid.UUID("a5a3b1f0-7d2c-5c55-9a43-0f0c9a7d6e21")


def derived_uid(*parts: str) -> str:
    """Return a DICOM UID (PS3.5 B.2: 2.25 and a UUID) that follows from ``parts``, whose order and borders count."""
    name = "\x1f".join(f"{len(part)}:{part}" for part in parts)
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"
