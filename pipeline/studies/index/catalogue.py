"""The catalogue of an archive: a working index (SQLite) that a scan can stop and resume, and an export (Parquet).

The index is internal and private. It holds paths, UIDs and patients' IDs, because grouping needs them: it lies where
the user says, readable by its owner only, and may be deleted at any time; the next scan makes it again. The export
holds pseudonyms, coded facts and numbers only.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow
from pyarrow import parquet

from pipeline.errors import ArchiveError, Reason
from pipeline.studies.index.headers import ATTRIBUTES, Facts, Kind
from pipeline.studies.pseudonyms import Pseudonyms, allowed_value
from pipeline.studies.readers import BUILT_IN

__all__ = ["Catalogue", "Entry", "Stamp", "known_modality", "open_catalogue"]

Stamp = tuple[str, int, int, int]
"""What tells that a file is unchanged: path (relative to the archive), size, mtime in ns, inode."""

Entry = dict[str, Any]
"""A row by column."""

_APPLICATION, _VERSION = 0x63616D61, 3  # "cama"
_KEYS = ("path", "member", "size", "mtime_ns", "inode")
_COLUMNS = (*_KEYS, "folder", *ATTRIBUTES)
_NUMBERS = {"size", "mtime_ns", "inode", "samples", "rows", "columns", "bits"}
_IMAGE = ("series", "study", "patient", "modality", "kind", "origin", "frame_of_reference", "files", "reason",
          "differing")  # fmt: skip
_EXPORTED = 5_000  # rows a group
_CACHE_KIB = 16 * 1024  # of the indices: UIDs come in no order; sorting takes as much again

# outcome: NULL until grouping has decided, then '' (used) or the reason; image: what the file belongs to;
# role: of a NIfTI, NRRD or picture that is a mask, whose it is; content: what its pixels hold, where it may be one
_SCHEMA = f"""
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    {", ".join(f"{name} {'INTEGER' if name in _NUMBERS else 'TEXT'}" for name in _COLUMNS)},
    seen INTEGER, outcome TEXT, image INTEGER, role TEXT, content TEXT, UNIQUE (path, member));
CREATE INDEX files_series ON files (series) WHERE series IS NOT NULL;
CREATE INDEX files_instance ON files (instance) WHERE instance IS NOT NULL;
CREATE INDEX files_folder ON files (folder) WHERE kind IN ({", ".join(f"'{kind}'" for kind in BUILT_IN.told_by_name)});
CREATE INDEX files_image ON files (image) WHERE image IS NOT NULL;
CREATE INDEX files_undecided ON files (kind, series) WHERE outcome IS NULL;
CREATE TABLE images (
    id INTEGER PRIMARY KEY,
    {", ".join(f"{name} {'INTEGER' if name == 'files' else 'TEXT'}" for name in _IMAGE)});
CREATE INDEX images_series ON images (series);
CREATE INDEX images_origin ON images (origin);
CREATE INDEX images_frame ON images (frame_of_reference);
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""

_INSERT_FILE = (
    f"INSERT INTO files ({', '.join(_COLUMNS)}, seen) VALUES ({', '.join(f':{name}' for name in _COLUMNS)}, :seen)"
)
_INSERT_IMAGE = f"INSERT INTO images ({', '.join(_IMAGE)}) VALUES ({', '.join(f':{name}' for name in _IMAGE)})"


@contextmanager
def open_catalogue(index: Path, root: Path) -> Iterator["Catalogue"]:
    """Open the index of the archive ``root`` (resolved), or make it, readable by its owner only.

    Raises:
        ArchiveError: when the file is none of ours, belongs to another archive, or cannot be used.
    """
    try:
        index.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(index, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(index)
    except (OSError, sqlite3.Error) as error:
        raise ArchiveError(f"{index}: the index cannot be opened or made; name another with --index") from error
    try:
        connection.row_factory = sqlite3.Row
        _prepare(connection, index, root)
        yield Catalogue(connection)
    except sqlite3.Error as error:
        message = f"{index}: the index cannot be used ({type(error).__name__}); delete it, or name another with --index"
        raise ArchiveError(message) from error
    finally:
        connection.close()


def _prepare(connection: sqlite3.Connection, index: Path, root: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and application != _APPLICATION:
        raise ArchiveError(f"{index}: is not an index of camaudit; name another file with --index")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA cache_size = {-_CACHE_KIB}")
    if tables and version != _VERSION:
        raise ArchiveError(f"{index}: is the index of another version of camaudit; delete it, or name another")
    if not tables:
        connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
    with connection:
        connection.execute("INSERT OR IGNORE INTO about VALUES ('root', ?)", (os.fsencode(root).hex(),))
    if connection.execute("SELECT value FROM about WHERE name = 'root'").fetchone()[0] != os.fsencode(root).hex():
        raise ArchiveError(f"{index}: is the index of another archive; name another file with --index")


class Catalogue:
    """The index of one archive, as opened by ``open_catalogue``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._scan = self._one("SELECT coalesce(max(seen), 0) FROM files") + 1

    def unchanged(self, stamps: Sequence[Stamp]) -> list[bool]:
        """Tell which files are as they were when they were last read, and count those as seen by this scan.

        One that could not be opened is not among them: a permission leaves no trace in the stamp.
        """
        query = (
            "SELECT 1 FROM files WHERE path = ? AND member = '' AND size = ? AND mtime_ns = ? AND inode = ? "
            f"AND NOT (kind = '{Kind.OTHER}' AND reason IS '{Reason.NOT_READABLE}')"
        )
        known = [self._connection.execute(query, stamp).fetchone() is not None for stamp in stamps]
        seen = [(self._scan, stamp[0]) for stamp, same in zip(stamps, known, strict=True) if same]
        with self._connection:
            self._connection.executemany("UPDATE files SET seen = ? WHERE path = ?", seen)
        return known

    def add(self, entries: Iterable[tuple[Stamp, Facts]]) -> None:
        """Enter files that were read, in place of what was known of them and, for a container, of its members."""
        rows = [self._row(stamp, "", facts) for stamp, facts in entries]
        with self._connection:
            self._forget("path = ?", [(row["path"],) for row in rows if self._knows(row["path"])])
            self._connection.executemany(_INSERT_FILE, rows)

    def add_members(self, container: Stamp, facts: Facts, members: Iterable[tuple[str, int, Facts]]) -> None:
        """Enter a container's members with the container's own fate: all of it or, after a kill, none."""
        with self._connection:
            self._forget("path = ? AND member <> ''", [(container[0],)])
            rows = (self._row((container[0], size, 0, 0), name, member_facts) for name, size, member_facts in members)
            self._connection.executemany(_INSERT_FILE, rows)
            self._connection.execute(
                "UPDATE files SET reason = ?, outcome = ? WHERE path = ? AND member = ''",
                (facts["reason"], facts["reason"] or "", container[0]),
            )

    def _knows(self, path: str) -> bool:
        return self._connection.execute("SELECT 1 FROM files WHERE path = ? LIMIT 1", (path,)).fetchone() is not None

    def _row(self, stamp: Stamp, member: str, facts: Facts) -> Entry:
        path, size, mtime, inode = stamp
        keys = {"path": path, "member": member, "size": size, "mtime_ns": mtime, "inode": inode, "seen": self._scan}
        inside = f"{path}!/{os.path.dirname(member)}" if member else os.path.dirname(path)  # noqa: PTH120 - text, no path
        known = {name: facts.get(name) for name in _COLUMNS}
        return known | keys | {"folder": inside}

    def forget_unseen(self) -> int:
        """Forget the files that this scan has not met, and return how many."""
        gone = self._one("SELECT count(*) FROM files WHERE seen <> ?", self._scan)
        if gone:
            with self._connection:
                self._forget("seen <> ?", [(self._scan,)])
        return gone

    def _forget(self, where: str, values: list[tuple[Any, ...]]) -> None:
        """Delete files; what was grouped with them has to be grouped again."""
        undecided = (
            "UPDATE files SET outcome = NULL WHERE series IN "
            f"(SELECT series FROM files WHERE series IS NOT NULL AND {where})"
        )
        self._connection.executemany(undecided, values)
        self._connection.executemany(f"DELETE FROM files WHERE {where}", values)
        if values:
            self._connection.execute("INSERT OR REPLACE INTO about VALUES ('changed', '1')")

    # What grouping needs.

    def is_decided(self, how: str) -> bool:
        """Tell whether nothing has changed since the files were last grouped, in the same way."""
        changed = self._one("SELECT count(*) FROM about WHERE name = 'changed'")
        same = self._one("SELECT count(*) FROM about WHERE name = 'grouped' AND value = ?", how)
        return (
            same == 1
            and not changed
            and self._one("SELECT NOT EXISTS (SELECT 1 FROM files WHERE outcome IS NULL)") == 1
        )

    def decided(self, how: str) -> None:
        """Note that every file has an outcome, and in which way the files were grouped."""
        self._connection.execute("INSERT OR REPLACE INTO about VALUES ('grouped', ?)", (how,))
        self._connection.execute("DELETE FROM about WHERE name = 'changed'")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep everything that the block writes, or nothing."""
        with self._connection:
            yield

    def select(self, query: str, *values: object) -> Iterator[Entry]:
        """Yield the rows of a query, few at a time."""
        return (dict(row) for row in self._connection.execute(query, values))

    def count(self, query: str, *values: object) -> int:
        """Return the only number of a query."""
        return self._one(query, *values)

    def write(self, statement: str, values: Iterable[Sequence[object]]) -> None:
        """Run a statement for each of the values."""
        self._connection.executemany(statement, values)

    def add_image(self, image: Mapping[str, object], files: Sequence[int]) -> None:
        """Enter an image that consists of ``files``; they share its outcome."""
        row = dict.fromkeys(_IMAGE) | {**image, "files": len(files)}
        number = self._connection.execute(_INSERT_IMAGE, row).lastrowid
        outcome = str(image.get("reason") or "")
        self.write("UPDATE files SET image = ?, outcome = ? WHERE id = ?", ((number, outcome, file) for file in files))

    def _one(self, query: str, *values: object) -> int:
        return int(self._connection.execute(query, values).fetchone()[0])

    # What leaves.

    def export(self, file: IO[bytes], pseudonyms: Pseudonyms) -> None:
        """Write one row a file as Parquet (zstd): pseudonyms, coded facts, numbers; no path, UID, date or text."""
        query = "SELECT * FROM files ORDER BY id"
        with parquet.ParquetWriter(file, _EXPORT, compression="zstd") as writer:
            cursor = self._connection.execute(query)
            while rows := cursor.fetchmany(_EXPORTED):
                writer.write_batch(
                    pyarrow.RecordBatch.from_pylist([_exported_row(row, pseudonyms) for row in rows], _EXPORT)
                )


_EXPORT = pyarrow.schema(
    [
        *((name, pyarrow.string()) for name in ("patient", "study", "series", "kind", "modality", "outcome")),
        *((name, pyarrow.int64()) for name in ("image", "size", "rows", "columns", "frames")),
        ("spacing_mm", pyarrow.list_(pyarrow.float64())),
        ("in_container", pyarrow.bool_()),
    ]
)


def _exported_row(row: sqlite3.Row, pseudonyms: Pseudonyms) -> dict[str, object]:
    patient, study, series = row["patient"] or row["study"], row["study"], row["series"]
    return {
        "patient": pseudonyms.patient(patient) if patient else None,
        "study": pseudonyms.study(patient, study) if study else None,
        "series": pseudonyms.study(patient or "", series) if series else None,
        "kind": row["kind"],
        "modality": known_modality(row["modality"]),
        "outcome": row["outcome"] or "used",
        "image": row["image"],
        "size": row["size"],
        "rows": row["rows"],
        "columns": row["columns"],
        "frames": _whole(row["frames"]),
        "spacing_mm": _numbers(row["spacing"]),
        "in_container": row["member"] != "",
    }


def known_modality(value: str | None) -> str | None:
    """Return a modality from the list of those that may leave."""
    return allowed_value("Modality", value)


def _whole(value: str | None) -> int | None:
    text = (value or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _numbers(value: str | None) -> list[float] | None:
    try:
        return [float(part) for part in value.split("\\")] if value else None
    except ValueError:
        return None
