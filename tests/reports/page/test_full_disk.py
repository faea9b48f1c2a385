"""A disk that is full while a report is written: an error to be told, and no end of the process in qpdf."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

resource = pytest.importorskip("resource")

CODE = """
import resource, signal, sys
from pathlib import Path
from pipeline.errors import OutputError
from reports.pdf import render
from tests.reports import example
example.write_run(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = render(Path(sys.argv[1])).stat().st_size
Path(sys.argv[1], "report.pdf").unlink()
for share in (2, 5):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size * share // 6, resource.RLIM_INFINITY))
    try:
        render(Path(sys.argv[1]))
    except OutputError as error:
        print(str(error).partition("cannot be written")[2], [p.name for p in Path(sys.argv[1]).glob("*report*")])
"""


def test_it_is_one_line_and_leaves_nothing(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, " (File too large) []\n" * 2), done.stderr[-500:]
