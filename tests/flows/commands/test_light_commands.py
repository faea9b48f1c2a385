"""What a command loads: who needs no model holds neither torch nor MONAI, and who only looks holds next to nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.old_runs.make import PRESENT
from tests.pipeline.planted import plant

ROOT = Path(__file__).resolve().parents[3]

WATCHED = (
    "torch",
    "monai",
    "cam",
    "prefect",
    "matplotlib",
    "matplotlib.pyplot",
    "scipy",
    "scipy.stats",
    "pyarrow",
    "pydicom",
    "nibabel",
)

# Each runs behind the others in one process: what it may load beside what those before it have.
COMMANDS = {
    "status RUNS": set(),
    "history RUNS": {"matplotlib"},  # colours and fonts; never its pyplot, which keeps figures in a state of its own
    "compare RUN RUN": {"scipy", "pyarrow"},
    "report RUN -o REPORT": set(),
    "verify RUN": set(),
    "plan CONFIG": {"scipy.stats", "pydicom", "nibabel"},
}

COMMAND = """
import contextlib, io, json, sys
from flows.cli import app
watched, commands = json.loads(sys.argv[1])
for command in commands:
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            code = app(command, standalone_mode=False) or 0
        except SystemExit as end:
            code = end.code or 0
    print(json.dumps([code, [name for name in watched if name in sys.modules]]))
"""

# Modules of the process that begins a run, watches others work it and concludes it.
WATCHING = ("flows.running", "flows.conduct", "flows.crews.dask_cluster", "flows.crews.choice", "pipeline.runs.run")
IMPORT = """
import importlib, json, sys
for name in json.loads(sys.argv[1])[1]:
    importlib.import_module(name)
    print(json.dumps([0, [each for each in json.loads(sys.argv[1])[0] if each in sys.modules]]))
"""


def loaded(program, what, state):
    """Return the exit code of each step of a program, and what it had loaded by then."""
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps([WATCHED, what])],
        cwd=ROOT,
        env=os.environ | {"CAMAUDIT_STATE": str(state), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_each_command_loads(tmp_path):
    run = tmp_path / "runs" / "planted" / json.loads((PRESENT / "run.json").read_text())["run"]
    shutil.copytree(PRESENT, run)
    config = plant(tmp_path / "hospital", 2, criteria=[{"metric": "accuracy", "at_least": 0.5}])
    places = {
        "RUNS": run.parent,
        "RUN": run,
        "REPORT": tmp_path / "report.pdf",
        "CONFIG": config,
    }
    commands = [[str(places.get(word, word)) for word in command.split()] for command in COMMANDS]
    allowed = set()
    for (command, more), (code, modules) in zip(COMMANDS.items(), loaded(COMMAND, commands, tmp_path), strict=True):
        allowed |= more
        assert set(modules) <= allowed, command
        assert code in (0, None) or command.startswith("verify"), command  # the old run has no report


def test_whoever_watches_others_work_holds_no_model(tmp_path):
    for module, (_, modules) in zip(WATCHING, loaded(IMPORT, WATCHING, tmp_path), strict=True):
        assert not {"torch", "monai", "cam", "matplotlib.pyplot", "prefect"} & set(modules), module
