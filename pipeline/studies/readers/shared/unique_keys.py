"""JSON in which every key stands once; Python's own reader would keep the last of two and drop the first in silence."""

import json
from typing import Any

from pipeline.errors import Reason
from pipeline.studies.readers.shared.base import refused
from pipeline.studies.readers.shared.labels import check_distinct

__all__ = ["stated", "unique_json"]


def unique_json(text: str) -> Any:  # noqa: ANN401 - JSON
    """Return the content of JSON.

    Raises:
        StudyError: NOT_READABLE when it is not JSON, or a key stands twice in one object.
    """
    try:
        return json.loads(text, object_pairs_hook=_distinct)
    except (ValueError, RecursionError):
        pass
    raise refused(Reason.NOT_READABLE, "the file is not JSON")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        check_distinct((key for key, _ in pairs), "a JSON object's keys")
    return content


def stated(entry: object, key: str, kind: type | tuple[type, ...], what: str) -> Any:  # noqa: ANN401 - JSON
    """Return what an entry of JSON states under ``key``.

    Raises:
        StudyError: NOT_READABLE when the entry is no object, lacks the key, or holds another type there.
    """
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise refused(Reason.NOT_READABLE, f"{what} of the JSON file states no {key}, or one of another type")
    return value
