"""What many studies cost beside the work on them: ``python -m tests.benchmarks.runs.orchestration [STUDIES ...]``.

No image is read and no map computed: each study's record is made up, and all else is the product's own (register,
cohort, shards, claims, ledger, records, conclusions, report). Each size runs in a process of its own, whose peak of
memory and time are printed, with what a million would take by the growth between the two largest sizes. With
``--server`` the run is also shown on a Prefect server, and its database's growth is printed.
"""

import argparse
import contextlib
import hashlib
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

STUDIES = (10_000, 100_000)
ASKED = 1_000_000
_MIB, _HOUR = 2**20, 3600


@dataclass(frozen=True)
class SimulatedCost:
    """Seconds of processor time in the parts of a run, megabytes that its process held at most, and files' bytes."""

    studies: int
    shards: int
    begun: float
    worked: float
    finished: float
    at_start_mib: float
    peak_mib: float
    folder_mib: float
    database_mib: float | None = None


def simulate(studies: int, *, server: bool) -> SimulatedCost:
    """Take a run of so many made-up studies through, in a folder that is removed again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"CAMAUDIT_STATE": f"{name}/state", "PREFECT_HOME": f"{name}/prefect"}
        os.environ |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_LEVEL": "WARNING"}
        from pipeline.runs import run as runs

        runs.audit_studies = made_up  # type: ignore[assignment]  # the only part that is not the product's
        start = time.process_time()
        run = begin(folder, studies)
        begun, at_start = time.process_time() - start, _peak()
        start = time.process_time()
        database = _worked(run, folder, server=server)
        worked = time.process_time() - start
        start = time.process_time()
        with run:
            run.finish()
        finished = time.process_time() - start
        size = sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())
        return SimulatedCost(
            studies, run.spec.shards, begun, worked, finished, at_start, _peak(), size / _MIB, database
        )


def begin(folder: Path, studies: int):
    """Write the start of a run of made-up studies, as that of a real one is written."""
    from pipeline.checks.config_checks import checked_config
    from pipeline.runs.run import Run
    from pipeline.runs.start import prepare_start, write_start
    from pipeline.studies.untrusted.workers import WorkerPool
    from tests.pipeline.planted import plant

    run = {"device": "cpu", "replicates": 200, "workers": 0, "engine": "local"}
    config = plant(folder, 1, run=run, criteria=[{"metric": "accuracy", "at_least": 0.7}])
    with WorkerPool() as pool:
        start = prepare_start(checked_config(config), "benchmark", pool)
    (source,) = start.sources
    sources = tuple(
        replace(source, study=f"S-{number:012d}", patient=f"P-{number:012d}", sha256=digest, image_sha256=digest)
        for number in range(studies)
        for digest in [hashlib.sha256(str(number).encode()).hexdigest()]
    )
    subject = replace(
        start.subject,
        studies={source.study: source.sha256 for source in sources},
        images=tuple(source.sha256 for source in sources),
    )
    path, _, _ = write_start(replace(start, sources=sources, subject=subject))
    del start, sources, subject
    return Run.open(path)


def made_up(_auditor: object, sources: Sequence, on_maps: object = None) -> tuple[list, dict]:
    """Return records as a classifier's audit without masks has them."""
    from pipeline.findings.study_audit import StudyAudit

    shares = [int(source.sha256[:4], 16) / 65536 for source in sources]
    return [
        StudyAudit(
            study=source.study,
            patient=source.patient,
            source_sha256=source.sha256,
            status="analysed",
            predicted=("lesion",) if share > 0.5 else (),
            probabilities={"clear": 1 - share, "lesion": share},
            reference=("lesion",) if share > 0.4 else (),
            strata={"site": "ab"[len(source.study) % 2]},
        )
        for source, share in zip(sources, shares, strict=True)
    ], {}


def _worked(run, folder: Path, *, server: bool) -> float | None:
    """Work all shards, alone or shown on a server; return by how many megabytes its database has grown."""
    from flows.conduct import plainly
    from flows.crews.crew import NO_CREW
    from flows.engines import Engine
    from flows.shards import ShardWork, work_all
    from flows.telling.beside import ALONE, Beside
    from flows.watch import Watcher

    if not server:
        with run:
            work_all(ShardWork(run, Engine(print, "local"), Watcher(), plainly, ALONE, 0), NO_CREW)
        return None
    from prefect import flow
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.audit import _as_tasks
    from flows.server import prefect_server
    from flows.telling.run_page import PrefectPage

    engine = Engine(print)
    with prefect_server() as own, temporary_settings({PREFECT_API_URL: own.wait()}):  # type: ignore[union-attr]
        before = _database(folder)
        work = ShardWork(run, engine, Watcher(), _as_tasks(engine), Beside(PrefectPage(engine)), 0)
        with run:
            flow(name="audit", persist_result=False)(lambda: work_all(work, NO_CREW))()
        time.sleep(30)  # task states go to the server as events, which it takes in afterwards
        return (_database(folder) - before) / _MIB


def _database(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "prefect").glob("prefect.db*"))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def costs(sizes: Sequence[int], *, server: bool) -> Iterator[SimulatedCost]:
    """Yield the cost of each size, each from a process of its own."""
    for studies in sizes:
        command = [sys.executable, "-m", __spec__.name, "--alone", str(studies), *(["--server"] if server else [])]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        yield SimulatedCost(**json.loads(said.splitlines()[-1]))


def extrapolated(smaller: SimulatedCost, larger: SimulatedCost, name: str) -> float:
    """Return what a million studies would take, by the power of the number of studies between two sizes."""
    low, high = (max(float(getattr(cost, name)), 1e-6) for cost in (smaller, larger))
    power = math.log(high / low) / math.log(larger.studies / smaller.studies)
    return high * (ASKED / larger.studies) ** max(power, 1.0)


def main(sizes: Sequence[int], *, server: bool) -> None:
    """Print a line a size, and what a million would take."""
    print("studies, shards: begin, shards, conclusions (CPU s); memory at the start, at most (MiB); folder (MiB)")
    known = []
    for cost in costs(sizes, server=server):
        known.append(cost)
        print(
            f"{cost.studies:,}, {cost.shards}: {cost.begun:.1f}, {cost.worked:.1f}, {cost.finished:.1f}; "
            f"{cost.at_start_mib:.0f}, {cost.peak_mib:.0f}; {cost.folder_mib:.1f}"
        )
        if cost.database_mib is not None:
            each = 1024 * cost.database_mib / cost.shards
            print(f"  Prefect's database: {cost.database_mib:.1f} MiB, {each:.0f} KiB a shard")
    if len(known) > 1:
        hours = sum(extrapolated(*known[-2:], name) for name in ("begun", "worked", "finished")) / _HOUR
        peak = known[-1].peak_mib + (known[-1].peak_mib - known[-2].peak_mib) / (
            known[-1].studies - known[-2].studies
        ) * (ASKED - known[-1].studies)
        print(f"{ASKED:,} studies by that growth: {hours:.1f} CPU hours beside the work, {peak:.0f} MiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", type=int, nargs="*", default=STUDIES)
    parser.add_argument("--server", action="store_true")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        with contextlib.redirect_stdout(sys.stderr):
            cost = simulate(given.studies[0], server=given.server)
        print(json.dumps(vars(cost)))
    else:
        main(given.studies, server=given.server)
