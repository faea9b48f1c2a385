"""Where a worker imports from never depends on the folder that it works in."""

from pathlib import Path

import pytest

from pipeline.studies.untrusted.import_path import import_path


@pytest.fixture
def archive(tmp_path, monkeypatch):
    for name in ("archive", "code"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "archive")
    monkeypatch.chdir(tmp_path / "archive")
    return tmp_path / "archive"


@pytest.mark.parametrize("entry", ["", ".", "lib", "./", "{archive}", "{archive}/", "{archive}/../archive", "{link}"])
def test_the_working_folder_is_left_out_however_it_is_written(entry, archive):
    code = str(archive.parent / "code")
    written = entry.format(archive=archive, link=archive.parent / "link")
    assert import_path([written, code, "/not/there.zip"], own_folder=archive.parent) == [code, "/not/there.zip"]


@pytest.mark.parametrize("entry", ["", "{archive}"])
def test_whoever_works_on_the_source_runs_it_from_there(entry, archive):
    written = entry.format(archive=archive)
    assert list(map(Path, import_path([written, "/lib"], own_folder=archive))) == [archive, Path("/lib")]


def test_a_working_folder_that_is_gone_is_none(archive):
    archive.rmdir()
    assert import_path(["", str(archive), "/lib"], own_folder=archive.parent) == [str(archive), "/lib"]
