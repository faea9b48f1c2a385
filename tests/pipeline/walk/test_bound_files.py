"""No row, and no prepared study, stands under the hash of files that were not the ones decoded."""

import os
from dataclasses import replace

import numpy as np
import pytest

from pipeline.checks.model_check import probe_model
from pipeline.errors import ArchiveError, Reason, Stage, StudyError
from pipeline.walk.first_pass.mask_survey import surveyed_masks
from pipeline.walk.reading import unless_away
from pipeline.walk.sources import bound, find_sources
from pipeline.walk.study_walk import audit_studies
from tests.pipeline.planted import plant
from tests.pipeline.shared_pool import POOL
from tests.pipeline.steps import open_auditor

RUN = {"batch_size": 2, "device": "cpu", "replicates": 200, "cache": "cache"}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("CAMAUDIT_KEY", "k" * 32)


def opened(config):
    auditor = open_auditor(config, pool=POOL)
    sources = find_sources(auditor.config, auditor.pseudonyms)
    layers = probe_model(auditor, [source.row for source in sources]).layers
    return open_auditor(config, layers=tuple(layer.name for layer in layers), pool=POOL), sources


def replaced(path):
    """Put other content of the same length in a file's place, with its times."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    other = path.with_name("other")
    other.write_bytes(content)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


def image(row):
    replaced(row.image)


def image_by_an_unreadable_one(row):
    row.image.write_bytes(b"damaged")


def mask(row):
    replaced(row.masks[0].path)


def vanished_mask(row):
    row.masks[0].path.unlink()


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("change", [image, image_by_an_unreadable_one, mask, vanished_mask])
def test_a_file_that_was_replaced_after_the_runs_start_makes_a_failed_row(tmp_path, change, workers):
    auditor, sources = opened(plant(tmp_path, 3, run=RUN | {"workers": workers}))
    change(sources[1].row)
    audits, maps = audit_studies(auditor, sources)
    assert [(audit.status, audit.stage, audit.reason) for audit in audits] == [
        ("analysed", None, None),
        ("failed", Stage.READ, Reason.CHANGED_DURING_RUN),
        ("analysed", None, None),
    ]
    assert not [key for key in maps if key.startswith(sources[1].study)]
    held = [auditor.prepared_cache.holds(source.study, source.sha256) for source in sources]
    assert held == [True, False, True]


@pytest.mark.parametrize("leaves_a_mount_point", [False, True])
def test_an_archive_that_is_away_ends_the_run_and_fails_no_study(tmp_path, leaves_a_mount_point):
    auditor, sources = opened(plant(tmp_path, 3, run=RUN | {"workers": 1}))
    (tmp_path / "archive").rename(tmp_path / "away")
    if leaves_a_mount_point:
        (tmp_path / "archive").mkdir()
    for work in (audit_studies, surveyed_masks):
        with pytest.raises(ArchiveError, match="archive: the archive is not there any more"):
            work(auditor, sources)


def test_a_study_whose_files_were_away_for_a_moment_is_read_once_more(tmp_path):
    auditor, (source, *_) = opened(plant(tmp_path, 2, run=RUN | {"workers": 0}))
    for reason in (Reason.MISSING_FILE, Reason.CHANGED_DURING_RUN):
        study = unless_away(auditor, source, StudyError(Stage.READ, reason, "its file is not there"))
        assert bound(study, source.sha256) is study
        assert not isinstance(study, StudyError)
    fault = StudyError(Stage.READ, Reason.TIMEOUT, "over")
    assert unless_away(auditor, source, fault) is fault
    source.row.image.unlink()
    assert unless_away(auditor, source, study) is study
    again = unless_away(auditor, source, StudyError(Stage.READ, Reason.CHANGED_DURING_RUN, "another"))
    assert isinstance(again, StudyError)
    assert again.reason is Reason.MISSING_FILE


def test_another_reference_than_the_run_began_with_makes_a_failed_row(tmp_path):
    auditor, (source, *_) = opened(plant(tmp_path, 2, run=RUN | {"workers": 0}))
    (audit,), _ = audit_studies(auditor, [replace(source, row=replace(source.row, reference=()))])
    assert audit.reason == Reason.CHANGED_DURING_RUN


def test_a_prepared_study_is_that_of_the_bytes_that_were_decoded(tmp_path):
    config = plant(tmp_path, 2, run=RUN | {"workers": 0})
    auditor, sources = opened(config)
    audit_studies(auditor, sources)
    before = [auditor.prepared_cache.load(source.study, source.sha256).prepared.x for source in sources]
    replaced(sources[0].row.image)
    audits, _ = audit_studies(auditor, sources)  # from what was kept: the bytes of the run's start
    assert [audit.status for audit in audits] == ["analysed", "analysed"]
    auditor, again = opened(config)
    assert [source.sha256 == other.sha256 for source, other in zip(sources, again, strict=True)] == [False, True]
    for source, x in zip(sources, before, strict=True):
        np.testing.assert_array_equal(auditor.prepared_cache.load(source.study, source.sha256).prepared.x, x)


def test_a_fault_that_took_no_hash_stays_what_it_is():
    fault = StudyError(Stage.READ, Reason.TIMEOUT, "over")
    assert bound(fault, "a" * 64) is fault
    fault.source_sha256 = "b" * 64
    assert bound(fault, "a" * 64).reason is Reason.CHANGED_DURING_RUN
    assert bound(fault, "b" * 64) is fault
