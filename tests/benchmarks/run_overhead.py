"""A whole run's processor time beside another revision's: ``python -m tests.benchmarks.run_overhead REVISION``.

Both trees audit the same small studies with the same interpreter, each from nothing, in turn; the children's user and
system seconds count, so a busy machine blurs little. The figure is the median of the paired ratios.
"""

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.pipeline.planted import plant

ROOT = Path(__file__).resolve().parents[2]
STUDIES, ROUNDS = 400, 3


def cpu_seconds(tree: Path, config: Path, state: Path) -> float:
    """Run an audit from nothing with the sources of a tree; return the seconds of its processes."""
    shutil.rmtree(config.parent / "runs", ignore_errors=True)
    environment = {**os.environ, "CAMAUDIT_STATE": str(state), "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "flows", "run", str(config), "--quiet", "--set", "run.engine=local"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=tree, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Print each round's seconds, and the median ratio."""
    revision = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "other"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", str(other), revision], cwd=ROOT, check=True)
        try:
            config = plant(Path(folder) / "audit", STUDIES, report={"cases": {"worst": 1, "best": 1, "random": 1}})
            ratios = []
            for number in range(ROUNDS):
                trees = (ROOT, other) if number % 2 == 0 else (other, ROOT)
                spent = {tree: cpu_seconds(tree, config, Path(folder) / f"state{number}") for tree in trees}
                ratios.append(spent[ROOT] / spent[other])
                print(f"round {number + 1}: {spent[ROOT]:.1f} s here, {spent[other]:.1f} s at {revision}")
            print(f"{STUDIES} studies: {statistics.median(ratios):.3f} times the processor time of {revision}")
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(other)], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
