"""Two runs of one audit held against each other, file by file: what may differ stands here, field by field."""

import base64
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLLOWING = "report.pdf"
"""Rendered from the other files, times among them: that it is, byte for byte, is what ``camaudit verify`` holds."""

FIELDS = {
    "run.json": (  # a run is named after the moment of its start
        "run",
        "started_at",
        "lock/register_mark/head",  # behind the entry of this run
        "configuration/run/engine",
        "configuration/run/processes",
        "configuration/run/pool",
        "given/run/engine",
        "given/run/processes",
        "given/run/pool",
    ),
    "cohort.json": ("*/first_seen",),  # the run's name
    "results.json": (
        "run",
        "lock/register_mark/head",
        "provenance/started_at",
        "provenance/finished_at",
        "provenance/seconds",
        "provenance/engine",
        "provenance/flow_run",
        "provenance/ledger_head",
    ),
    "ledger.jsonl": (  # each entry is chained to the one before, and all to a number that is drawn
        "0/body/chain",
        "*/time",
        "*/previous",
        "*/hash",
        "*/signature",
        "*/body/engine",
        "*/body/files/run.json",
        "*/body/files/cohort.json",
        "*/body/files/results.json",
        "*/body/files/report.pdf",
        "*/body/files/attestation.json",
    ),
    "attestation.json": (
        "payload/predicate/run",
        "payload/predicate/finished_at",
        "payload/predicate/ledger/head",
        "payload/subject/run.json",
        "payload/subject/cohort.json",
        "payload/subject/results.json",
        "payload/subject/report.pdf",
        "signatures/0/sig",
    ),
}
"""In which fields a file may differ: times, who worked, and the hashes and signatures that follow from those.

A ``*`` is any name or place in a list. Shards are listed in a ledger as they were finished, here by their number.
"""

_ABSENT = object()
_WHOLE = "all of it"


@dataclass(frozen=True)
class Likeness:
    """How alike two folders are: files that are equal byte for byte, fields that differ as they may, and all else."""

    equal: tuple[str, ...]
    fields: dict[str, tuple[str, ...]]
    unlike: tuple[str, ...]


def likeness(left: Path, right: Path) -> Likeness:
    """Hold the files of two runs against each other."""
    equal, fields, unlike = [], {}, []
    for name in sorted(_names(left) | _names(right)):
        if not (left / name).is_file() or not (right / name).is_file():
            unlike.append(f"{name}: only one run has it")
        elif (left / name).read_bytes() == (right / name).read_bytes():
            equal.append(name)
        elif name in FIELDS:
            known = {field: re.compile(field.replace("*", "[^/]+")) for field in FIELDS[name]}
            differing = tuple(_differing(_read(left / name), _read(right / name)))
            fields[name] = tuple(field for field in known if any(map(known[field].fullmatch, differing)))
            of_none = [path for path in differing if not any(field.fullmatch(path) for field in known.values())]
            unlike += [f"{name}: {path}" for path in of_none]
            if not differing:
                unlike.append(f"{name}: written in another way")
        elif name == FOLLOWING:
            fields[name] = ()
        else:
            unlike.append(f"{name}: other bytes")
    return Likeness(tuple(equal), fields, tuple(unlike))


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _read(path: Path) -> Any:
    if path.suffix == ".jsonl":
        return _by_shard([json.loads(line) for line in path.read_text().splitlines()])
    content = json.loads(path.read_text())
    if path.name == "attestation.json":
        payload = json.loads(base64.b64decode(content["payload"]))
        payload["subject"] = {subject["name"]: subject["digest"]["sha256"] for subject in payload["subject"]}
        content["payload"] = payload
    return content


def _by_shard(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a ledger's entries, those of finished shards by the number of the shard in the places that they hold."""
    places = [place for place, entry in enumerate(entries) if entry["event"] == "shard.finished"]
    shards = sorted((entries[place] for place in places), key=lambda entry: entry["body"]["shard"])
    ordered = list(entries)
    for place, entry in zip(places, shards, strict=True):
        ordered[place] = entry | {"sequence": place}
    return ordered


def _differing(left: Any, right: Any, path: str = "") -> Iterator[str]:
    """Yield the path of each value in which two contents differ; names in another order are a difference as well."""
    if isinstance(left, dict) and isinstance(right, dict):
        if [name for name in left if name in right] != [name for name in right if name in left]:
            yield f"{path or _WHOLE}: names in another order"
        for name in left | right:
            yield from _differing(left.get(name, _ABSENT), right.get(name, _ABSENT), f"{path}/{name}".lstrip("/"))
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for place, both in enumerate(zip(left, right, strict=True)):
            yield from _differing(*both, f"{path}/{place}".lstrip("/"))
    elif type(left) is not type(right) or left != right:
        yield path or _WHOLE
