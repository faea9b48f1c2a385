"""Several processes beside one: ``python -m tests.benchmarks.runs.engines [STUDIES] [--densenet] [--threads N]``.

Small studies of 64 x 64 x 64 voxels are audited from nothing with ``run.processes`` 1 and 2, in turn: by a network that
costs next to nothing, so that start, conclusions and report weigh most, or by DenseNet121. Wall time is what is asked;
the seconds that processors worked stand beside it, since the second process loads the model once more.

One process is not one core: files are read in another process, maps are scored in a thread behind the model, and torch
takes all cores unless ``--threads`` says otherwise. So the cores that it kept busy are printed, and the most that two
processes could gain: its wall time, over the processor time of both shared out on all cores.
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
from pathlib import Path

from tests.benchmarks.audit_loop import write_archive

ROOT = Path(__file__).resolve().parents[3]
STUDIES, ROUNDS = 400, 3
DENSENET = """
import torch
from monai.networks.nets import DenseNet121

def build():
    torch.manual_seed(0)
    return DenseNet121(spatial_dims=3, in_channels=1, out_channels=2)
"""


def seconds(config: Path, processes: int, threads: int | None) -> tuple[float, float]:
    """Run an audit from nothing, torch with so many threads (None: its own choice); return wall and processor time."""
    shutil.rmtree(config.parent / "runs", ignore_errors=True)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    environment |= {"CAMAUDIT_STATE": str(config.parent / "state"), "PYTHONPATH": str(ROOT)}
    environment |= {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    chosen = ("run.engine=local", f"run.processes={processes}", "run.shard_size=10")
    settings = [part for setting in chosen for part in ("--set", setting)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "flows", "run", str(config), "--quiet", *settings]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - start, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main(studies: int, *, densenet: bool, threads: int | None) -> None:
    """Print wall and processor time by processes, the median of the paired ratios, and what there was to be gained."""
    with tempfile.TemporaryDirectory() as folder:
        config = write_archive(Path(folder), studies)
        if densenet:
            (Path(folder) / "planted_network.py").write_text(DENSENET)
            config.write_text(config.read_text().replace("layers: '2'", "layers: auto"))
        rounds = [(seconds(config, 1, threads), seconds(config, 2, threads)) for _ in range(ROUNDS)]
    cores = len(os.sched_getaffinity(0))
    for (wall, worked), (shared_wall, shared_worked) in rounds:
        print(
            f"wall {wall:.1f} and {shared_wall:.1f} s, processors {worked:.1f} and {shared_worked:.1f} s, "
            f"cores busy {worked / wall:.2f} and {shared_worked / shared_wall:.2f}"
        )
    faster = statistics.median(alone[0] / shared[0] for alone, shared in rounds)
    most = statistics.median(alone[0] * cores / shared[1] for alone, shared in rounds)
    print(f"two processes: {faster:.2f} times faster, {most:.2f} at most ({studies} studies, {cores} cores)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("studies", type=int, nargs="?", default=STUDIES)
    parser.add_argument("--densenet", action="store_true")
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    main(given.studies, densenet=given.densenet, threads=given.threads)
