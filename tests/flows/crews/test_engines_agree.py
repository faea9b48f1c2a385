"""One audit of the demo by every engine: ``python -m pytest -m slow -s tests/flows/crews/test_engines_agree.py``.

It says how many files of the runs' folders are equal, byte for byte, and in which fields the others differ.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from flows.demo.archive import write_archive
from flows.demo.configs import CT, write_config
from flows.demo.train import draw_training_set, train_model, write_bundle
from pipeline.vocabulary import BASELINES
from tests.flows.crews.run_folders import FIELDS, FOLLOWING, Likeness, likeness
from tests.flows.scheduling.test_schedule import server, stopping  # noqa: F401 - fixtures

pytestmark = pytest.mark.slow

POOL = "audits"
WAYS = {
    "local": ("run.engine=local", "run.processes=1"),
    "two processes": ("run.engine=local", "run.processes=2"),
    "prefect": ("run.engine=prefect", "run.processes=1"),
    "dask": ("run.engine=dask", "run.processes=2"),
    "pool": ("run.engine=pool", "run.processes=2", f"run.pool={POOL}"),
}
STUDIES, SHARD = 16, 2


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's volumes and its sound model, with every baseline and experiment asked for, and locked."""
    folder = tmp_path_factory.mktemp("demo")
    write_archive(folder / "archive", 0)
    network = train_model(CT, "sound", draw_training_set(CT, 0), 0)
    write_bundle(network, CT, "sound", folder / "models" / "ct-sound")
    path = write_config(CT, "sound", folder, 0)
    content = yaml.safe_load(path.read_text())
    content["overlap"] = {"baselines": list(BASELINES)}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


def test_every_engine_leaves_the_same(demo, tmp_path, server, stopping):  # noqa: F811
    place = tmp_path / "audit"  # where each way finds the same files, and one key
    root = str(Path(__file__).parents[3])  # a child run imports what runs here
    environment = server[1] | {"PYTHONPATH": root, "CAMAUDIT_STATE": str(place / "state"), "OMP_NUM_THREADS": "1"}
    environment.pop("CAMAUDIT_REGISTER", None)

    def call(*command: str) -> None:
        done = subprocess.run([sys.executable, "-m", *command], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    call("prefect", "work-pool", "create", POOL, "--type", "process")
    for number in range(2):
        worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--name", f"worker{number}"]
        with (tmp_path / f"worker{number}.log").open("w") as log:
            stopping.append(subprocess.Popen(worker, env=environment, stdout=log, stderr=log))
    shutil.copytree(demo, place)
    call("flows", "lock", str(place / "audit-ct-sound.yaml"), "--quiet")
    place.rename(tmp_path / "locked")
    runs = {}
    for way, settings in WAYS.items():
        shutil.copytree(tmp_path / "locked", place)
        chosen = [part for setting in (*settings, f"run.shard_size={SHARD}") for part in ("--set", setting)]
        begun = time.monotonic()
        call("flows", "run", str(place / "audit-ct-sound.yaml"), "--quiet", *chosen)
        seconds = time.monotonic() - begun
        (run,) = (place / "runs" / "ct-sound").glob("2*")
        call("flows", "verify", str(run))
        kept = tmp_path / f"by {way}"
        place.rename(kept)
        runs[way] = kept / run.relative_to(place)
        assert len(list(runs[way].glob("shards/*.parquet"))) == STUDIES // SHARD
        sys.stdout.write(f"\n{way}: {seconds:.0f} s\n")
        if way != "local":
            alike = likeness(runs["local"], runs[way])
            sys.stdout.writelines(lines_of(alike))
            assert alike.unlike == ()
            assert set(alike.fields) == {*FIELDS, FOLLOWING}


def lines_of(alike: Likeness) -> Iterator[str]:
    """Yield how many files are equal byte for byte, and where the others differ."""
    yield f"  {len(alike.equal)} of {len(alike.equal) + len(alike.fields)} files are equal to local's, byte for byte\n"
    for name, fields in alike.fields.items():
        yield f"  {name}: {', '.join(fields) or 'rendered from the others'}\n"
