"""What a second core brings: ``python -m tests.benchmarks.runs.engines [STUDIES] [--densenet] [--threads N]``.

Small studies of 64 x 64 x 64 voxels are audited from nothing, in turn by one process that is confined to one core, by
one process that may use all cores, and by as many processes as there are cores (``run.processes``): with a network that
costs next to nothing, so that start, conclusions and report weigh most, or with DenseNet121. Wall time is what is
asked; the seconds that processors worked stand beside it, since each further process loads the model once more.

One process is not one core: files are read in another process, maps are scored in a thread behind the model, and torch
takes all cores unless ``--threads`` says otherwise. So all three ratios are printed, each the median of ``--rounds``
paired runs, and what of the wall time no process shares: until the run's folder is written, and once its last shard is.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from tests.benchmarks.audit_loop import write_archive

ROOT = Path(__file__).resolve().parents[3]
STUDIES, ROUNDS = 400, 3
ON_CORES = """
import os, sys
os.sched_setaffinity(0, map(int, sys.argv[1].split(",")))
os.execv(sys.argv[2], sys.argv[2:])
"""
DENSENET = """
import torch
from monai.networks.nets import DenseNet121

def build():
    torch.manual_seed(0)
    return DenseNet121(spatial_dims=3, in_channels=1, out_channels=2)
"""


@dataclass(frozen=True)
class AuditTime:
    """What an audit took: by the clock, of processors, and by the clock before its first shard and after its last."""

    wall: float
    worked: float
    before: float
    after: float

    def __str__(self) -> str:
        shards = self.wall - self.before - self.after
        return (
            f"{self.wall:.1f} s ({self.before:.1f} before, {shards:.1f} with, {self.after:.1f} after the shards; "
            f"{self.worked:.1f} s of processors)"
        )


def seconds(config: Path, processes: int, cores: Collection[int], threads: int | None) -> AuditTime:
    """Run an audit from nothing on some cores, torch with so many threads (None: its own choice)."""
    shutil.rmtree(config.parent / "runs", ignore_errors=True)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment |= {"CAMAUDIT_STATE": str(config.parent / "state"), "PYTHONPATH": str(ROOT)}
    environment |= {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    chosen = ("run.engine=local", f"run.processes={processes}", "run.shard_size=10")
    settings = [part for setting in chosen for part in ("--set", setting)]
    command = [sys.executable, "-c", ON_CORES, ",".join(map(str, cores))]
    command += [sys.executable, "-m", "flows", "run", str(config), "--quiet", *settings]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    worked = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    (spec,) = config.parent.glob("runs/*/*/run.json")
    last = max(path.stat().st_mtime for path in (spec.parent / "shards").iterdir())
    return AuditTime(end - start, worked, spec.stat().st_mtime - start, end - last)


def main(studies: int, rounds: int, *, densenet: bool, threads: int | None) -> None:
    """Print what each way of working took, and the medians of the paired ratios."""
    cores = sorted(os.sched_getaffinity(0))
    ways = {
        "one process on one core": (1, cores[:1]),
        "one process": (1, cores),
        f"{len(cores)} processes": (len(cores), cores),
    }
    with tempfile.TemporaryDirectory() as folder:
        config = write_archive(Path(folder), studies)
        if densenet:
            (Path(folder) / "planted_network.py").write_text(DENSENET)
            config.write_text(config.read_text().replace("layers: '2'", "layers: auto"))
        taken: dict[str, list[AuditTime]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, (processes, on) in ways.items():
                taken[way].append(seconds(config, processes, on, threads))
                print(f"{way}: {taken[way][-1]}", flush=True)
    for slow, fast in combinations(ways, 2):
        faster = statistics.median(left.wall / right.wall for left, right in zip(taken[slow], taken[fast], strict=True))
        print(f"{fast}: {faster:.2f} times as fast as {slow} ({studies} studies, {len(cores)} cores)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", type=int, nargs="?", default=STUDIES)
    parser.add_argument("--densenet", action="store_true")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args()
    main(given.studies, given.rounds, densenet=given.densenet, threads=given.threads)
