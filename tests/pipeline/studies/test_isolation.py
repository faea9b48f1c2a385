"""Each fault happens for real: in a worker process, by a function of this file."""

import ctypes
import itertools
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import AuditError, Reason, Stage, StudyError
from pipeline.studies.geometry import Geometry
from pipeline.studies.isolation import Limits, isolated_map
from pipeline.studies.study import Study
from pipeline.studies.volume import Mask, Volume

LIMITS = Limits(memory_bytes=2 * 1024**3, cpu_seconds=30, wall_seconds=60)


class Panic(BaseException):
    """What pyo3 raises when Rust panics: no Exception."""


def fail(how: str) -> object:
    """Do what a decoder on a hostile file may do; anything else is answered with itself and the process."""
    if how == "exit":
        os._exit(3)
    if how == "segfault":
        ctypes.string_at(0)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "quit":
        sys.exit("quit")
    if how == "spin":
        while True:
            pass
    if how == "wait":
        os.read(os.pipe()[0], 1)
    if how == "memory":
        return np.zeros(8 * 1024**3, dtype=np.uint8)
    if how == "panic":
        raise Panic("SECRET")
    if how == "error":
        raise ValueError("SECRET")
    if how == "refused":
        raise StudyError(Stage.READ, Reason.OTHER_GRID, "10 x 10 and 12 x 12", excluded=True)
    return how, os.getpid()


def only(how: str, limits: Limits = LIMITS, workers: int = 1) -> StudyError:
    """Return the fault between two tasks that are not harmed by it."""
    before, fault, after = isolated_map(fail, ["before", how, "after"], workers=workers, limits=limits)
    assert (before[0], after[0]) == ("before", "after")
    assert isinstance(fault, StudyError)
    assert fault.stage == Stage.READ
    assert "SECRET" not in str(fault)
    return fault


@pytest.mark.parametrize(
    ("how", "reason", "said"),
    [
        ("exit", Reason.CRASHED, "exit code 3"),
        ("quit", Reason.CRASHED, "exit code 1"),
        ("segfault", Reason.CRASHED, "SIGSEGV"),
        ("killed", Reason.OUT_OF_MEMORY, "the system killed"),
        ("memory", Reason.OUT_OF_MEMORY, "more memory than is allowed"),
        ("panic", Reason.UNEXPECTED, "raised Panic"),
        ("error", Reason.UNEXPECTED, "raised ValueError"),
        ("refused", Reason.OTHER_GRID, "10 x 10 and 12 x 12"),
    ],
)
def test_whatever_happens_to_a_task_is_its_answer(how, reason, said):
    fault = only(how)
    assert fault.reason == reason
    assert said in str(fault)
    assert fault.excluded == (how == "refused")


@pytest.mark.parametrize(
    ("how", "limits", "said"),
    [
        ("spin", Limits(2 * 1024**3, cpu_seconds=1, wall_seconds=60), "processor time"),
        ("wait", Limits(2 * 1024**3, cpu_seconds=60, wall_seconds=0.5), "more than 0.5 s"),
    ],
)
def test_a_task_that_never_ends_is_ended(how, limits, said):
    fault = only(how, limits)
    assert fault.reason == Reason.TIMEOUT
    assert said in str(fault)


def spend(seconds: float) -> float:
    """Take processor time."""
    start = time.process_time()
    while time.process_time() < start + seconds:
        pass
    return seconds


def test_processor_time_counts_for_each_task_alone():
    limits = Limits(2 * 1024**3, cpu_seconds=1, wall_seconds=60)
    assert list(isolated_map(spend, [0.7] * 4, workers=1, limits=limits)) == [0.7] * 4


def test_in_this_process_a_fault_is_an_answer_too():
    found = list(isolated_map(fail, ["one", "panic", "refused"], workers=0, limits=LIMITS))
    assert found[0] == ("one", os.getpid())
    assert [fault.reason for fault in found[1:]] == [Reason.UNEXPECTED, Reason.OTHER_GRID]
    with pytest.raises(SystemExit):
        list(isolated_map(fail, ["quit"], workers=0, limits=LIMITS))


def later(turn: tuple[int, float]) -> tuple[int, int]:
    """Return the number after a while, and the process."""
    number, seconds = turn
    spend(seconds)
    return number, os.getpid()


def test_answers_keep_the_order_and_come_from_several_processes():
    turns = [(number, 0.2 if number % 4 == 0 else 0.01) for number in range(12)]
    found = list(isolated_map(later, turns, workers=2, limits=LIMITS))
    assert [number for number, _ in found] == list(range(12))
    processes = {process for _, process in found}
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_an_endless_list_is_read_a_few_ahead():
    taken = []
    answers = isolated_map(later, ((taken.append(n) or n, 0.0) for n in itertools.count()), workers=2, limits=LIMITS)
    assert [number for number, _ in itertools.islice(answers, 20)] == list(range(20))
    answers.close()
    assert len(taken) <= 20 + 4


def test_leaving_early_does_not_wait_for_what_is_under_way():
    answers = isolated_map(fail, ["now", "wait", "never"], workers=1, limits=LIMITS)
    next(answers)
    start = time.monotonic()
    answers.close()
    assert time.monotonic() - start < 20  # the wall limit is 60


def test_workers_are_kept_for_the_next_call():
    first, second = (dict(isolated_map(fail, ["one"], workers=1, limits=LIMITS))["one"] for _ in range(2))
    assert first == second


@pytest.mark.parametrize("how", ["exit", "memory"])
def test_only_a_process_that_had_read_nothing_is_believed(how, tmp_path):
    """A process that an earlier file has damaged or filled must not speak for the next file."""
    first, second = isolated_map(partial(once, tmp_path / "failed"), ["fine", how], workers=1, limits=LIMITS)
    assert first[0] == "fine"
    assert second[0] == how
    assert first[1] != second[1]


def once(done: Path, how: str) -> object:
    """Fail the first time only."""
    if how == "fine" or done.exists():
        return how, os.getpid()
    done.touch()
    return fail(how)


def make_study(size: int) -> Study:
    """Return a study of ``size`` cubed voxels, the worker's own arrays in it."""
    grid = Geometry((size,) * 3, np.diag([1.0, 2.0, 3.0, 1.0]))
    values = np.arange(size**3, dtype=np.float32).reshape(grid.shape)
    return Study("S-1", "P-1", Volume(values, grid), (Mask(values > 7, grid, "nodule", "anna"),), ("nodule",))


@pytest.mark.parametrize("size", [4, 128])
def test_a_study_arrives_whole_and_read_only(size):
    (found,) = isolated_map(make_study, [size], workers=1, limits=LIMITS)
    same = make_study(size)
    np.testing.assert_array_equal(found.image.array, same.image.array)
    np.testing.assert_array_equal(found.masks[0].array, same.masks[0].array)
    np.testing.assert_array_equal(found.image.geometry.affine, same.image.geometry.affine)
    assert (found.identity, found.reference, found.masks[0].reader) == ("S-1", ("nodule",), "anna")
    assert found.image.array.flags.aligned
    for array in (found.image.array, found.masks[0].array, found.image.geometry.affine):
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)


def open_handles() -> int:
    """Return how many files this process holds open."""
    return len(os.listdir("/dev/fd"))  # noqa: PTH208 - a directory of handles, no files


def test_arrays_leave_nothing_behind_when_they_are_gone():
    list(isolated_map(make_study, [128], workers=1, limits=LIMITS))
    before = open_handles()
    for found in isolated_map(make_study, [128] * 8, workers=1, limits=LIMITS):
        assert found.image.array[0, 0, 1] == 1
    del found
    assert open_handles() == before


def test_reading_studies_loads_no_torch():
    code = "import sys, pipeline.studies.archive; print([n for n in ('torch', 'monai', 'prefect') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def unpicklable(_: int) -> object:
    """Return something that cannot leave."""
    return lambda: None


def test_an_answer_that_cannot_leave_is_a_fault():
    (fault,) = isolated_map(unpicklable, [1], workers=1, limits=LIMITS)
    assert fault.reason == Reason.UNEXPECTED


def test_a_function_that_a_worker_cannot_import_is_said_at_once(monkeypatch):
    monkeypatch.setattr(fail, "__module__", "nowhere")
    monkeypatch.setitem(sys.modules, "nowhere", sys.modules[__name__])
    with pytest.raises(AuditError, match="cannot start: ModuleNotFoundError: No module named 'nowhere'"):
        list(isolated_map(fail, ["one"], workers=1, limits=LIMITS))


CHILD = """
import sys
from functools import partial
from pathlib import Path
from pipeline.studies.isolation import Limits, isolated_map
from tests.pipeline.studies.test_isolation import hold
list(isolated_map(hold, [(sys.argv[1], sys.argv[2])], workers=1, limits=Limits(2**31, 600, 600)))
"""


def hold(where_and_how: tuple[str, str]) -> None:
    """Write the process's number, then never return."""
    where, how = where_and_how
    draft = Path(f"{where}.draft")
    draft.write_text(str(os.getpid()))
    draft.rename(where)
    fail(how)


def within(seconds: float, done) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():
            return True
        os.sched_yield() if hasattr(os, "sched_yield") else None
    return False


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"  # nobody may have reaped it


@pytest.mark.parametrize("how", ["spin", "wait"])
def test_workers_end_with_a_parent_that_is_killed(how, tmp_path):
    where = tmp_path / "process"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, "-c", CHILD, str(where), how], env=environment)
    try:
        assert within(60, where.exists)
        worker = int(where.read_text())
        assert is_running(worker)
    finally:
        parent.kill()
        parent.wait()
    assert within(20, lambda: not is_running(worker))
