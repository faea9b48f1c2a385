"""A study has arrived when its files lie still and can be read; a broken one is not waited for without end."""

import os
import shutil
from functools import partial

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from pipeline.studies.index.arrivals import ArrivalWatch, folder_listing, headers_readable
from tests.pipeline.shared_pool import POOL


class HandClock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def archive(tmp_path):
    folder = tmp_path / "archive"
    folder.mkdir()
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), folder / "old.nii")
    return folder


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def watch(archive, clock):
    look = lambda: folder_listing(archive)  # noqa: E731
    return ArrivalWatch(look(), 60.0, look, partial(headers_readable, pool=POOL), clock)


def copied(archive, name="new.dcm"):
    return shutil.copy(get_testdata_file("CT_small.dcm"), archive / name)


def test_what_was_there_is_nothing_new(watch, clock):
    clock.now = 3600
    assert not watch.has_arrived()


def test_a_new_file_arrives_once_it_lies_still(watch, clock, archive):
    copied(archive)
    assert not watch.has_arrived()
    clock.now = 59
    assert not watch.has_arrived()
    clock.now = 60
    assert watch.has_arrived()
    clock.now = 600
    assert not watch.has_arrived()  # it is known by now


def test_each_further_slice_begins_the_wait_anew(watch, clock, archive):
    for number in range(5):
        copied(archive, f"{number}.dcm")
        clock.now += 59
        assert not watch.has_arrived()
    clock.now += 60
    assert watch.has_arrived()


def test_a_file_that_grows_or_changes_in_place_is_under_way(watch, clock, archive):
    path = copied(archive)
    watch.has_arrived()
    clock.now = 59
    os.utime(path, (1, 1))
    assert not watch.has_arrived()
    clock.now = 118
    assert not watch.has_arrived()
    clock.now = 119
    assert watch.has_arrived()


@pytest.mark.parametrize("mend", [True, False])
def test_a_cut_off_file_waits_but_not_without_end(mend, watch, clock, archive):
    path = copied(archive)
    whole = path.read_bytes()
    path.write_bytes(whole[:200])
    with pytest.raises(Exception):  # noqa: B017, PT011 - whatever pydicom says of it
        pydicom.dcmread(path).pixel_array  # noqa: B018
    watch.has_arrived()
    clock.now = 120
    assert not watch.has_arrived()
    if mend:
        path.write_bytes(whole)
        assert not watch.has_arrived()
        clock.now = 180
        assert watch.has_arrived()
    else:
        clock.now = 599
        assert not watch.has_arrived()
        clock.now = 600
        assert watch.has_arrived()


def test_a_removed_study_is_news(watch, clock, archive):
    (archive / "old.nii").unlink()
    watch.has_arrived()
    clock.now = 60
    assert watch.has_arrived()


def test_a_manifest_beside_the_archive_counts(archive, tmp_path):
    manifest = tmp_path / "manifest.csv"
    before = folder_listing(archive, manifest)
    manifest.write_text("study\n")
    assert folder_listing(archive, manifest) != before


def test_links_are_not_followed(archive, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    copied(outside)
    (archive / "link").symlink_to(outside)
    assert [os.path.basename(path) for path in folder_listing(archive)] == ["old.nii"]  # noqa: PTH119


def test_before_the_first_audit_no_header_is_read(archive, clock, monkeypatch):
    monkeypatch.setattr("pipeline.studies.index.arrivals.isolated_map", None)
    look = lambda: folder_listing(archive)  # noqa: E731
    watch = ArrivalWatch({}, 60.0, look, partial(headers_readable, pool=POOL), clock)
    assert not watch.has_arrived()
    clock.now = 60
    assert watch.has_arrived()
    assert not watch.has_arrived()
