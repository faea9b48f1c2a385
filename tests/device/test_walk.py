"""An audit on the pretended device: the processor's rows and maps, and a few waits of the host a batch."""

from pathlib import Path

import pytest
import torch
from torch import nn

import cam
import pipeline
from pipeline.findings.shards import read_shard
from tests.device.pretended import pretended_cuda
from tests.pipeline.planted import plant
from tests.pipeline.steps import begin, finish, work

ROOTS = [Path(cam.__file__).parent, Path(pipeline.__file__).parent]
METHODS = ["gradcam", "hirescam", "scorecam"]


def audited(folder, device, **changes):
    run = {"device": device, "batch_size": 3, "scoring": "numpy"} | changes
    config = plant(folder, 6, explain={"methods": METHODS}, run=run)
    run = begin(config)
    work(run, 0)
    return run, read_shard(run / "shards" / "0000.parquet")


def test_an_audit_gives_the_processors_rows(tmp_path, monkeypatch):
    monkeypatch.setenv("CAMAUDIT_STATE", str(tmp_path / "state"))
    _, here = audited(tmp_path / "here", "cpu")
    with pretended_cuda(ROOTS) as meter:
        run, there = audited(tmp_path / "there", "cuda")
        assert not meter.faults, meter.faults
        assert finish(run) is not None
    assert len(here) == len(there) == 6
    for expected, audit in zip(here, there, strict=True):
        assert audit.status == "analysed"
        assert audit.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
        assert audit.predicted == expected.predicted
        for entry, other in zip(audit.map_scores, expected.map_scores, strict=True):
            assert (entry.target, entry.method, entry.layer) == (other.target, other.method, other.layer)
            assert entry.scores == other.scores


def test_a_batch_of_the_audit_waits_for_few_things(tmp_path, monkeypatch):
    monkeypatch.setenv("CAMAUDIT_STATE", str(tmp_path / "state"))
    waits = {}
    with pretended_cuda(ROOTS) as meter:
        for size in (6, 2):
            config = plant(
                tmp_path / str(size),
                6,
                explain={"methods": METHODS},
                run={"device": "cuda", "batch_size": size, "scoring": "numpy"},
            )
            run = begin(config)
            meter.clear()
            work(run, 0)
            waits[size] = meter.waits() - sum(
                number for (_, line), number in meter.lines().items() if "models/load.py" in line
            )
            assert not any("device_copies" in line for _, line in meter.lines(["to_device"])), meter.table()
    assert waits[6] <= 12, meter.table()
    assert waits[2] <= 3 * waits[6]


def test_memory_that_runs_out_on_the_device_halves_the_batch(tmp_path, monkeypatch):
    """Begun with what ``auto`` finds, the rows are those of the processor, whatever fits the device."""
    monkeypatch.setenv("CAMAUDIT_STATE", str(tmp_path / "state"))
    _, here = audited(tmp_path / "here", "cpu")
    sizes, forward = [], nn.Conv3d.forward

    def small(self, x):
        sizes.append(len(x))
        if len(x) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, x)

    monkeypatch.setattr(nn.Conv3d, "forward", small)
    with pretended_cuda(ROOTS) as meter:
        _, there = audited(tmp_path / "there", "cuda", batch_size="auto")
        assert not meter.faults, meter.faults
    assert max(sizes) > 2
    assert [audit.status for audit in there] == ["analysed"] * 6
    assert [entry.scores for audit in there for entry in audit.map_scores] == [
        entry.scores for audit in here for entry in audit.map_scores
    ]


def test_the_walk_goes_through_with_every_choice_of_arithmetic(tmp_path, monkeypatch):
    monkeypatch.setenv("CAMAUDIT_STATE", str(tmp_path / "state"))
    choice = {"precision": "autocast", "memory_format": "channels_last", "mode": "fast"}
    with pretended_cuda(ROOTS) as meter:
        run, there = audited(tmp_path / "there", "cuda", **choice)
        assert not meter.faults, meter.faults
        results = finish(run)
    assert [audit.status for audit in there] == ["analysed"] * 6
    check = results.provenance.arithmetic
    assert check.arithmetic == "autocast (bfloat16), channels last, fast"
    assert check.studies == 4
    assert check.failed == 0
