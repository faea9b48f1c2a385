"""Whose fault it is: the model's becomes a row, ours ends the run, and both leave a trace without a value."""

import json
import logging
import stat
from dataclasses import replace
from types import FunctionType

import numpy as np
import pytest
import torch
import yaml

from cam import METHODS, explain
from flows.commands.interrupts import Interrupted
from pipeline.checks.model_check import probe_model
from pipeline.errors import AuditError, InternalError, ModelError, Reason, Stage, StudyError, frames_of
from pipeline.faults import fault_log, log_fault, own_faults, package_logger
from pipeline.studies.geometry import Resampling
from pipeline.walk import measuring, reading
from pipeline.walk.fault_origin import Origin, origin_of
from pipeline.walk.sources import find_sources
from pipeline.walk.study_walk import audit_studies
from tests.pipeline.hostile import buggy
from tests.pipeline.planted import plant
from tests.pipeline.shared_pool import POOL
from tests.pipeline.steps import open_auditor

SECRET = "SECRET^PETER"


def opened(folder, count, **run):
    config = plant(folder, count, run={"batch_size": 4, "device": "cpu", "replicates": 200, "workers": 0} | run)
    auditor = open_auditor(config, pool=POOL)
    sources = find_sources(auditor.config, auditor.pseudonyms)
    layers = probe_model(auditor, [source.row for source in sources]).layers
    return open_auditor(config, layers=tuple(layer.name for layer in layers), pool=POOL), sources


def fail_for(auditor, number, raised):
    """Let the network raise for the study that it is shown as the ``number``-th of all."""
    seen = []

    def hook(module, inputs):
        for sample in inputs[0]:
            digest = sample.numpy().tobytes()
            if digest not in seen:
                seen.append(digest)
            if seen.index(digest) == number:
                raise raised

    network = auditor.network
    network.register_forward_pre_hook(hook)


def traces(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("raised", [KeyError(SECRET), SystemExit(SECRET)], ids=["raise", "exit"])
def test_a_model_that_fails_for_one_study_loses_that_study_alone(tmp_path, raised):
    auditor, sources = opened(tmp_path, 20)
    fail_for(auditor, 7, raised)
    with fault_log(tmp_path / "faults.log"):
        audits, _ = audit_studies(auditor, sources)
    (failed,) = (row for row in audits if row.status != "analysed")
    assert (failed.status, len(audits)) == ("failed", 20)
    assert (failed.stage, failed.reason) == ("infer", Reason.MODEL_FAILED)
    assert type(raised).__name__ in failed.message
    assert SECRET not in failed.message
    (trace,) = traces(tmp_path / "faults.log")
    assert trace["studies"] == [failed.study]
    assert trace["stage"] == "infer"
    (error,) = trace["exceptions"]
    assert error["type"] == type(raised).__name__
    assert error["frames"][-1]["function"].endswith("hook")
    assert SECRET not in (tmp_path / "faults.log").read_text()
    assert stat.S_IMODE((tmp_path / "faults.log").stat().st_mode) == 0o600


def test_a_fault_of_our_own_blames_no_study(tmp_path, monkeypatch):
    auditor, sources = opened(tmp_path, 6)

    def broken(overlap, metrics):
        return {"area": 1}[SECRET]

    monkeypatch.setattr(measuring, "score_all", broken)
    with fault_log(tmp_path / "faults.log"), pytest.raises(InternalError) as ended:
        audit_studies(auditor, sources)
    assert not isinstance(ended.value, AuditError)
    assert ended.value.kind == "KeyError"
    assert ended.value.place.startswith("pipeline/walk/measuring.py:")
    assert SECRET not in str(ended.value)
    (trace,) = traces(tmp_path / "faults.log")
    assert trace["stage"] == "measure"
    assert trace["exceptions"][0]["frames"][-1]["function"].endswith("broken")
    assert SECRET not in (tmp_path / "faults.log").read_text()


def test_memory_that_runs_out_while_measuring_is_a_row(tmp_path, monkeypatch):
    auditor, sources = opened(tmp_path, 3)
    sound = Resampling.apply

    def hungry(self, values):
        if calls:
            return sound(self, values)
        calls.append(1)
        return np.empty((2**20, 2**20, 2**10))

    calls = []
    monkeypatch.setattr(Resampling, "apply", hungry)
    audits, _ = audit_studies(auditor, sources[:1])
    assert [(row.status, row.stage, row.reason) for row in audits] == [("failed", "measure", Reason.OUT_OF_MEMORY)]


def origin_in(network, x=None, methods=("gradcam",), layers=("0",)):
    x = torch.rand(2, 1, 6, 6) if x is None else x
    try:
        explain(network, x, [0], methods=list(methods), layers=list(layers))
    except Exception as error:
        return origin_of(error, network)
    pytest.fail("it was explained")
    return None


class TruncatedNetwork(torch.nn.Module):
    def __init__(self, behind):
        super().__init__()
        self.first, self.behind = torch.nn.Conv2d(1, 2, 1), behind

    def forward(self, x):
        return self.behind(self.first(x))


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(_, x):
        return x.mean(dim=(2, 3))

    @staticmethod
    def backward(_, *__):
        raise RuntimeError(SECRET)


class Differentiated(torch.nn.Module):
    def forward(self, x):
        return Cube.apply(x)


class Raising(torch.nn.Module):
    def forward(self, x):
        return x[SECRET]


class Infinite(torch.nn.Module):
    def forward(self, x):
        return x.mean(dim=(2, 3)) * torch.inf


def eval_of(behind):
    return TruncatedNetwork(behind).eval()


def test_a_network_that_raises_is_the_networks():
    assert origin_in(eval_of(Raising()), layers=["first"]) == Origin(Stage.INFER, ours=False)


def test_a_network_whose_gradient_raises_is_the_networks():
    assert origin_in(eval_of(Differentiated()), layers=["first"]) == Origin(Stage.EXPLAIN, ours=False)


def test_what_cam_refuses_is_the_networks():
    origin = origin_in(eval_of(Infinite()), x=torch.full((1, 1, 6, 6), torch.nan), layers=["first"])
    assert origin == Origin(Stage.EXPLAIN, ours=False)


def misshapen(A, G):
    return A @ G.transpose(0, 1)[..., :1, :1]


def misread(A, G):
    first, second, third = A, G
    return first + second + third


def test_a_formula_that_breaks_is_ours(monkeypatch):
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).eval()
    for broken in (misshapen, misread):
        within_cam = FunctionType(broken.__code__, {"__name__": "cam.methods.gradcam"})
        monkeypatch.setitem(METHODS, "gradcam", replace(METHODS["gradcam"], function=within_cam))
        assert origin_in(network) == Origin(Stage.EXPLAIN, ours=True)


def test_the_trace_of_a_chain_names_every_link_and_quotes_none(tmp_path, caplog):
    try:
        try:
            float(SECRET)
        except ValueError as error:
            raise StudyError(Stage.PREPARE, Reason.PREPARATION_FAILED, SECRET) from error
    except StudyError as error:
        fault = error
    with caplog.at_level(logging.ERROR, logger="camaudit"), fault_log(tmp_path / "faults.log"):
        log_fault(fault, "prepare", ["S-1"])
    (trace,) = traces(tmp_path / "faults.log")
    assert [one["type"] for one in trace["exceptions"]] == ["pipeline.errors.StudyError", "ValueError"]
    assert SECRET not in caplog.text + (tmp_path / "faults.log").read_text()
    assert "S-1: ValueError at test_faults.py" in caplog.text.replace("tests/pipeline/", "")


def test_without_a_fault_there_is_no_file(tmp_path):
    with fault_log(tmp_path / "faults.log"):
        package_logger().error("something else")
    assert list(tmp_path.iterdir()) == []


def test_frames_name_no_folder_of_the_machine(tmp_path):
    try:
        yaml.safe_load("a: [")
    except yaml.YAMLError as error:
        frames = frames_of(error)
    assert frames[1].file == "yaml/__init__.py"
    assert not any(frame.file.startswith("/") for frame in frames)
    assert str(tmp_path) not in str(frames)


def leave(error):
    with own_faults():
        raise error


def test_a_model_that_ends_the_process_does_not_end_it_as_if_all_were_done():
    with pytest.raises(ModelError, match=r"code called sys\.exit"):
        leave(SystemExit(0))
    with pytest.raises(Interrupted):
        leave(Interrupted(15))


@pytest.mark.parametrize("workers", [0, 1])
def test_what_raises_in_a_reading_process_leaves_its_frames(tmp_path, monkeypatch, workers):
    auditor, sources = opened(tmp_path / "a", 3, workers=workers)
    monkeypatch.setattr(reading, "read_study", buggy)
    with fault_log(tmp_path / "faults.log"):
        audits, _ = audit_studies(auditor, sources)
    assert [row.reason for row in audits] == [None, Reason.UNEXPECTED, None]
    (trace,) = traces(tmp_path / "faults.log")
    assert (trace["stage"], trace["studies"]) == ("read", [audits[1].study])
    last = trace["exceptions"][0]["frames"][-1]
    assert (last["file"], last["function"]) == ("tests/pipeline/hostile.py", "buggy")
    assert SECRET not in (tmp_path / "faults.log").read_text()


def test_what_a_library_raises_over_a_file_leaves_its_frames(tmp_path):
    auditor, sources = opened(tmp_path / "a", 2)
    image = tmp_path / "a" / "archive" / "study01.nii.gz"
    image.write_bytes(image.read_bytes()[:3000])
    sources = find_sources(auditor.config, auditor.pseudonyms)
    with fault_log(tmp_path / "faults.log"):
        audits, _ = audit_studies(auditor, sources)
    assert audits[1].status == "failed"
    (trace,) = traces(tmp_path / "faults.log")
    assert trace["exceptions"][0]["frames"]
