"""Make the finished run of the present version: ``python -m tests.old_runs.make``.

Needed once for each version of a schema, when it is new. What has been committed is never made again: it stands for
what users have on their disks.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from pipeline.findings.results import SCHEMA_VERSION
from pipeline.findings.spec import SPEC_VERSION

__all__ = ["PRESENT", "make"]

PRESENT = Path(__file__).resolve().parent / f"run{SPEC_VERSION}-results{SCHEMA_VERSION}"
_PRIVATE = "private"


def make(target: Path) -> None:
    """Audit a small planted archive and keep what a run leaves but what is private: that names the archive's files."""
    from camaudit import audit
    from tests.pipeline.planted import plant

    with tempfile.TemporaryDirectory() as folder:
        os.environ["CAMAUDIT_STATE"] = os.environ["CAMAUDIT_REGISTER"] = f"{folder}/state"
        config = plant(Path(folder) / "audit", 3, explain={"methods": ["gradcam", "hirescam"]})
        run = audit(config)
        shutil.copytree(run.folder, target, ignore=shutil.ignore_patterns(_PRIVATE, "*.pdf"))


if __name__ == "__main__":
    if PRESENT.exists():
        sys.exit(f"{PRESENT.name} is there already; a new version of a schema gets a folder of its own")
    make(PRESENT)
