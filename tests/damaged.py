"""Damaged files, each made and read in a worker process. A module of its own: a worker imports nothing heavy."""

import io
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.dataelem import DataElement
from pydicom.sequence import Sequence

from pipeline.errors import StudyError
from pipeline.studies.index.headers import describe
from pipeline.studies.readers import BUILT_IN, read_image, read_mask

MASK = "mask_"
"""How the names of sources begin that are masks of the source IMAGE."""
IMAGE = "image.dcm"

_EXTREMES = [
    "",
    "0",
    "-1",
    "1e308",
    "nan",
    "inf",
    "4294967295",
    "65535",
    "x" * 70,
    "\\",
    "1\\2\\3\\4\\5\\6",
    "\0",
    "ISO 2022",
]
_NUMBERS = [0, 1, -1, 2**15, 65535, 2**31 - 1]


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: ``study`` or a reason, with the worker's peak memory in bytes."""

    source: str
    change: str
    reason: str
    message: str
    seconds: float
    peak: int


def examine(number: int, folder: Path, seed: int) -> Outcome:
    """Make the mutant of this number from the sources in ``folder``, describe it as a scan does, and read it."""
    source, change, content = mutant(number, folder, seed)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as held:
        path = Path(held) / source.name
        path.write_bytes(content)
        for voxels in ("meta.raw", "pair.img"):
            if path.stem == Path(voxels).stem and path.name != voxels:
                shutil.copyfile(folder / voxels, path.with_name(voxels))
        reason, message = _read(path, folder)
    return Outcome(source.name, change, reason, message, time.perf_counter() - start, peak_memory())


def peak_memory() -> int:
    """Return the most memory that this process has held so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says on Linux counts the parent's memory from before the exec
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _read(path: Path, folder: Path) -> tuple[str, str]:
    with path.open("rb") as file:
        describe(file, path.stat().st_size, BUILT_IN, path.name)
    try:
        if path.name.startswith(MASK):
            read_mask(path, read_image(folder / IMAGE), "nodule")
        else:
            read_image(path)
    except StudyError as error:
        return error.reason, str(error)
    return "study", ""


def mutant(number: int, folder: Path, seed: int) -> tuple[Path, str, bytes]:
    """Return the source of a mutant, what was done to it, and the mutant."""
    chance = random.Random(f"{seed}/{number}")
    source = chance.choice(sorted(folder.iterdir()))
    whole = source.read_bytes()
    changes: list[Callable[[bytes, random.Random], bytes]] = [_flipped, _flipped, _flipped_in_front, _cut, _spliced]
    if whole[128:132] == b"DICM":
        changes += [_edited] * 5
    change = chance.choice(changes)
    return source, change.__name__.strip("_"), change(whole, chance)


def _flipped(whole: bytes, chance: random.Random, end: int | None = None) -> bytes:
    content = bytearray(whole)
    for _ in range(chance.choice([1, 1, 2, 4, 16, 64])):
        content[chance.randrange(min(end or len(content), len(content)))] = chance.choice(
            [0, 1, 255, chance.randrange(256)]
        )
    return bytes(content)


def _flipped_in_front(whole: bytes, chance: random.Random) -> bytes:
    return _flipped(whole, chance, 1000)


def _cut(whole: bytes, chance: random.Random) -> bytes:
    return whole[: chance.randrange(len(whole))]


def _spliced(whole: bytes, chance: random.Random) -> bytes:
    first, second = sorted(chance.randrange(len(whole)) for _ in range(2))
    piece = whole[first : min(second, first + 4096)]
    return whole[:first] + piece * chance.choice([0, 2, 50]) + whole[second:]


def _edited(whole: bytes, chance: random.Random) -> bytes:
    """Delete, empty or overwrite elements of a data set; one that cannot be written is cut instead."""
    try:
        dataset = dcmread(io.BytesIO(whole))
        for _ in range(chance.choice([1, 1, 2, 5])):
            _edit_one(dataset, chance)
        buffer = io.BytesIO()
        dataset.save_as(buffer)
        return buffer.getvalue()
    except Exception:
        return _cut(whole, chance)


def _edit_one(dataset: Dataset, chance: random.Random) -> None:
    element = dataset[chance.choice(list(dataset.keys()))]
    if element.VR == "SQ" and element.value and chance.random() < 0.7:
        _edit_one(chance.choice(element.value), chance)
        return
    how = chance.choice(["delete", "empty", "extreme", "extreme", "number", "sequence", "double"])
    if how == "delete":
        del dataset[element.tag]
    elif how == "empty":
        element.value = Sequence() if element.VR == "SQ" else None
    elif how == "double" and element.VR == "SQ":
        element.value = Sequence(list(element.value) * 3)
    elif how == "number" and element.VR in ("US", "SS", "UL", "SL", "IS"):
        element.value = chance.choice(_NUMBERS)
    elif how == "sequence":
        dataset[element.tag] = DataElement(element.tag, "SQ", Sequence([Dataset()]))
    else:
        dataset[element.tag] = DataElement(element.tag, chance.choice(["LO", "DS", "UI", "CS", "UN"]), _extreme(chance))


def _extreme(chance: random.Random) -> str | bytes:
    return chance.choice(_EXTREMES)
