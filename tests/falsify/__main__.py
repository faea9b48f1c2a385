"""``python -m tests.falsify``: falsify a planted audit in every known way, and print what detects it."""

import os
import sys
import tempfile
import time
from pathlib import Path

import torch

from pipeline.studies.untrusted.workers import WorkerPool
from tests.falsify.all import FALSIFICATIONS
from tests.falsify.falsification import Falsification
from tests.falsify.world import World, copied, make_world, of_its_own


def what_is_said(falsification: Falsification, world: World, root: Path) -> str:
    """Falsify a copy of a world, and return what is said of it."""
    copy = copied(world, root)
    with of_its_own(root):
        falsification.falsify(copy)
        return falsification.detect(copy)


def main() -> None:
    """Print a line for each falsification, and how many were detected."""
    torch.set_num_threads(1)
    wanted = sys.argv[1:]
    chosen = [each for each in FALSIFICATIONS if not wanted or any(word in each.name for word in wanted)]
    detected, start = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as name, WorkerPool() as pool:
        world = make_world(Path(name) / "world", pool)
        for number, falsification in enumerate(chosen):
            said = what_is_said(falsification, world, Path(name) / str(number))
            right = falsification.is_detected(said)
            detected += right
            shown = said.replace(name, "") or "nothing"
            print(f"{'detected' if right else 'MISSED  '}  {falsification.name}: {shown[:160]}")
            if not right:
                print(f"          expected: {falsification.says}")
    print(f"{detected} of {len(chosen)} falsifications detected, {time.monotonic() - start:.0f} s")
    sys.exit(detected < len(chosen))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
