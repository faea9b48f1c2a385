"""What ``camaudit verify`` costs: seconds of the processor, whole process, for a run's folder and for its report alone.

``python -m tests.benchmarks.verifying RUN`` verifies a finished run, such as one of ``camaudit demo``. Of a signed one
the report alone is the signed copy.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

ROUNDS = 5


def main(run: Path) -> None:
    """Print the median of the rounds, and what came out of each, which has to be that nothing is wrong."""
    signed = run / "report-signed.pdf"
    for what in (run, signed if signed.is_file() else run / "report.pdf"):
        costs = [_verified(what) for _ in range(ROUNDS)]
        wall, processor = (median(each) for each in zip(*costs, strict=True))
        print(f"{what.name}: {processor:.1f} s of processor time, {wall:.1f} s")


def _verified(path: Path) -> tuple[float, float]:
    before, started = _processor(), time.perf_counter()
    subprocess.run([sys.executable, "-m", "flows", "verify", str(path)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started, _processor() - before


def _processor() -> float:
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    main(Path(sys.argv[1]))
