"""Prepared studies kept on disk change no number, are never taken for another's, and can always be done without."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from pipeline.checks.model_check import probe_model
from pipeline.errors import OutputError, Reason
from pipeline.models.prepared_studies import PreparedCache
from pipeline.studies.read_study import read_study
from pipeline.walk import reading
from pipeline.walk.sources import find_sources
from pipeline.walk.study_walk import audit_studies
from tests.pipeline.planted import plant
from tests.pipeline.shared_pool import POOL
from tests.pipeline.steps import open_auditor

RUN = {"batch_size": 2, "device": "cpu", "replicates": 200, "workers": 0, "cache": "cache"}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("CAMAUDIT_KEY", "k" * 32)


@pytest.fixture
def reads(monkeypatch):
    """The number of times that a study was read from its own files."""
    counted = []

    def counting(row, pseudonyms, options, **how):
        counted.append(row.study)
        return read_study(row, pseudonyms, options, **how)

    monkeypatch.setattr(reading, "read_study", counting)
    return counted


def opened(config):
    auditor = open_auditor(config, pool=POOL)
    sources = find_sources(auditor.config, auditor.pseudonyms)
    layers = probe_model(auditor, [source.row for source in sources]).layers
    return open_auditor(config, layers=tuple(layer.name for layer in layers), pool=POOL), sources


def audited(config):
    auditor, sources = opened(config)
    return audit_studies(auditor, sources)


def changed(config, **changes):
    content = yaml.safe_load(config.read_text())
    for path, value in changes.items():
        part, _, name = path.partition("__")
        content[part] = {**content[part], name: value} if name else value
    config.write_text(yaml.safe_dump(content))


def test_a_second_run_reads_no_study_and_finds_the_same(tmp_path, reads):
    config = plant(tmp_path, 5, run=RUN)
    auditor, sources = opened(config)
    reads.clear()
    audits, maps = audit_studies(auditor, sources)
    assert sorted(reads) == sorted(source.row.study for source in sources)
    reads.clear()
    again, same = audit_studies(auditor, sources)
    assert not reads
    assert again == audits
    assert all(one.status == "analysed" for one in again)
    for key, values in maps.items():
        np.testing.assert_array_equal(same[key], values)


def test_what_is_kept_is_the_study_itself(tmp_path):
    auditor, sources = opened(plant(tmp_path, 2, run=RUN))
    audit_studies(auditor, sources)
    study = read_study(sources[0].row, auditor.pseudonyms)
    found = auditor.prepared_cache.load(sources[0].study, sources[0].sha256)
    np.testing.assert_array_equal(found.prepared.x, auditor.preparation(study.image).x)
    np.testing.assert_array_equal(found.prepared.grid.affine, auditor.preparation(study.image).grid.affine)
    np.testing.assert_array_equal(found.geometry.affine, study.image.geometry.affine)
    assert found.geometry.shape == study.image.geometry.shape
    assert [(one.label, one.reader) for one in found.masks] == [(one.label, one.reader) for one in study.masks]
    assert sum(one.array.sum() for one in found.masks) > 0
    for one, other in zip(found.masks, study.masks, strict=True):
        np.testing.assert_array_equal(one.array, other.array)
    facts = ("identity", "patient", "reference", "strata", "header")
    assert [getattr(found, name) for name in facts] == [getattr(study, name) for name in facts]


@pytest.mark.parametrize(
    "change",
    [
        {"prepare": [{"_target_": "Resize", "spatial_size": [10, 12, 8]}]},
        {"archive__consensus": "majority"},
        {"archive__contours": "union"},
        {"archive__voi": "apply"},
    ],
)
def test_another_way_to_read_or_prepare_reads_anew(change, tmp_path, reads):
    config = plant(tmp_path, 2, run=RUN)
    audited(config)
    changed(config, **change)
    auditor, sources = opened(config)
    assert not any(auditor.prepared_cache.holds(one.study, one.sha256) for one in sources)
    reads.clear()
    audit_studies(auditor, sources)
    assert len(reads) == 2


def test_other_methods_do_not_read_anew(tmp_path, reads):
    config = plant(tmp_path, 2, run=RUN)
    audited(config)
    changed(config, explain__methods=["hirescam", "layercam"], criteria=[])
    auditor, sources = opened(config)
    reads.clear()
    audits, _ = audit_studies(auditor, sources)
    assert not reads
    assert {one.method for one in audits[0].map_scores} >= {"hirescam", "layercam"}


def test_other_content_under_the_same_name_is_read(tmp_path):
    auditor, sources = opened(plant(tmp_path, 1, run=RUN))
    audit_studies(auditor, sources)
    assert auditor.prepared_cache.holds(sources[0].study, sources[0].sha256)
    assert not auditor.prepared_cache.holds(sources[0].study, "0" * 64)
    assert not auditor.prepared_cache.holds("another", sources[0].sha256)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "another's"])
def test_a_damaged_entry_is_read_anew(damage, tmp_path, reads):
    config = plant(tmp_path, 3, run=RUN)
    expected = audited(config)[0]
    auditor, sources = opened(config)
    (entry,) = [
        path for path in entries(auditor) if path == auditor.prepared_cache._path(sources[1].study, sources[1].sha256)
    ]
    content = bytearray(entry.read_bytes())
    if damage == "cut":
        entry.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[content.index(b"x.npy") + 5000] ^= 0xFF
        entry.write_bytes(content)
    elif damage == "empty":
        entry.write_bytes(b"")
    else:
        entry.write_bytes(auditor.prepared_cache._path(sources[0].study, sources[0].sha256).read_bytes())
    reads.clear()
    assert audit_studies(auditor, sources)[0] == expected
    assert reads == [sources[1].row.study]
    reads.clear()
    assert audit_studies(auditor, sources)[0] == expected
    assert not reads, "the damaged entry was replaced"


def test_a_damaged_entry_is_read_anew_beside_what_other_processes_read(tmp_path):
    auditor, sources = opened(plant(tmp_path, 5, run=RUN | {"workers": 1}))
    expected = audit_studies(auditor, sources)[0]
    absent, damaged = (auditor.prepared_cache._path(sources[number].study, sources[number].sha256) for number in (0, 2))
    absent.unlink()
    damaged.write_bytes(b"")
    auditor.prepared_cache._path(sources[4].study, sources[4].sha256).unlink()
    assert audit_studies(auditor, sources)[0] == expected
    assert len(entries(auditor)) == 5


def test_a_study_that_cannot_be_read_is_not_kept(tmp_path):
    config = plant(tmp_path, 3, run=RUN)
    (tmp_path / "archive" / "study01.nii.gz").write_bytes(b"broken")
    auditor, sources = opened(config)
    for _ in range(2):
        audits, _ = audit_studies(auditor, sources)
        assert [one.status for one in audits] == ["analysed", "failed", "analysed"]
    assert len(entries(auditor)) == 2


def test_labels_that_the_model_does_not_have_are_refused_also_from_the_folder(tmp_path):
    auditor, sources = opened(plant(tmp_path, 2, run=RUN))
    audit_studies(auditor, sources)
    other = auditor.config.model.model_copy(update={"labels": ("healthy", "something else")})
    auditor = replace(auditor, config=auditor.config.model_copy(update={"model": other}))
    audits, _ = audit_studies(auditor, sources)
    positive = [one for one, source in zip(audits, sources, strict=True) if source.row.reference]
    assert positive
    assert all((one.status, one.reason) == ("excluded", Reason.UNKNOWN_LABEL) for one in positive)


def test_the_folder_stays_within_its_bound_and_loses_what_was_not_used_for_longest(tmp_path):
    auditor, sources = opened(plant(tmp_path, 4, run=RUN))
    audit_studies(auditor, sources)
    size = max(path.stat().st_size for path in entries(auditor))
    used = auditor.prepared_cache.load(sources[0].study, sources[0].sha256)
    assert used is not None
    replace(auditor.prepared_cache, limit=2 * size).make_room()
    kept = [one.study for one in sources if auditor.prepared_cache.holds(one.study, one.sha256)]
    assert kept == [sources[0].study, sources[3].study]


def test_the_folder_is_its_owners_and_names_nobody(tmp_path):
    auditor, sources = opened(plant(tmp_path, 2, run=RUN))
    audit_studies(auditor, sources)
    assert auditor.prepared_cache.folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in entries(auditor)} == {0o600}
    for path in entries(auditor):
        content = path.read_bytes()
        assert not any(source.row.patient.encode() in content + path.name.encode() for source in sources)


def test_a_disk_that_takes_nothing_costs_no_study(tmp_path, monkeypatch):
    auditor, sources = opened(plant(tmp_path, 2, run=RUN))
    monkeypatch.setattr("numpy.savez", full_disk)
    audits, _ = audit_studies(auditor, sources)
    assert [one.status for one in audits] == ["analysed"] * 2
    assert not entries(auditor)


def full_disk(*_arguments, **_named):
    raise OSError(28, "No space left on device")


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/cache: run.cache cannot be made: Not a directory"):
        PreparedCache(tmp_path / "file" / "cache", 1, "")


def entries(auditor):
    return sorted(auditor.prepared_cache.folder.iterdir())
