"""What a night costs that brings nothing new: seconds of the whole command, and bytes on the disk.

``python -m tests.benchmarks.quiet_night`` makes an archive of 200 small studies, audits it once, and then asks for
news five times.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.pipeline.planted import plant

STUDIES, NIGHTS = 200, 5


def main() -> None:
    """Print the median of the nights' wall and processor seconds, and the bytes of the dearest."""
    with tempfile.TemporaryDirectory() as folder:
        config = plant(Path(folder), STUDIES, explain={"methods": ["gradcam"]})
        run(config)
        nights = [run(config) for _ in range(NIGHTS)]
    wall, processor, grown = zip(*nights, strict=True)
    print(f"{STUDIES} studies, nothing new: {median(wall):.1f} s ({median(processor):.1f} s of processor time)")
    print(f"on the disk: {max(grown)} bytes a night at most")


def run(config: Path) -> tuple[float, float, int]:
    """Run the audit where something is new; return wall seconds, processor seconds, and by how many bytes it grew."""
    command = [sys.executable, "-m", "flows", "run", str(config), "--if-new", "--quiet", "--set", "run.engine=local"]
    before, started, used = _size(config.parent), time.perf_counter(), _processor()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started, _processor() - used, _size(config.parent) - before


def _processor() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
