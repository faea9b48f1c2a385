"""Reading in other processes changes no number, and what happens there to one study happens to no other."""

from functools import partial

import numpy as np
import pytest

from pipeline.checks.model_check import probe_model
from pipeline.errors import Reason
from pipeline.studies.read_study import read_study
from pipeline.studies.untrusted.workers import Limits, WorkerPool
from pipeline.walk import reading
from pipeline.walk.reading import read_studies
from pipeline.walk.sources import find_sources
from pipeline.walk.study_walk import audit_studies
from tests.pipeline.hostile import hostile
from tests.pipeline.planted import plant
from tests.pipeline.steps import open_auditor

RUN = {"batch_size": 2, "device": "cpu", "replicates": 200}


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as pool:
        yield pool


def opened(folder, workers, pool, count=5):
    config = plant(folder, count, run=RUN | {"workers": workers})
    auditor = open_auditor(config, pool=pool)
    sources = find_sources(auditor.config, auditor.pseudonyms)
    layers = probe_model(auditor, [source.row for source in sources]).layers
    return open_auditor(config, layers=tuple(layer.name for layer in layers), pool=pool), sources


def test_workers_change_neither_order_nor_numbers(tmp_path, pool, monkeypatch):
    monkeypatch.setenv("CAMAUDIT_KEY", "k" * 32)
    found = []
    for workers in (0, 1, 2):
        auditor, sources = opened(tmp_path / str(workers), workers, pool)
        found.append(audit_studies(auditor, sources))
    (alone, maps), *others = found
    assert [one.study for one in alone] == [source.study for source in sources]
    assert all(one.status == "analysed" for one in alone)
    for audits, same in others:
        assert audits == alone
        assert list(same) == list(maps)
        for key, values in maps.items():
            np.testing.assert_array_equal(same[key], values)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_study_that_kills_its_reader_is_a_row_beside_the_others(workers, tmp_path, pool, monkeypatch):
    auditor, sources = opened(tmp_path, workers, pool)
    monkeypatch.setattr(reading, "read_study", hostile)
    monkeypatch.setattr(reading, "DECODING", Limits(4 * 1024**3, cpu_seconds=4, wall_seconds=10.0**6))
    heard = []
    audits, _ = audit_studies(auditor, sources, lambda done, more=0: heard.append((done, more)))
    assert [one.study for one in audits] == [source.study for source in sources]
    assert [one.reason for one in audits] == [None, Reason.CRASHED, Reason.TIMEOUT, Reason.OUT_OF_MEMORY, None]
    assert [one.status for one in audits] == ["analysed", "failed", "failed", "failed", "analysed"]
    assert {one.stage for one in audits[1:4]} == {"read"}
    made = sum(len({one.map for one in row.map_scores if one.map}) for row in audits)
    assert sum(done for done, _ in heard) == made == 5 * 3 + sum(more for _, more in heard)


def test_what_was_read_elsewhere_cannot_be_changed(tmp_path, pool):
    auditor, sources = opened(tmp_path, 1, pool, count=1)
    (study,) = read_studies(auditor, [sources[0].row])
    arrays = [study.image.array, study.image.geometry.affine, *(mask.array for mask in study.masks)]
    assert len(arrays) == 4
    assert not any(array.flags.writeable for array in arrays)
    assert partial(read_study, pseudonyms=auditor.pseudonyms)(sources[0].row).header == study.header
