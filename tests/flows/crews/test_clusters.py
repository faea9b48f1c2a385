"""The same audit by a Dask cluster and by a work pool with two workers: what is left is equal, byte for byte."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.crews.dask_cluster import dask_cluster
from pipeline.errors import ConfigError
from tests.flows.crews.test_processes import audited, shards_done
from tests.flows.scheduling.test_schedule import server, stopping, wait_for  # noqa: F401 - fixtures
from tests.pipeline.planted import plant

pytestmark = pytest.mark.slow


def test_a_dask_cluster_leaves_what_one_process_leaves(tmp_path):
    config = plant(tmp_path, 12)
    alone, _ = audited(config)
    shared, maps = audited(config, "name=shared", "run.engine=dask", "run.processes=2")
    assert shards_done(shared) == shards_done(alone)
    assert (shared / "per_study.csv").read_bytes() == (alone / "per_study.csv").read_bytes()
    assert maps["done"] > 0
    entries = [json.loads(line) for line in (shared / "ledger.jsonl").read_text().splitlines()]
    assert [entry["body"]["engine"] for entry in entries if entry["event"] == "engine.chosen"] == ["dask"]


def test_a_scheduler_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr("flows.crews.dask_cluster._WAIT_SECONDS", 1)
    with (
        pytest.raises(ConfigError, match=r"run\.cluster: no Dask scheduler answers"),
        dask_cluster("tcp://127.0.0.1:9", 1).at(tmp_path, print),
    ):
        pass


def test_a_work_pool_leaves_what_one_process_leaves(tmp_path, server, stopping):  # noqa: F811
    environment = server[1] | {"PYTHONPATH": str(Path(__file__).parents[3])}  # a child run imports what runs here
    config = plant(tmp_path / "hospital", 12)
    alone, _ = audited(config)
    prefect = [sys.executable, "-m", "prefect"]
    subprocess.run([*prefect, "work-pool", "create", "gpus", "--type", "process"], env=environment, check=True)
    for number in range(2):
        log = (tmp_path / f"worker{number}.log").open("w")
        worker = [*prefect, "worker", "start", "--pool", "gpus", "--name", f"worker{number}"]
        stopping.append(subprocess.Popen(worker, env=environment, stdout=log, stderr=log))
    sets = ["name=shared", "run.engine=pool", "run.pool=gpus", "run.processes=2", "run.shard_size=2"]
    command = [
        sys.executable,
        "-m",
        "flows",
        "run",
        str(config),
        "--json",
        *(part for each in sets for part in ("--set", each)),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    shared = next((config.parent / "runs" / "shared").glob("2*"))
    assert shards_done(shared) == shards_done(alone)
    assert (shared / "per_study.csv").read_bytes() == (alone / "per_study.csv").read_bytes()


def test_a_pool_that_is_not_there(tmp_path, server):  # noqa: F811
    _, environment = server
    config = plant(tmp_path / "hospital", 3)
    command = [
        sys.executable,
        "-m",
        "flows",
        "run",
        str(config),
        "--set",
        "run.engine=pool",
        "--set",
        "run.pool=nobody",
    ]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 2
    assert "has no work pool 'nobody'" in done.stderr
    assert not list((config.parent / "runs").glob("planted/2*"))
