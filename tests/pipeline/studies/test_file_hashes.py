"""Kept hashes: what counts as unchanged, what is taken again."""

import hashlib
import os
import sqlite3
import stat
import time

import pytest

from pipeline.errors import OutputError
from pipeline.studies import file_hashes
from pipeline.studies.file_hashes import open_file_hashes


@pytest.fixture
def read(monkeypatch):
    """The paths whose content was hashed, in order."""
    paths = []
    monkeypatch.setattr(file_hashes, "sha256_of", lambda path: paths.append(path) or sha256(path))
    return paths


@pytest.fixture
def old(tmp_path):
    """A file whose times lie long behind the clock."""
    path = tmp_path / "archive" / "Doe_John.nii"
    path.parent.mkdir()
    path.write_bytes(b"voxels")
    return path


@pytest.fixture(autouse=True)
def later(monkeypatch):
    """The clock, an hour on: what was written now is old."""
    now = time.time_ns()
    monkeypatch.setattr(file_hashes.time, "time_ns", lambda: now + 3600 * 10**9)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def hashed(folder, path, **options):
    with open_file_hashes(folder, **options) as hashes:
        return hashes.sha256(path)


def test_an_unchanged_file_is_hashed_once(tmp_path, old, read):
    assert hashed(tmp_path / "runs", old) == hashed(tmp_path / "runs", old) == sha256(old)
    assert read == [old]


def test_deep_takes_every_hash_again_and_keeps_it(tmp_path, old, read):
    hashed(tmp_path / "runs", old)
    hashed(tmp_path / "runs", old, deep=True)
    hashed(tmp_path / "runs", old)
    assert read == [old, old]


def test_an_edit_that_restores_size_and_time_is_seen(tmp_path, old):
    hashed(tmp_path / "runs", old)
    before = old.stat()
    old.write_bytes(b"VOXELS")
    os.utime(old, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert old.stat().st_size == before.st_size
    assert old.stat().st_mtime_ns == before.st_mtime_ns
    assert hashed(tmp_path / "runs", old) == sha256(old) == hashlib.sha256(b"VOXELS").hexdigest()


def test_another_file_moved_to_the_path_is_seen(tmp_path, old):
    hashed(tmp_path / "runs", old)
    other = tmp_path / "other"
    other.write_bytes(b"OTHERS")
    before = old.stat()
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(old)
    assert hashed(tmp_path / "runs", old) == hashlib.sha256(b"OTHERS").hexdigest()


def test_a_file_that_is_still_being_written_is_not_kept(tmp_path, old, read, monkeypatch):
    monkeypatch.setattr(file_hashes.time, "time_ns", lambda: old.stat().st_ctime_ns + 10**9)
    with open_file_hashes(tmp_path / "runs") as hashes:
        assert hashes.sha256(old) == hashes.sha256(old) == sha256(old)
    assert read == [old]  # once in one sitting
    hashed(tmp_path / "runs", old)
    assert read == [old, old]


def test_the_kept_hashes_name_nobody_and_are_the_owners_alone(tmp_path, old):
    hashed(tmp_path / "runs", old)
    path = tmp_path / "runs" / "file-hashes.sqlite"
    assert b"Doe" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM hashes").fetchone() == (1,)


@pytest.mark.parametrize("content", [b"no data base at all, but long enough to look at" * 100, b""])
def test_a_damaged_file_is_begun_anew(tmp_path, old, content):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "file-hashes.sqlite").write_bytes(content)
    assert hashed(tmp_path / "runs", old) == sha256(old)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, old):
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(OutputError, match=r"file-hashes.sqlite: cannot be written"):
        hashed(tmp_path / "runs", old)
