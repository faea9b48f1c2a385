"""Maps are scored while the next batch is read and explained: the same rows, faults at their study, two batches."""

import threading
from dataclasses import replace

import pytest
import torch

from pipeline.errors import InternalError, Reason
from pipeline.evidence.device.engine import DeviceEngine
from pipeline.walk import study_walk
from pipeline.walk.study_walk import audit_studies
from tests.pipeline.test_faults import opened


@pytest.fixture
def few(tmp_path):
    return opened(tmp_path, 12, batch_size=3)


def scored_by(monkeypatch, change):
    """Let ``change`` see each study's measuring before it measures."""
    real = study_walk.StudyMeasuring

    def measuring(auditor, source, study, *roles):
        change(study)
        return real(auditor, source, study, *roles)

    monkeypatch.setattr(study_walk, "StudyMeasuring", measuring)


def test_maps_are_scored_while_the_next_batch_is_explained(few, monkeypatch):
    auditor, sources = few
    explained, order = threading.Event(), []
    real = study_walk.explain_batch

    def explain(auditor, x, batch, on_maps):
        order.append("explained")
        if order.count("explained") == 2:
            explained.set()
        return real(auditor, x, batch, on_maps)

    def scored(_):
        assert explained.wait(60)
        assert threading.current_thread().name.startswith("behind")
        order.append("scored")

    monkeypatch.setattr(study_walk, "explain_batch", explain)
    scored_by(monkeypatch, scored)
    audits, _ = audit_studies(auditor, sources)
    assert [audit.status for audit in audits] == ["analysed"] * 12
    assert order.count("scored") == 12
    ahead = [order[:place].count("explained") - order[:place].count("scored") // 3 for place in range(len(order) + 1)]
    assert max(ahead) == 2  # one that is scored, one that was explained meanwhile


def test_rows_and_maps_are_those_of_one_study_after_the_other(few):
    auditor, sources = few
    together, maps = audit_studies(auditor, sources)
    alone = [audit_studies(auditor, [source]) for source in sources]
    assert together == [audit for audits, _ in alone for audit in audits]
    assert list(maps) == [key for _, kept in alone for key in kept]


def test_memory_that_runs_out_while_scoring_loses_that_study_alone(few, monkeypatch):
    auditor, sources = few
    expected, _ = audit_studies(auditor, sources)

    def full(study):
        if study.identity == sources[4].study:
            raise MemoryError

    scored_by(monkeypatch, full)
    audits, maps = audit_studies(auditor, sources)
    lost = audits[4]
    assert (lost.study, lost.status, lost.reason) == (sources[4].study, "failed", Reason.OUT_OF_MEMORY)
    assert audits[:4] + audits[5:] == expected[:4] + expected[5:]
    assert not any(key.startswith(lost.study) for key in maps)


def test_an_error_of_our_own_while_scoring_ends_the_run(few, monkeypatch):
    auditor, sources = few

    def broken(study):
        if study.identity == sources[1].study:
            raise AssertionError("ours")

    scored_by(monkeypatch, broken)
    with pytest.raises(InternalError):
        audit_studies(auditor, sources)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("behind")]


def assert_close(value, expected):
    """Compare records: numbers but for rounding, all else exactly."""
    if isinstance(expected, dict):
        assert value.keys() == expected.keys()
        for key, part in expected.items():
            assert_close(value[key], part)
    elif isinstance(expected, tuple | list):
        assert len(value) == len(expected)
        for one_value, part in zip(value, expected, strict=True):
            assert_close(one_value, part)
    elif isinstance(expected, float):
        assert value == pytest.approx(expected, abs=1e-5)
    else:
        assert value == expected


def test_the_other_back_end_gives_the_same_rows_but_for_rounding(few):
    auditor, sources = few
    reference, kept = audit_studies(auditor, sources)
    scored, maps = audit_studies(replace(auditor, engine=DeviceEngine(torch.device("cpu"))), sources)
    assert list(maps) == list(kept)
    for ours, theirs in zip(scored, reference, strict=True):
        assert ours.model_copy(update={"map_scores": ()}) == theirs.model_copy(update={"map_scores": ()})
        for mine, other in zip(ours.map_scores, theirs.map_scores, strict=True):
            assert_close(mine.model_dump(), other.model_dump())
