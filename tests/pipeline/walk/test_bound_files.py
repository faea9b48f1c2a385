"""No row, and no prepared study, stands under the hash of files that were not the ones decoded."""

import os
from dataclasses import replace

import numpy as np
import pytest

from pipeline.checks.model_check import probe_model
from pipeline.errors import Reason, Stage, StudyError
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
