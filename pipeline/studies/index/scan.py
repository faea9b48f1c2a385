"""An archive of any shape into its catalogue: walk, read the headers that are new, group, count.

Only regular files are opened, and no link is followed: what it leads to is met on the walk or lies outside. A DICOMDIR
is a hint: the walk decides what is there, and what the DICOMDIR names beside it is only counted. Headers are parsed in
processes with limits; a file that breaks one is excluded by its reason and costs no other.
"""

import os
import stat
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path, PurePosixPath

from pydicom import dcmread

from pipeline.errors import ArchiveError, Reason, StudyError
from pipeline.studies.index.catalogue import Catalogue, Stamp, known_modality
from pipeline.studies.index.file_content import look_into
from pipeline.studies.index.group_series import group
from pipeline.studies.index.headers import Facts, Kind, describe
from pipeline.studies.index.region_files import region_facts
from pipeline.studies.listing.dataset_layouts import conventional, found_layout
from pipeline.studies.listing.layouts.layout import DETECTED, LayoutChoice
from pipeline.studies.readers import BUILT_IN, Readers
from pipeline.studies.readers.shared.base import guarded
from pipeline.studies.untrusted.containers import ENDINGS, members
from pipeline.studies.untrusted.workers import HEADERS, Limits, WorkerPool, isolated_map, own_or_new

__all__ = ["CONTAINERS", "LayoutSummary", "Modality", "Summary", "describe_file", "scan", "summary"]

CONTAINERS = Limits(memory_bytes=2 * 1024**3, cpu_seconds=600, wall_seconds=900.0)
"""For listing one zip or tar archive."""

_BATCH = 64  # files a task and a commit: a kill costs those under way, a broken file costs them a second reading
_MEMBER_HEAD = 1024**2
_MEMBER_HEAD_CAP = 64 * 1024**2
_CHECKED = 10_000  # entries of one DICOMDIR

_Found = tuple[Stamp, Facts | None]


def scan(
    root: Path,
    catalogue: Catalogue,
    *,
    workers: int,
    apart: frozenset[Path] = frozenset(),
    on_files: Callable[[int], None],
    pool: WorkerPool | None = None,
    readers: Readers = BUILT_IN,
    choice: LayoutChoice = DETECTED,
) -> None:
    """Bring the catalogue up to date with the archive and group its files.

    Unchanged files (size, time of change, inode) are not opened again, and a scan that was killed goes on where the
    last commit left it. ``apart``: files of our own that may lie in the archive. ``on_files`` is told how many
    files more were dealt with. Headers are read by the processes of ``pool``, or of one for this call.
    ``choice``: what the user says of the archive's layout.

    Raises:
        ArchiveError: when the archive is no folder that can be listed.
    """
    sent: deque[list[Stamp]] = deque()
    tasks = _tasks(catalogue, _batches(_walk(root, apart), _BATCH), sent, on_files)
    describe_all = partial(_described, os.fspath(root), readers=readers)
    with own_or_new(pool) as own:
        for answer in isolated_map(describe_all, tasks, workers=workers, limits=HEADERS, pool=own):
            batch = sent.popleft()
            facts = _one_by_one(describe_all, batch, workers, own) if isinstance(answer, StudyError) else answer
            catalogue.add(zip(batch, facts, strict=True))
            on_files(len(batch))
        catalogue.forget_unseen()
        _read_containers(root, catalogue, partial(_described_members, readers=readers), (workers, own, on_files))
        if not catalogue.is_decided(repr(choice)):
            look_into(root, catalogue, workers=workers, pool=own, readers=readers, choice=choice)
    if not catalogue.is_decided(repr(choice)):
        group(root, catalogue, readers, choice)


def _walk(root: Path, apart: frozenset[Path]) -> Iterator[_Found]:
    """Yield every file below ``root`` with, when it is not to be opened, the reason; folders in no order."""
    folders, own = [os.fspath(root)], set(map(os.fspath, apart))
    while folders:
        folder = folders.pop()
        try:
            entries = os.scandir(folder)
        except OSError as error:
            if folder == os.fspath(root):
                raise ArchiveError(f"{root}: cannot be listed: {error.strerror}") from error
            yield (_relative(root, folder), 0, 0, 0), _excluded(Reason.NOT_READABLE)
            continue
        with entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.path not in own:
                    yield _met(root, entry)


def _met(root: Path, entry: os.DirEntry[str]) -> _Found:
    path = _relative(root, entry.path)
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return (path, 0, 0, 0), _excluded(Reason.NOT_READABLE)
    stamp = (path, status.st_size, status.st_mtime_ns, status.st_ino)
    if stat.S_ISLNK(status.st_mode):
        return stamp, _excluded(_link(root, Path(entry.path)))
    if not stat.S_ISREG(status.st_mode):
        return stamp, _excluded(Reason.NOT_REGULAR)
    unspeakable = path != _relative(root, entry.path, "surrogateescape")
    return stamp, _excluded(Reason.NOT_READABLE) if unspeakable else None


def _relative(root: Path, path: str, errors: str = "backslashreplace") -> str:
    """Return a path below ``root`` as the index stores it; bytes that are no UTF-8 are spelt out."""
    plain = path[len(os.fspath(root)) :].lstrip(os.sep)  # both are absolute; os.path.relpath is slow
    return plain if errors == "surrogateescape" else plain.encode("utf-8", errors).decode("utf-8")


def _link(root: Path, path: Path) -> Reason:
    """Tell where a link leads: to what the walk meets by itself, out of the archive, or nowhere."""
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return Reason.MISSING_FILE
    return Reason.DUPLICATE if target.is_relative_to(root) else Reason.LEADS_OUT


def _excluded(reason: Reason) -> Facts:
    return {"kind": Kind.OTHER, "reason": reason}


def _tasks(
    catalogue: Catalogue, batches: Iterable[list[_Found]], sent: deque[list[Stamp]], on_files: Callable[[int], None]
) -> Iterator[list[Stamp]]:
    """Yield what is new and to be opened, noting it in ``sent``; enter the rest."""
    for batch in batches:
        known = catalogue.unchanged([stamp for stamp, _ in batch])
        new = [entry for entry, same in zip(batch, known, strict=True) if not same]
        catalogue.add((stamp, facts) for stamp, facts in new if facts is not None)
        unread = [stamp for stamp, facts in new if facts is None]
        on_files(len(batch) - len(unread))
        if unread:
            sent.append(unread)
            yield unread


def _one_by_one(
    describe_all: Callable[[Sequence[Stamp]], list[Facts]], batch: Sequence[Stamp], workers: int, pool: WorkerPool
) -> list[Facts]:
    """Return the facts of a batch that broke its process: now only the file at fault is lost."""
    alone = isolated_map(describe_all, [[stamp] for stamp in batch], workers=workers, limits=HEADERS, pool=pool)
    return [_of_error(answer) if isinstance(answer, StudyError) else answer[0] for answer in alone]


def _of_error(error: StudyError) -> Facts:
    return {"kind": Kind.OBJECT, "reason": error.reason}


def _described(root: str, stamps: Sequence[Stamp], readers: Readers = BUILT_IN) -> list[Facts]:
    """Describe files; runs in a worker."""
    folder = Path(root)
    return [describe_file(folder / path, readers) for path, _, _, _ in stamps]


def describe_file(path: Path, readers: Readers = BUILT_IN) -> Facts:
    """Return what a file is by its header; for a worker, since nobody vouches for it."""
    try:
        # the name may by now stand for something else than what was met: a pipe would wait for ever
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return _excluded(Reason.NOT_READABLE)
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            return _excluded(Reason.NOT_REGULAR)
        facts = describe(file, status.st_size, readers, path.name)
    if facts["kind"] == Kind.OTHER:
        facts = region_facts(path) or facts
    if facts["kind"] == Kind.ARCHIVE and not path.name.lower().endswith(ENDINGS):
        return _excluded(Reason.NOT_AN_IMAGE)  # a document, a package, weights: zip is many things' form
    return facts


@dataclass(frozen=True)
class Modality:
    """The images of one modality or format; ``images`` = ``usable`` + the sum of ``excluded``, by reason."""

    name: str
    patients: int
    studies: int
    images: int
    usable: int
    excluded: Mapping[str, int]


@dataclass(frozen=True)
class LayoutSummary:
    """The layout that an archive keeps, by its title, or why it is not known.

    ``studies`` are those that its names tell, of which ``images_missing`` have no image's file; ``structures`` are the
    labels of its masks, ``masks_missing`` the masks that it lists and whose files are not there. None of these is
    counted where headers tell the studies.
    """

    title: str
    refused: str = ""
    subjects: int = 0
    studies: int = 0
    structures: int = 0
    images_missing: int = 0
    masks_missing: int = 0


@dataclass(frozen=True)
class Summary:
    """An archive in numbers: ``files`` = ``used`` + the sum of ``excluded``, which holds the masks too.

    ``masks`` = ``masks_used`` + the masks that fit no usable image. ``named`` counts what DICOMDIRs name,
    ``named_missing`` what of it the walk has not met, ``named_outside`` what would lead out of the archive.
    ``differing`` counts excluded series by the attributes in which their slices differ.
    """

    files: int
    used: int
    excluded: Mapping[str, int]
    modalities: tuple[Modality, ...]
    patients: int
    studies: int
    images: int
    usable: int
    masks: int
    masks_used: int
    named: int
    named_missing: int
    named_outside: int
    differing: Mapping[str, int]
    layout: LayoutSummary | None = None


def summary(root: Path, catalogue: Catalogue, readers: Readers = BUILT_IN, choice: LayoutChoice = DETECTED) -> Summary:
    """Return the numbers of a grouped catalogue."""
    outcomes = {
        row["outcome"]: row["n"] for row in catalogue.select("SELECT outcome, count(*) n FROM files GROUP BY 1")
    }
    kinds = f"'{Kind.SEGMENTATION}', '{Kind.STRUCTURES}', '{Kind.REGIONS}'"
    is_mask = f"(role IS NOT NULL OR reason IS NULL AND kind IN ({kinds}) AND outcome <> '{Reason.NOT_AN_IMAGE}')"
    mask = "coalesce('series ' || json_extract(role, '$.series'), id)"  # the slices of a series are one
    named, missing, outside = _named_by_directories(root, catalogue)
    return Summary(
        files=sum(outcomes.values()),
        used=outcomes.pop("", 0),
        excluded=dict(sorted(outcomes.items())),
        modalities=tuple(_modalities(catalogue, readers)),
        patients=catalogue.count(f"SELECT count(DISTINCT {_PATIENT}) FROM images"),
        studies=catalogue.count("SELECT count(DISTINCT study) FROM images"),
        images=catalogue.count("SELECT count(*) FROM images"),
        usable=catalogue.count("SELECT count(*) FROM images WHERE reason IS NULL"),
        masks=catalogue.count(f"SELECT count(DISTINCT {mask}) FROM files WHERE {is_mask}"),
        masks_used=catalogue.count(f"SELECT count(DISTINCT {mask}) FROM files WHERE {is_mask} AND outcome = ''"),
        named=named,
        named_missing=missing,
        named_outside=outside,
        differing=_differing(catalogue),
        layout=_layout(root, catalogue, choice),
    )


def _layout(root: Path, catalogue: Catalogue, choice: LayoutChoice) -> LayoutSummary | None:
    """Return what the names in an archive tell of it; None for one of no layout, and for a server."""
    if not root.is_dir():
        return None
    try:
        detected = found_layout(root, choice)
        rows = conventional(root, None, choice)
    except ArchiveError as error:
        return LayoutSummary("not decided", str(error))
    if detected is None:
        return None
    if rows is None:
        return LayoutSummary(detected.layout.title)
    met = {row["path"] for row in catalogue.select("SELECT path FROM files WHERE member = ''")}
    masks = {os.path.relpath(mask.path, root) for row in rows for mask in row.masks}
    return LayoutSummary(
        detected.layout.title,
        subjects=len({row.patient for row in rows}),
        studies=len(rows),
        structures=len({mask.label for row in rows for mask in row.masks if mask.label}),
        images_missing=sum(os.path.relpath(row.image, root) not in met for row in rows),
        masks_missing=len(masks - met),
    )


def _differing(catalogue: Catalogue) -> dict[str, int]:
    query = "SELECT differing, count(*) n FROM images WHERE reason IS NOT NULL AND differing IS NOT NULL GROUP BY 1"
    return {row["differing"]: row["n"] for row in catalogue.select(query)}


_PATIENT = "coalesce(patient, study)"


def _modalities(catalogue: Catalogue, readers: Readers) -> Iterator[Modality]:
    """Yield the modalities by name; a value that is no known code is counted as unknown: it may be anything."""
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    by_format = (
        f"CASE WHEN kind LIKE 'dicom%' THEN modality ELSE upper(kind) END AS name, count(DISTINCT {_PATIENT}) AS p"
    )
    for row in catalogue.select(
        f"SELECT {by_format}, count(DISTINCT study) AS s, count(*) AS n FROM images GROUP BY 1"
    ):
        counts[_code(row["name"], readers)].update({"patients": row["p"], "studies": row["s"], "images": row["n"]})
    for row in catalogue.select(f"SELECT {by_format}, reason, count(*) AS n FROM images GROUP BY 1, reason"):
        reasons[_code(row["name"], readers)][row["reason"] or ""] += row["n"]
    for name in sorted(counts):
        excluded = {reason: n for reason, n in sorted(reasons[name].items()) if reason}
        yield Modality(name, **counts[name], usable=reasons[name][""], excluded=excluded)


def _code(name: str | None, readers: Readers) -> str:
    formats = {kind.upper() for kind in readers.told_by_name}
    return name if name in formats else known_modality(name) or "unknown"


def _named_by_directories(root: Path, catalogue: Catalogue) -> tuple[int, int, int]:
    """Count what the DICOMDIRs name, what of it is not there, and what would lead out of the archive."""
    directories = list(catalogue.select("SELECT path FROM files WHERE kind = ? AND member = ''", Kind.DIRECTORY))
    counts = Counter[str]()
    paths = [root / row["path"] for row in directories]
    for answer in isolated_map(_named, paths, workers=0 if not paths else 1, limits=HEADERS):
        for name in () if isinstance(answer, StudyError) else answer:
            counts["named"] += 1
            counts[_named_where(root, catalogue, name)] += 1
    return counts["named"], counts["missing"], counts["outside"]


def _named(path: Path) -> list[str]:
    """Return the paths that a DICOMDIR names; runs in a worker."""
    records = guarded("the directory", lambda: dcmread(path).get("DirectoryRecordSequence") or [])
    paths = []
    for record in islice(records, _CHECKED):
        parts = record.get("ReferencedFileID")
        if parts:
            paths.append(os.fspath(path.parent.joinpath(*([parts] if isinstance(parts, str) else parts))))
    return paths


def _named_where(root: Path, catalogue: Catalogue, name: str) -> str:
    """Tell whether a file that a DICOMDIR names was met; the name is attacker's data and is never opened."""
    plain = os.path.normpath(name)
    if not Path(plain).is_relative_to(root):
        return "outside"
    met = catalogue.count("SELECT count(*) FROM files WHERE path = ? AND member = ''", os.path.relpath(plain, root))
    return "met" if met else "missing"


# Containers.


def _read_containers(
    root: Path,
    catalogue: Catalogue,
    describe_members: Callable[[Path], list[tuple[str, int, Facts]]],
    how: tuple[int, WorkerPool, Callable[[int], None]],
) -> None:
    """List the containers that no scan has finished; each is entered whole."""
    workers, pool, on_files = how
    query = "SELECT * FROM files WHERE kind = ? AND member = '' AND outcome IS NULL AND reason IS NULL"
    open_ones = [
        (row["path"], row["size"], row["mtime_ns"], row["inode"]) for row in catalogue.select(query, Kind.ARCHIVE)
    ]
    paths = [root / stamp[0] for stamp in open_ones]
    answers = isolated_map(describe_members, paths, workers=workers, limits=CONTAINERS, pool=pool)
    for stamp, answer in zip(open_ones, answers, strict=True):
        failed = isinstance(answer, StudyError)
        member_entries = [] if isinstance(answer, StudyError) else answer
        reason = answer.reason if isinstance(answer, StudyError) else None
        catalogue.add_members(stamp, {"reason": reason}, member_entries)
        on_files(0 if failed else len(member_entries))


def _described_members(path: Path, readers: Readers = BUILT_IN) -> list[tuple[str, int, Facts]]:
    """Describe a container's members; runs in a worker.

    Raises:
        StudyError: when the container as a whole is refused.
    """
    return guarded("the archive", lambda: list(_each_member(path, readers)))


def _each_member(path: Path, readers: Readers) -> Iterator[tuple[str, int, Facts]]:
    for member, stream in members(path):
        name = member.name.encode("utf-8", "backslashreplace").decode("utf-8")
        if stream is None:
            yield name, member.size, {"kind": Kind.OTHER, "reason": member.reason}
            continue
        facts = _describe_stream(stream.read, member.size, readers, PurePosixPath(name).name)
        if facts.get("refers") and facts["kind"] in readers.told_by_name:
            facts = {"kind": facts["kind"], "reason": Reason.UNSUPPORTED_FORMAT}  # its voxels are another member
        if facts["kind"] == Kind.ARCHIVE:
            facts = {"kind": Kind.ARCHIVE, "reason": Reason.NESTED_ARCHIVE}
        yield name, member.size, facts


def _describe_stream(read: Callable[[int], bytes], size: int, readers: Readers, name: str = "") -> Facts:
    """Describe a member by its beginning; by more of it, up to a cap, when its header is longer."""
    try:
        head = read(_MEMBER_HEAD)
        facts = describe(BytesIO(head), size, readers, name)
        if facts.get("reason") == Reason.NOT_READABLE and len(head) == _MEMBER_HEAD:
            facts = describe(BytesIO(head + read(_MEMBER_HEAD_CAP)), size, readers, name)
    except Exception:  # noqa: BLE001 - damaged data, a wrong checksum: whatever the decompressor raises
        return _excluded(Reason.NOT_READABLE)
    return facts


def _batches(items: Iterator[_Found], size: int) -> Iterator[list[_Found]]:
    while batch := list(islice(items, size)):
        yield batch
