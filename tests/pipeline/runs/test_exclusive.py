import errno
import json
import os
import re
import socket
import subprocess
import sys

import pytest

from pipeline.errors import OutputError
from pipeline.runs.exclusive import exclusive
from tests.pipeline.findings.custody.at_once import at_once


def held(folder, said=None):
    return exclusive(folder, (said if said is not None else []).append)


@pytest.fixture
def left(tmp_path):
    """Write what a process left behind that did not release the folder."""
    with held(tmp_path):
        mine = json.loads((tmp_path / ".running").read_text())
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()

    def write(**changes):
        (tmp_path / ".running").write_text(json.dumps({**mine, "process": ended.pid, **changes}))

    return write


def test_a_second_holder_is_told_who_and_since_when(tmp_path):
    with held(tmp_path / "audit"):
        expected = rf"is held by process {os.getpid()} on {re.escape(socket.gethostname())} since 20\d\d-\d\d-\d\dT"
        with pytest.raises(OutputError, match=expected + r"\d\d:\d\d:\d\dZ; wait for it or stop it$"):
            held(tmp_path / "audit").__enter__()
    assert list((tmp_path / "audit").iterdir()) == []
    with held(tmp_path / "audit"):
        pass


def test_it_is_released_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), held(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_process_left_is_taken_over_with_a_line(tmp_path, left):
    left()
    said = []
    with held(tmp_path, said):
        pass
    assert len(said) == 1
    assert "which has ended" in said[0]


def test_a_process_with_the_number_of_a_dead_one_does_not_hold(tmp_path, left):
    left(process=os.getpid(), started="another time")
    said = []
    with held(tmp_path, said):
        assert len(said) == 1


def test_a_process_whose_start_is_not_known_holds(tmp_path, left):
    left(process=os.getpid(), started=None)
    with pytest.raises(OutputError, match=r"wait for it or stop it$"):
        held(tmp_path).__enter__()


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"world": "pid:[1]"}])
def test_a_process_elsewhere_is_refused_and_how_to_remove_it_is_told(tmp_path, left, change):
    left(**change)
    with pytest.raises(OutputError, match=rf"if it has ended, remove {re.escape(str(tmp_path))}/\.running"):
        held(tmp_path).__enter__()
    (tmp_path / ".running").unlink()
    with held(tmp_path):
        pass


@pytest.mark.parametrize("content", ["rubbish", "[]", '{"host": 1}', "\0\0"])
def test_a_file_that_names_nobody_is_refused(tmp_path, content):
    (tmp_path / ".running").write_text(content)
    with pytest.raises(OutputError, match="does not say which process"):
        held(tmp_path).__enter__()


def test_of_processes_that_take_over_at_once_one_holds(tmp_path, left):
    left()
    script = """
import time
from pathlib import Path
from pipeline.errors import OutputError
from pipeline.runs.exclusive import exclusive
answers = Path(sys.argv[2])
started()
try:
    with exclusive(Path(sys.argv[1]), lambda line: None):
        print("held")
        while len(list(answers.iterdir())) < 3:  # until the others have been refused
            time.sleep(0.01)
except OutputError as error:
    Path(answers, str(os.getpid())).touch()
    print("refused" if "is held by process" in str(error) else error)
"""
    answers = tmp_path / "answers"
    answers.mkdir()
    assert sorted(at_once(f"import os\n{script}", 4, tmp_path, answers)) == ["held", *["refused"] * 3]
    assert not (tmp_path / ".running").exists()


def test_a_process_that_only_waits_to_be_reaped_does_not_hold(tmp_path, left):
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    left(process=child.pid, started=None)
    said = []
    with held(tmp_path, said):
        assert len(said) == 1
    child.wait()


def test_a_full_disk_is_said_and_leaves_nothing_that_refuses_the_next_run(tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match=r"cannot be written: No space left on device$"):
            held(tmp_path).__enter__()
    said = []
    with held(tmp_path, said):
        assert said == []
