"""Readers of other packages, by the entry points ``camaudit.readers``: a module each, asked behind our own.

What this program reads, nobody else reads instead. A reader is loaded where a run or a scan begins, and travels to the
processes that read by its module's name; they import it by their own import path, from an installed package alone.
"""

import re
from collections.abc import Iterable
from importlib.metadata import EntryPoint, distributions
from sys import path as import_entries
from types import ModuleType

from pipeline.errors import ConfigError
from pipeline.studies.readers import BUILT_IN, ReaderFacts, Readers
from pipeline.studies.readers.dicom.header import Kind
from pipeline.studies.untrusted.import_path import import_path

__all__ = ["GROUP", "installed_readers", "load_readers", "what_is_wrong"]

GROUP = "camaudit.readers"
_ENDING = re.compile(r"(\.[a-z0-9]{1,12}){1,2}")
_KIND = re.compile(r"[a-z][a-z0-9 -]{1,30}")
_SHORTEST_MAGIC, _LAST_MAGIC = 4, 512
_WAYS = {"image": ("read",), "mask": ("read_mask",), "both": ("read", "read_mask")}


def installed_readers() -> tuple[EntryPoint, ...]:
    """Return the readers that installed packages announce, by name; none from the working folder."""
    entries = {
        (entry.name, entry.value): entry
        for distribution in distributions(path=import_path(import_entries))
        for entry in distribution.entry_points.select(group=GROUP)
    }
    return tuple(entries[key] for key in sorted(entries))


def load_readers(entries: Iterable[EntryPoint] | None = None) -> Readers:
    """Return this program's readers, and behind them those of ``entries`` (None: of every installed package).

    Raises:
        ConfigError: for one that cannot be loaded, or is no reader, with the reason.
    """
    readers = BUILT_IN
    for entry in installed_readers() if entries is None else entries:
        try:
            module = entry.load()
        except Exception as error:
            raise _refused(entry, f"its import raised {type(error).__name__}") from error
        wrong = what_is_wrong(module, readers)
        if wrong:
            raise _refused(entry, wrong)
        images = (module,) if hasattr(module, "read") else ()
        masks = (module,) if hasattr(module, "read_mask") else ()
        readers = Readers((*readers.images, *images), (*readers.masks, *masks))
    return readers


def _refused(entry: EntryPoint, why: str) -> ConfigError:
    return ConfigError(f"the reader {entry.name!r} ({GROUP}: {entry.value}) is not used: {why}; uninstall or mend it")


def what_is_wrong(module: object, readers: Readers = BUILT_IN) -> str:
    """Return in words what keeps a module from being a reader beside these, '' when nothing does."""
    facts = getattr(module, "FACTS", None)
    if not isinstance(module, ModuleType) or not isinstance(facts, ReaderFacts):
        return "it is no module with FACTS of the type ReaderFacts"
    ways = _WAYS.get(facts.reads, ())
    if {way for way in ("read", "read_mask") if callable(getattr(module, way, None))} != set(ways):
        return f"FACTS.reads is {facts.reads!r}, which is not what its functions read and read_mask say"
    if not callable(getattr(module, "accepts", None)):
        return "it has no function accepts"
    return _wrong_names(facts, readers) or _wrong_magic(facts, readers)


def _wrong_names(facts: ReaderFacts, readers: Readers) -> str:
    taken = {ending for own in readers.facts for ending in (*own.endings, *own.mask_endings)}
    for ending in (*facts.endings, *facts.mask_endings):
        if not _ENDING.fullmatch(ending):
            return f"the ending {ending!r} is not lower case with its dot"
        if ending in taken:
            return f"the ending {ending!r} is another reader's"
    if not _KIND.fullmatch(facts.kind) or facts.kind in {*Kind, *(own.kind for own in readers.facts)}:
        return f"the kind {facts.kind!r} is taken, or is not words in lower case"
    if facts.covers_many or not facts.told_by_name:
        return "FACTS must say told_by_name, and not covers_many: other files are this program's own"
    if facts.header_endings:
        return "FACTS.header_endings is not empty: whoever hashes a study knows of this program's own headers alone"
    return ""


def _wrong_magic(facts: ReaderFacts, readers: Readers) -> str:
    if not facts.magic:
        return "FACTS.magic is empty: a format is known by its first bytes"
    known = [magic for own in readers.facts for magic in own.magic]
    for offset, magic in facts.magic:
        if len(magic) < _SHORTEST_MAGIC or not 0 <= offset <= _LAST_MAGIC - len(magic):
            return (
                f"a magic of {len(magic)} bytes at {offset} is not {_SHORTEST_MAGIC} or more in the first {_LAST_MAGIC}"
            )
        if any(_may_be_one(offset, magic, *other) for other in known):
            return "its magic bytes are another reader's"
    return ""


def _may_be_one(offset: int, magic: bytes, other_offset: int, other: bytes) -> bool:
    """Tell whether two magics at one place agree as far as both go."""
    length = min(len(magic), len(other))
    return offset == other_offset and magic[:length] == other[:length]
