"""A call in a process of its own: what it returns, raises and tells comes here, and no process is left behind."""

import os
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe
from pathlib import Path

import pytest

from flows.apart import own_process
from flows.apart.own_process import in_own_process
from pipeline.errors import AuditError, ConfigError, InternalError, OutputError
from pipeline.findings.custody.chain import LedgerError, LedgerFault
from pipeline.runs.run import Run


def process_and_sum(first, second, tell):
    tell("begun")
    return os.getpid(), first + second


def test_the_answer_of_another_process():
    heard = []
    process, total = in_own_process(process_and_sum, 2, 3, hear=heard.append)
    assert total == 5
    assert process != os.getpid()
    assert heard == ["begun"]


def raising(kind, _tell):
    if kind == "library":
        import a_module_that_is_not_there  # noqa: F401
    if kind == "fault":
        raise KeyError("SECRET^PETER")
    if kind == "ledger":
        raise LedgerError(LedgerFault.KEY, "another key")
    if kind == "odd":
        raise OddError("a", "b")
    raise ConfigError("run.seed: must be 1")


class OddError(OutputError):
    """One that an exception's default way of travelling cannot take along."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def raised(kind):
    with pytest.raises((AuditError, InternalError)) as caught:
        in_own_process(raising, kind, hear=pytest.fail)
    return caught.value


def test_errors_are_those_that_were_raised():
    assert type(raised("config")) is ConfigError
    assert str(raised("config")) == "run.seed: must be 1"
    assert raised("ledger").fault is LedgerFault.KEY
    assert str(raised("odd")) == "a and b"
    fault = raised("fault")
    assert type(fault) is InternalError
    assert fault.kind == "KeyError"
    assert "SECRET" not in str(fault)
    assert raised("library").__cause__.name == "a_module_that_is_not_there"  # its extra can be named


def dying(_tell):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies_is_told_of_in_a_line():
    with pytest.raises(AuditError, match=r"ended before it was done \(SIGKILL; the system does so where memory runs"):
        in_own_process(dying, hear=pytest.fail)


def waiting(folder, tell):
    (folder / "begun").write_text(str(os.getpid()))
    try:
        tell("begun")
        time.sleep(600)
    finally:
        (folder / "put in order").touch()


PARENT = """
import sys
from pathlib import Path
from flows.apart.own_process import in_own_process
from flows.commands.ending import one_line_at_the_end
from tests.flows.apart.test_own_process import waiting
with one_line_at_the_end(debug=False):
    in_own_process(waiting, Path(sys.argv[1]), hear=lambda _: print("begun", flush=True))
"""


def is_gone(process):
    for _ in range(200):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_whoever_ends_the_one_that_waits_ends_the_other_in_order(tmp_path, number, code):
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(root)}  # a command that ran here may have made the path a safe one
    parent = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == "begun\n", parent.stderr.read()
    parent.send_signal(number)
    _, said = parent.communicate()
    assert parent.returncode == code
    assert is_gone(int((tmp_path / "begun").read_text()))
    assert (tmp_path / "put in order").exists()
    assert said.splitlines() == (
        []
        if number == signal.SIGKILL
        else ["camaudit: interrupted; what was finished is kept: run the same command again to go on"]
    )


def test_a_process_that_is_never_told_what_to_call_ends_without_a_word(capfd):
    """Who started it was ended before he could say. A terminal's Ctrl-C, which ends him so, is not for the other."""
    ours, theirs = Pipe()
    with theirs:
        process = own_process._started(theirs.fileno())
    assert os.getpgid(process.pid) == process.pid
    ours.close()
    assert process.wait() == 0
    process.stdin.close()
    assert capfd.readouterr().err == ""


def test_a_process_that_dies_while_it_makes_a_run_leaves_no_folder(tmp_path):
    """What it had written may name files of the archive, and neither ``prune`` nor the next run would look at it."""
    audits = tmp_path / "runs" / "planted"

    def make(name, *files):
        (audits / name).mkdir(parents=True)
        for file in files:
            (audits / name / file).touch()
        raise AuditError("a process of this run ended before it was done (SIGKILL)")

    for name, files, is_left in (("1-half", ["run.json"], False), ("2-begun", ["run.json", "ledger.jsonl"], True)):
        with pytest.raises(AuditError, match="SIGKILL"):
            Run.made_by(lambda name=name, files=files: make(name, *files), audits, pytest.fail)
        assert (audits / name).exists() is is_left
    with pytest.raises(AuditError, match="SIGKILL"):
        Run.made_by(lambda: make(".working"), audits, pytest.fail)
    assert sorted(path.name for path in audits.iterdir()) == [".working", "2-begun"]
