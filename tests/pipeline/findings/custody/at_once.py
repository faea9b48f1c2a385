"""Several processes that do the same at the same moment."""

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_STARTED = """
import sys
def started():
    print("ready", flush=True)
    sys.stdin.readline()
"""


def at_once(script, count, *arguments):
    """Run a script in several processes and return what each prints.

    What stands before its ``started()`` is done by each in its own time; what follows, by all at once.
    """
    command = [sys.executable, "-c", _STARTED + script, *map(str, arguments)]
    processes = [
        subprocess.Popen(command, cwd=_ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(count)
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        outputs = [process.communicate()[0].strip() for process in processes]
        assert [process.returncode for process in processes] == [0] * count
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return outputs
