"""Several processes beside one: ``python -m tests.benchmarks.runs.engines [STUDIES]``.

Small studies of 64 x 64 x 64 voxels are audited from nothing with ``run.processes`` 1 and 2, in turn. Wall time is what
is asked; the seconds that processors worked stand beside it, since the second process loads the model once more.
"""

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


def seconds(config: Path, processes: int) -> tuple[float, float]:
    """Run an audit from nothing; return its wall time and its processor time."""
    shutil.rmtree(config.parent / "runs", ignore_errors=True)
    environment = {**os.environ, "CAMAUDIT_STATE": str(config.parent / "state"), "PYTHONPATH": str(ROOT)}
    chosen = ("run.engine=local", f"run.processes={processes}", "run.shard_size=10")
    settings = [part for setting in chosen for part in ("--set", setting)]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "flows", "run", str(config), "--quiet", *settings]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - start, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main(studies: int) -> None:
    """Print wall and processor time by processes, and the median of the paired ratios."""
    with tempfile.TemporaryDirectory() as folder:
        config = write_archive(Path(folder), studies)
        rounds = [(seconds(config, 1), seconds(config, 2)) for _ in range(ROUNDS)]
    for (wall, worked), (shared_wall, shared_worked) in rounds:
        print(f"wall {wall:.1f} and {shared_wall:.1f} s, processors {worked:.1f} and {shared_worked:.1f} s")
    faster = statistics.median(alone[0] / shared[0] for alone, shared in rounds)
    print(f"two processes: {faster:.2f} times faster ({studies} studies, {len(os.sched_getaffinity(0))} cores)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES)
