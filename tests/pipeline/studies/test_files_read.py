"""The hash of a study is that of the bytes that were decoded, and whatever changes meanwhile costs the study."""

import json
import os
import shutil
import zipfile
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import Reason
from pipeline.studies import read_study as reading
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import MaskSource, StudyRow, read_study, source_digest
from pipeline.studies.readers.shared.kept_files import RECENT, KeptFiles
from tests.pipeline.studies.writers import dot, grid, nifti, refusal, save, slices

SHAPE, MARK = (7, 5, 6), (5, 1, 4)
AFFINE = grid(np.diag([-1, -1, 1]), (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))
NAMES = Pseudonyms(b"0123456789abcdef0123456789abcdef")
OLD = 1_000_000_000_000_000_000


@pytest.fixture
def row(tmp_path):
    save(tmp_path / "image", slices(dot(SHAPE, MARK, 1000), AFFINE))
    nifti(tmp_path / "mask.nii.gz", dot(SHAPE, MARK, 1), AFFINE)
    return StudyRow("s", "p", tmp_path / "image", (MaskSource("r1", None, tmp_path / "mask.nii.gz"),), ("a",), {})


@contextmanager
def meanwhile(monkeypatch, change, during="read_mask"):
    """Change something at the moment when the study's image, or its mask, is about to be decoded."""
    decode = getattr(reading, during)

    def changed(*arguments):
        change()
        return decode(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(reading, during, changed)
        yield


def flip(path):
    """Change the last byte, and put size and time of modification back."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_the_study_carries_the_digest_that_the_listing_takes(row):
    assert read_study(row, NAMES).source_sha256 == source_digest(row)
    (row.masks[0].path.parent / "dataset.json").write_text('{"labels": {"a": 1}}')
    assert read_study(row, NAMES).source_sha256 == source_digest(row)
    gone = replace(row, masks=(*row.masks, MaskSource("r2", "a", row.image / "none.nii")))
    assert read_study(gone, NAMES).source_sha256 == source_digest(gone)


def test_a_study_that_cannot_be_read_tells_what_its_files_were(row):
    (row.image / "SECRET003.dcm").unlink()
    with pytest.raises(Exception, match=r"apart|mm") as caught:
        read_study(row, NAMES)
    assert caught.value.source_sha256 == source_digest(row)


def swapped_slice(row):
    flip(row.image / "SECRET003.dcm")


def swapped_mask(row):
    flip(row.masks[0].path)


def renamed_over(row):
    """Another file takes the mask's place, with its size and times."""
    other = row.masks[0].path.with_name("other")
    shutil.copy2(row.masks[0].path, other)
    other.replace(row.masks[0].path)


def another_slice(row):
    shutil.copy(row.image / "SECRET003.dcm", row.image / "more.dcm")


def a_slice_for_a_moment(row):
    another_slice(row)
    (row.image / "more.dcm").unlink()


def sidecar(row):
    (row.masks[0].path.parent / "dataset.json").write_text('{"labels": {"a": 1}}')


def vanished(row):
    row.masks[0].path.unlink()


CHANGES = (swapped_slice, swapped_mask, renamed_over, another_slice, a_slice_for_a_moment, sidecar, vanished)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_changes_while_the_study_is_read_costs_it(row, change, monkeypatch):
    with meanwhile(monkeypatch, lambda: change(row)):
        refusal(Reason.CHANGED_DURING_RUN, lambda: read_study(row, NAMES))
    if change is not vanished:
        assert read_study(row, NAMES).source_sha256 == source_digest(row)


def test_a_slice_that_changes_between_its_hash_and_its_decoding_is_noticed(row, monkeypatch):
    with meanwhile(monkeypatch, lambda: (row.image / "SECRET003.dcm").write_bytes(b"damaged"), "read_image"):
        refusal(Reason.CHANGED_DURING_RUN, lambda: read_study(row, NAMES))


@pytest.mark.parametrize("deep", [False, True])
def test_a_link_that_leads_elsewhere_for_a_moment_is_noticed(tmp_path, row, deep, monkeypatch):
    """Its target is untouched, and the link leads there again when the study has been read."""
    other = tmp_path / "other.nii.gz"
    nifti(other, dot(SHAPE, (0, 0, 0), 1), AFFINE)
    link, target = tmp_path / "link.nii.gz", tmp_path / "second.nii.gz" if deep else row.masks[0].path
    if deep:
        target.symlink_to(row.masks[0].path)
    link.symlink_to(target)
    moved = target if deep else link
    linked = replace(row, masks=(MaskSource("r1", None, link),))
    decode = reading.read_mask

    def elsewhere(*arguments):
        home = moved.readlink()
        moved.unlink()
        moved.symlink_to(other)
        mask = decode(*arguments)
        moved.unlink()
        moved.symlink_to(home)
        return mask

    assert read_study(linked, NAMES).source_sha256 == source_digest(linked)
    monkeypatch.setattr(reading, "read_mask", elsewhere)
    refusal(Reason.CHANGED_DURING_RUN, lambda: read_study(linked, NAMES))


def test_a_change_that_the_clock_is_too_coarse_for_is_noticed(row, monkeypatch):
    """A file that was written just before may change again within one step of its file system's clock."""
    from pipeline.studies import files_read

    monkeypatch.setattr(files_read, "_state", lambda path: (files_read.identity_of(path)._replace(ctime_ns=OLD * 9),))
    assert read_study(row, NAMES).masks
    with meanwhile(monkeypatch, lambda: flip(row.masks[0].path)):
        refusal(Reason.CHANGED_DURING_RUN, lambda: read_study(row, NAMES))


def listed(row, entries):
    """Return the row with its image given by a list of files, in containers or plain."""

    path = row.image.parent / "000001.files"
    path.write_text(json.dumps(entries))
    return replace(row, image=path, root=row.image.parent)


@pytest.mark.parametrize("packed", [True, False])
def test_files_of_a_list_and_of_a_container_are_hashed_as_they_are_decoded(row, packed, monkeypatch):
    names = sorted(path.name for path in row.image.iterdir())
    with zipfile.ZipFile(row.image.parent / "all.zip", "w", zipfile.ZIP_DEFLATED) as container:
        for name in names:
            container.write(row.image / name, name)
    entries = [["all.zip", name] for name in names] if packed else [[f"image/{name}"] for name in names]
    packed_row = listed(row, entries)
    study = read_study(packed_row, NAMES)
    assert study.source_sha256 == source_digest(packed_row) == source_digest(row)

    def change():
        if packed:
            (row.image.parent / "all.zip").write_bytes(b"damaged")
        else:
            flip(row.image / names[2])

    with meanwhile(monkeypatch, change, "read_image"):
        if packed:  # what was taken out of the container is decoded, and the hash is that of it
            assert read_study(packed_row, NAMES).source_sha256 == study.source_sha256
        else:
            refusal(Reason.CHANGED_DURING_RUN, lambda: read_study(packed_row, NAMES))


def test_a_list_that_names_other_files_meanwhile_is_noticed(row, monkeypatch):
    names = sorted(path.name for path in row.image.iterdir())
    list_row = listed(row, [[f"image/{name}"] for name in names])
    with meanwhile(monkeypatch, lambda: listed(row, [["mask.nii.gz"]]), "read_image"):
        refusal(Reason.CHANGED_DURING_RUN, lambda: read_study(list_row, NAMES))


def test_what_is_kept_of_a_file_holds_only_for_that_file(tmp_path):
    path, read = tmp_path / "a.json", []

    def length(path):
        read.append(path)
        return len(path.read_bytes())

    kept = KeptFiles()
    path.write_text("{}")
    assert (kept.of(length, path), kept.of(length, path), len(read)) == (2, 2, 2)  # too recent to be kept
    patient = KeptFiles()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.studies.readers.shared.kept_files.RECENT", -RECENT)
        patch.setattr("pipeline.studies.readers.shared.kept_files.time.time_ns", lambda: OLD * 9)
        assert (patient.of(length, path), patient.of(length, path), len(read)) == (2, 2, 3)
        path.write_text("[1]")
        assert (patient.of(length, path), len(read)) == (3, 4)
        for number in range(9):
            (tmp_path / str(number)).write_text("")
            patient.of(length, tmp_path / str(number))
        patient.of(length, path)
        assert len(read) == 14
