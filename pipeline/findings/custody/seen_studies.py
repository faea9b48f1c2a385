"""What runs under the lock of a growing cohort have had: which images, and as what each of them.

A look of such a run is entered with a list of what is new in it: the hash of each image, and that of all by which its
study counts: masks by reader and label, reference, groups, and its pseudonym, which says whose it is. Neither a name
nor a place of a file is part of either. So each line is written and read once, however many nights there were.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.findings.custody.chain import LedgerEntry
from pipeline.findings.custody.study_lists import read_study_list

__all__ = ["SeenStudies", "had_as", "study_content"]

_IMAGE = 64
"""Hex digits of an image's hash at the beginning of a line."""


def study_content(source_sha256: str, study: str) -> str:
    """Return the digest of all by which a study counts: what it is read from, and its pseudonym, so its patient."""
    return hashlib.sha256(f"{source_sha256} {study}".encode()).hexdigest()


def had_as(image: str, content: str) -> str:
    """Return the line of a study: the hash of its image, and its ``study_content``."""
    return f"{image} {content}"


@dataclass
class SeenStudies:
    """What looks under a lock had, as far as the register was gone through: ``length`` entries, the last is ``head``.

    ``lost`` are runs whose list is lost or altered. Of looks that were entered without what their images were had as
    (by earlier versions) the images alone are known.
    """

    folder: Path
    lock: str
    length: int = 0
    head: str = ""
    lost: list[str] = field(default_factory=list)
    _first: dict[bytes, str] = field(default_factory=dict)
    _lines: set[bytes] = field(default_factory=set)
    _read: set[str] = field(default_factory=set)

    def follow(self, entries: Sequence[LedgerEntry]) -> None:
        """Go on through the entries of the register, which begin with those that were gone through."""
        for entry in entries[self.length :]:
            if (entry.event, entry.body.get("lock")) == ("look", self.lock):
                self._add(entry.body)
        self.length, self.head = len(entries), entries[-1].hash if entries else self.head

    def _add(self, look: Mapping[str, str]) -> None:
        digest = look.get("contents") or look["cohort"]
        if digest in self._read:
            return
        self._read.add(digest)
        lines = read_study_list(self.folder, digest)
        if isinstance(lines, str):
            self.lost.append(look["run"])
            return
        for line in lines:
            self._first.setdefault(line[:_IMAGE], look["run"])
        if "contents" in look:
            self._lines |= lines

    def first_of(self, images: Iterable[str]) -> dict[str, str]:
        """Return which run had each of the images first, of those that one had."""
        runs = ((image, self._first.get(image.encode("ascii"))) for image in images)
        return {image: run for image, run in runs if run is not None}

    def gone(self, images: Collection[bytes]) -> int:
        """Return how many images looks had that are none of these."""
        return sum(image not in images for image in self._first)

    def altered(self, images: Collection[bytes], contents: Collection[bytes]) -> frozenset[bytes]:
        """Return which of the images looks had as something that is none of the ``contents``."""
        others = (line[:_IMAGE] for line in self._lines if line[_IMAGE + 1 :] not in contents)
        return frozenset(image for image in others if image in images)

    def new_among(self, lines: Iterable[str]) -> list[str]:
        """Return the lines that no look had."""
        return [line for line in lines if line.encode("ascii") not in self._lines]
