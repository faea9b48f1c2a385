"""Several processes of this machine work one run: the rows are the same, and a helper that dies costs nothing."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest
import torch

from flows.crews.crew import NO_CREW
from flows.crews.processes import devices_of, processes, threads_each
from flows.request import AuditRequest
from flows.running import run_audit
from flows.watch import Watcher
from pipeline.checks.config_checks import checked_config
from pipeline.findings.results import load_results
from tests.pipeline.planted import plant


def audited(config, *overrides):
    request = AuditRequest(checked_config(config, ["run.engine=local", "run.shard_size=2", *overrides]), "camaudit run")
    maps = Counter()
    folder = run_audit(request, Watcher(on_maps=lambda done, more=0, /: maps.update(done=done, more=more)), print)
    return folder, maps


def shards_done(folder):
    entries = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    return sorted(entry["body"]["shard"] for entry in entries if entry["event"] == "shard.finished")


def test_one_process_each_gpu_and_the_first_leads():
    assert devices_of("auto", None, 0) == (None,)
    assert devices_of("auto", 3, 0) == (None, None, None)
    assert devices_of("auto", None, 2) == ("cuda:0", "cuda:1")
    assert devices_of("cuda", 3, 2) == ("cuda:0", "cuda:1", "cuda:0")
    assert devices_of("cuda:1", None, 2) == (None,)
    assert devices_of("cpu", 2, 4) == (None, None)
    with processes(devices_of("auto", None, 0)) as crew:
        assert crew is NO_CREW


def test_threads_are_shared_unless_the_user_says():
    assert threads_each(10_000, {}) == 1
    assert threads_each(1, {}) == len(os.sched_getaffinity(0))
    assert threads_each(2, {"OMP_NUM_THREADS": "3"}) is None


def test_the_leading_process_takes_no_more_threads_than_its_helpers_while_it_works_shards(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    told = []

    def helper(_device, threads):
        told.append(threads)
        return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)

    monkeypatch.setattr("flows.crews.processes._started", helper)
    monkeypatch.setattr("flows.crews.processes.threads_each", lambda count, environment: 5 - count)
    before = torch.get_num_threads()
    for devices, within in (((None, None), 3), ((None,), before)):
        with processes(devices) as crew:
            assert torch.get_num_threads() == before  # the model is tried on all cores
            with crew.abreast():
                assert torch.get_num_threads() == within
            assert torch.get_num_threads() == before
    assert told == [3]


def test_a_process_that_ends_of_itself_does_not_wait_for_its_input(tmp_path):
    """Its leading process lives on and holds the other end of the pipe."""
    command = [sys.executable, "-m", "flows", "work", str(tmp_path), "--quiet", "--end-with-input"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as helper:
        said = helper.stderr.read()
        assert helper.wait() == 2
    assert said.startswith(f"camaudit: {tmp_path}: holds no run.json")
    assert said.count("\n") == 1


def test_a_process_that_waits_for_its_run_ends_where_none_comes_of_it():
    command = [sys.executable, "-m", "flows", "work", "-", "--quiet", "--end-with-input"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as helper:
        helper.stdin.close()
        assert helper.stderr.read() == ""
        assert helper.wait() == 0


@pytest.mark.slow
def test_two_processes_leave_what_one_leaves(tmp_path):
    config = plant(tmp_path, 24)
    alone, _ = audited(config)
    shared, maps = audited(config, "name=shared", "run.processes=2")  # another audit: nothing is carried over
    assert shards_done(shared) == shards_done(alone) == list(range(12))
    assert (shared / "per_study.csv").read_bytes() == (alone / "per_study.csv").read_bytes()
    assert load_results(shared).estimates == load_results(alone).estimates
    assert maps["done"] > 0
    assert not list((shared.parent / ".claims").iterdir())


def test_a_helper_ends_when_its_input_does(tmp_path):
    folder = tmp_path / "no run"
    command = [sys.executable, "-m", "flows", "work", str(folder), "--end-with-input"]
    helper = subprocess.run(command, input=b"", capture_output=True, timeout=600, check=False)
    assert helper.returncode in (0, 2)  # it ends by itself first where it is quick to see that there is no run
    assert b"Traceback" not in helper.stderr


def test_work_says_what_is_no_run(camaudit, tmp_path):
    code, _, error = camaudit("work", tmp_path / "nothing")
    assert code == 2
    assert error.count("\n") == 1
    assert "nothing" in error
