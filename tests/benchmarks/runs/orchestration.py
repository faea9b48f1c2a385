"""What many studies cost beside the work on them: ``python -m tests.benchmarks.runs.orchestration [STUDIES ...]``.

A manifest lists so many studies of one image. Each study's record is made up, and all else is the product's own:
listing, hashes, pseudonyms, the model's check, register, cohort, shards, claims, ledger, records, conclusions. The
start, the shards and the conclusions of each size have a process of their own, and so has the client of a cluster,
which leads another such run from the listing to the report and holds no model. Their times and peaks of memory are
printed, with what each had before its first study, and what a million would take by the growth between the two
largest sizes. With ``--server`` the shards are also shown on a Prefect server, and its database's growth is printed.
``--part client --folder FOLDER`` leads one such run alone.
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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

STUDIES = (10_000, 100_000)
ASKED = 1_000_000
_MIB, _HOUR = 2**20, 3600


PARTS = ("begin", "shards", "conclusions", "client")
_A_FEW = 8


@dataclass(frozen=True)
class PartCost:
    """Seconds of processor time of a part of a run, and megabytes: of its process before the first study, and at most.

    ``folder_mib`` is the run's folder after it, ``database_mib`` by how much Prefect's database has grown.
    """

    studies: int
    part: str
    shards: int
    seconds: float
    bare_mib: float
    peak_mib: float
    folder_mib: float
    database_mib: float | None = None


def cost_of(part: str, studies: int, folder: Path, *, server: bool) -> PartCost:
    """Do a part of a run of so many studies in this process; the parts before it left their files in ``folder``.

    It is done for a run of a few studies first, which loads what it needs.
    """
    os.environ |= {"CAMAUDIT_STATE": str(folder / "state"), "PREFECT_HOME": str(folder / "prefect")}
    os.environ |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_LOGGING_LEVEL": "WARNING"}
    _do(part, folder / "bare", _A_FEW, server=False)
    bare, start = _peak(), time.process_time()
    run, database = _do(part, folder / "many", studies, server=server)
    seconds = time.process_time() - start
    size = sum(path.stat().st_size for path in run.folder.rglob("*") if path.is_file())
    return PartCost(studies, part, run.spec.shards, seconds, bare, _peak(), size / _MIB, database)


def _do(part: str, folder: Path, studies: int, *, server: bool):
    """Do a part of the run below ``folder``; return the run, and how many megabytes a server's database has grown."""
    if part == "begin":
        return begin(folder, studies), None
    if part == "client":
        return lead(folder, studies), None
    from pipeline.runs.run import Run

    (place,) = (folder / "runs" / "planted").glob("*/run.json")
    run = Run.open(place.parent)
    if part == "shards":
        from pipeline.runs.shared import worker

        worker.audit_in_turn = made_up_in_turn  # the only part that is not the product's
        return run, _worked(run, folder.parent, server=server)
    from flows.apart.with_model import ask_again_apart

    with run:
        run.finish(ask_model=partial(ask_again_apart, run))
    return run, None


def begin(folder: Path, studies: int):
    """Create a run of a manifest of so many studies, all of one image."""
    from pipeline.checks.config_checks import checked_config
    from pipeline.runs.run import Run
    from pipeline.runs.start_watch import StartWatch
    from pipeline.studies.untrusted.workers import WorkerPool

    loaded = checked_config(listed(folder, studies, "planted"))
    with WorkerPool() as pool, Run.create(loaded, "benchmark", watch=StartWatch(pool)) as run:
        return run


def lead(folder: Path, studies: int):
    """Lead a run as the client of a cluster does, from the listing to the report; another process works its shards."""
    from flows.apart.with_model import begun_apart
    from flows.conduct import conduct, plainly
    from flows.crews.crew import Crew
    from flows.engines import Engine
    from flows.request import AuditRequest
    from flows.telling.beside import Beside
    from flows.watch import Watcher
    from pipeline.checks.config_checks import checked_config

    run = begun_apart(AuditRequest(checked_config(listed(folder, studies, "led")), "benchmark"), Watcher())
    crew = Crew("a process", _working, leads=False)
    conduct(run, Engine(print, "local"), Watcher(), plainly, Beside(crew=crew))
    return run


@contextlib.contextmanager
def _working(run: Path) -> Iterator[Callable[[], bool]]:
    """Have a process of its own work a run, whose records are made up."""
    with subprocess.Popen([sys.executable, "-m", __spec__.name, "--work", str(run)]) as worker:
        yield lambda: worker.poll() is None


def work(run: Path) -> None:
    """Join a run as ``camaudit work`` does, and make its records up."""
    from flows.working import work_shards
    from pipeline.runs.shared import worker

    worker.audit_in_turn = made_up_in_turn
    work_shards(run)


def listed(folder: Path, studies: int, name: str) -> Path:
    """Write a manifest of so many studies of one image and a configuration of that ``name``; return its path."""
    from tests.pipeline.planted import plant

    settings = {"device": "cpu", "replicates": 200, "workers": 0, "engine": "local"}
    criteria = [{"metric": "accuracy", "at_least": 0.7}]
    config = plant(folder / name, 1, name=name, run=settings | {"output": str(folder / "runs")}, criteria=criteria)
    with (folder / name / "archive" / "manifest.csv").open("w") as file:
        file.write("study,patient,image,label,site\n")
        file.writelines(
            f"study{number:09},patient{number // 2:09},study00.nii.gz,{'lesion' * (number % 5 < 3)},{number % 7}\n"
            for number in range(studies)
        )
    return config


def made_up_in_turn(first, upcoming):
    """Yield the records of a shard's studies, and have the next shard at hand by then, as the product does."""
    while first is not None:
        following = upcoming()
        yield made_up(first.sources)
        first = following


def made_up(sources: Sequence) -> tuple[list, dict]:
    """Return records as a classifier's audit without masks has them."""
    from pipeline.findings.study_audit import StudyAudit

    shares = [int(hashlib.sha256(source.study.encode()).hexdigest()[:4], 16) / 65536 for source in sources]
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
            work_all(ShardWork(run, Engine(print, "local"), Watcher(), plainly, ALONE), NO_CREW)
        return None
    from prefect import flow
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.audit import _as_tasks
    from flows.server import prefect_server
    from flows.telling.run_page import PrefectPage

    engine = Engine(print)
    with prefect_server() as own, temporary_settings({PREFECT_API_URL: own.wait()}):  # type: ignore[union-attr]
        before = _database(folder)
        work = ShardWork(run, engine, Watcher(), _as_tasks(engine), Beside(PrefectPage(engine)))
        with run:
            flow(name="audit", persist_result=False)(lambda: work_all(work, NO_CREW))()
        time.sleep(30)  # task states go to the server as events, which it takes in afterwards
        return (_database(folder) - before) / _MIB


def _database(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "prefect").glob("prefect.db*"))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def costs(sizes: Sequence[int], *, server: bool) -> Iterator[PartCost]:
    """Yield the cost of each part of each size, each from a process of its own."""
    for studies in sizes:
        with tempfile.TemporaryDirectory() as folder:
            for part in PARTS:
                command = [sys.executable, "-m", __spec__.name, "--part", part, "--folder", f"{folder}", str(studies)]
                given = [*command, *(["--server"] if server else [])]
                said = subprocess.run(given, check=True, stdout=subprocess.PIPE, text=True).stdout
                yield PartCost(**json.loads(said.splitlines()[-1]))


def extrapolated(smaller: PartCost, larger: PartCost) -> tuple[float, float]:
    """Return the seconds and megabytes of a part of a run of a million studies.

    Seconds grow by the power of the number of studies between two sizes, at least by the first; megabytes by a line.
    """
    power = math.log(max(larger.seconds, 1e-6) / max(smaller.seconds, 1e-6)) / math.log(
        larger.studies / smaller.studies
    )
    slope = (larger.peak_mib - smaller.peak_mib) / (larger.studies - smaller.studies)
    seconds = larger.seconds * (ASKED / larger.studies) ** max(power, 1.0)
    return seconds, larger.peak_mib + slope * (ASKED - larger.studies)


def main(sizes: Sequence[int], *, server: bool) -> None:
    """Print a line for each part of each size, and what a million would take."""
    known: dict[str, list[PartCost]] = {part: [] for part in PARTS}
    for cost in costs(sizes, server=server):
        known[cost.part].append(cost)
        print(
            f"{cost.studies:,} studies, {cost.shards} shards, {cost.part}: {cost.seconds:.1f} CPU s; "
            f"{cost.bare_mib:.0f} MiB before, {cost.peak_mib:.0f} MiB at most; folder {cost.folder_mib:.1f} MiB",
            flush=True,
        )
        if cost.database_mib is not None:
            each = 1024 * cost.database_mib / cost.shards
            print(f"  Prefect's database: {cost.database_mib:.1f} MiB, {each:.0f} KiB a shard")
    for part, parts in known.items():
        if len(parts) > 1:
            seconds, peak = extrapolated(*parts[-2:])
            each = 1024 * (parts[-1].peak_mib - parts[-2].peak_mib) / (parts[-1].studies - parts[-2].studies)
            print(f"{ASKED:,} studies by that growth, {part}: {seconds / _HOUR:.2f} CPU hours, {peak:.0f} MiB ", end="")
            print(f"({each:.2f} KiB a study)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", type=int, nargs="*", default=STUDIES)
    parser.add_argument("--server", action="store_true")
    parser.add_argument("--part", choices=PARTS, help="this part of one size alone; needs --folder")
    parser.add_argument("--folder", type=Path, help="where the parts before it left their files; the client needs none")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part and given.folder is None:
        parser.error("--part needs --folder")
    if given.work:
        work(given.work)
    elif given.part:
        with contextlib.redirect_stdout(sys.stderr):
            cost = cost_of(given.part, given.studies[0], given.folder, server=given.server)
        print(json.dumps(vars(cost)))
    else:
        main(given.studies, server=given.server)
