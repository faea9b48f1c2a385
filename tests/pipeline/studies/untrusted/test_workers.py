"""Each fault happens for real: in a worker process, by a function of ``misbehaving``. What hangs, hangs for ever."""

import itertools
import os
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from pipeline.errors import AuditError, Reason, Stage, StudyError
from pipeline.studies.geometry import Geometry
from pipeline.studies.study import Study
from pipeline.studies.untrusted import worker_process
from pipeline.studies.untrusted.workers import Limits, WorkerPool, isolated_map
from pipeline.studies.volume import Mask, Volume
from tests.pipeline.studies.misbehaving import fail, hold, meet, once, spend, unpicklable

NEVER = 10.0**6  # seconds
LIMITS = Limits(memory_bytes=2 * 1024**3, cpu_seconds=10**6, wall_seconds=NEVER)


@pytest.fixture(scope="module")
def pool():
    with WorkerPool() as pool:
        yield pool


def mapped(function, arguments, pool, workers=1, limits=LIMITS):
    return isolated_map(function, arguments, workers=workers, limits=limits, pool=pool)


def fault_of(how, pool, limits=LIMITS):
    """Return the fault between two tasks that are not harmed by it."""
    before, fault, after = mapped(fail, ["before", how, "after"], pool, limits=limits)
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
def test_whatever_happens_to_a_task_is_its_answer(how, reason, said, pool):
    fault = fault_of(how, pool)
    assert fault.reason == reason
    assert said in str(fault)
    assert fault.excluded == (how == "refused")


def test_a_task_that_takes_too_much_processor_time_is_ended(pool):
    fault = fault_of("spin", pool, Limits(2 * 1024**3, cpu_seconds=1, wall_seconds=NEVER))
    assert fault.reason == Reason.TIMEOUT
    assert "processor time" in str(fault)


def test_a_task_that_waits_for_ever_is_ended(pool):
    (fault,) = mapped(fail, ["wait"], pool, limits=Limits(2 * 1024**3, cpu_seconds=60, wall_seconds=0.5))
    assert fault.reason == Reason.TIMEOUT
    assert "more than 0.5 s" in str(fault)
    assert next(iter(mapped(fail, ["after"], pool)))[0] == "after"


def test_processor_time_counts_for_each_task_alone(pool):
    limits = Limits(2 * 1024**3, cpu_seconds=1, wall_seconds=NEVER)
    assert list(mapped(spend, [0.7] * 4, pool, limits=limits)) == [0.7] * 4


def test_in_this_process_a_fault_is_an_answer_too():
    answers = list(isolated_map(fail, ["one", "panic", "refused"], workers=0, limits=LIMITS))
    assert answers[0] == ("one", os.getpid())
    assert [fault.reason for fault in answers[1:]] == [Reason.UNEXPECTED, Reason.OTHER_GRID]
    with pytest.raises(SystemExit):
        list(isolated_map(fail, ["quit"], workers=0, limits=LIMITS))


def named_pipes(folder, *names):
    for name in names:
        os.mkfifo(folder / name)
    return tuple(folder / name for name in names)


def test_tasks_run_at_the_same_time_in_several_processes(pool, tmp_path):
    """Each of the two waits for the other: one after the other, they would wait for ever."""
    one, other = named_pipes(tmp_path, "a", "b")
    processes = set(mapped(meet, [(one, other), (other, one)], pool, workers=2))
    assert len(processes) == 2
    assert os.getpid() not in processes


def test_answers_keep_the_order(pool):
    """The first of each four takes longest."""
    turns = [0.05 if number % 4 == 0 else number / 1e6 for number in range(12)]
    assert list(mapped(spend, turns, pool, workers=2)) == turns


def test_an_endless_list_is_read_a_few_ahead(pool):
    taken = []
    answers = mapped(fail, (taken.append(n) or f"{n}" for n in itertools.count()), pool, workers=2)
    assert [name for name, _ in itertools.islice(answers, 20)] == [f"{n}" for n in range(20)]
    answers.close()
    assert len(taken) <= 20 + 4


# -- whose the processes are, and when they end


def process_in(pipe):
    """Return the pipe, open, and the process that ``hold`` named in it: it is at work now."""
    file = pipe.open()
    return file, int(file.readline())


def is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("how", ["wait", "spin"])
def test_leaving_early_ends_what_is_under_way(how, pool, tmp_path):
    """Nothing else would end it: that ``close`` returns is half of the test."""
    (pipe,) = named_pipes(tmp_path, "pipe")
    answers = mapped(partial(hold, pipe), ["now", how, "never"], pool)
    assert next(answers) == "now"
    file, process = process_in(pipe)
    answers.close()
    assert not is_running(process)
    assert file.read() == ""


def test_a_worker_that_was_ended_is_never_handed_out_again(pool):
    for _ in range(20):
        answers = mapped(fail, ["now", "wait", "never"], pool)
        assert next(answers)[0] == "now"
        answers.close()


class PoolCall:
    """What the pool knows of a call."""

    left = False


def test_a_worker_that_is_given_back_after_its_call_was_left_is_gone(pool):
    call, next_call = PoolCall(), PoolCall()
    worker = pool.take(call, fresh=True)
    pool.leave(call)
    with pytest.raises(RuntimeError, match="was left"):
        pool.give_back(worker, keep=True)
    with pytest.raises(RuntimeError, match="was left"):
        pool.take(call, fresh=False)
    other = pool.take(next_call, fresh=False)
    pool.give_back(other, keep=True)
    assert other is not worker


def test_workers_are_kept_for_the_next_call_and_gone_after_the_block():
    with WorkerPool() as pool:
        (first,), (second,) = (list(mapped(fail, ["one"], pool)) for _ in range(2))
        assert first == second
        assert is_running(first[1])
    assert not is_running(first[1])
    with pytest.raises(RuntimeError, match="was left"):
        list(mapped(fail, ["one"], pool))


def test_leaving_the_block_ends_what_is_under_way(tmp_path):
    (pipe,) = named_pipes(tmp_path, "pipe")
    with WorkerPool() as pool:
        answers = mapped(partial(hold, pipe), ["now", "wait"], pool)
        assert next(answers) == "now"
        _, process = process_in(pipe)
    assert not is_running(process)
    with pytest.raises(RuntimeError, match="was left"):
        next(answers)


def test_without_a_pool_a_call_owns_its_workers():
    ((_, process),) = isolated_map(fail, ["one"], workers=1, limits=LIMITS)
    assert not is_running(process)


def test_a_worker_that_dies_between_two_calls_is_replaced(pool):
    ((_, first),) = mapped(fail, ["one"], pool)
    os.kill(first, signal.SIGKILL)
    ((said, second),) = mapped(fail, ["two"], pool)
    assert (said, second != first) == ("two", True)


DYING = """
import os, sys
marks = sorted(os.listdir({folder!r}))
if len(marks) < {times}:
    open(os.path.join({folder!r}, str(len(marks))), "w").close()
    os._exit(1)
"""


@pytest.mark.parametrize("times", [1, 2])
def test_a_worker_that_dies_on_its_start_is_replaced_once(times, tmp_path, monkeypatch):
    program = DYING.format(folder=str(tmp_path), times=times) + worker_process._PROGRAM
    monkeypatch.setattr(worker_process, "_PROGRAM", program)
    answers = isolated_map(fail, ["one"], workers=1, limits=LIMITS)
    if times == 1:
        assert next(answers)[0] == "one"
    else:
        with pytest.raises(AuditError, match=r"cannot start: the process that read it crashed \(exit code 1\)"):
            next(answers)
    assert len(list(tmp_path.iterdir())) == times


def test_no_process_to_be_had_is_said(monkeypatch):
    def refused(*_):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(worker_process, "_started", refused)
    with pytest.raises(AuditError, match="cannot start: Resource temporarily unavailable"):
        list(isolated_map(fail, ["one"], workers=1, limits=LIMITS))


@pytest.mark.parametrize("how", ["exit", "memory"])
def test_only_a_process_that_had_read_nothing_is_believed(how, pool, tmp_path):
    """A process that an earlier file has damaged or filled must not speak for the next file."""
    first, second = mapped(partial(once, tmp_path / "failed"), ["fine", how], pool)
    assert first[0] == "fine"
    assert second[0] == how
    assert first[1] != second[1]


def test_the_second_opinion_is_a_fresh_process(tmp_path):
    """Another idle process has read something too."""
    one, other = named_pipes(tmp_path, "a", "b")
    with WorkerPool() as pool:
        used = set(mapped(meet, [(one, other), (other, one)], pool, workers=2))
        ((_, process),) = mapped(partial(once, tmp_path / "failed"), ["exit"], pool)
        assert process not in used


def make_study(size: int) -> Study:
    """Return a study of ``size`` cubed voxels, the worker's own arrays in it."""
    grid = Geometry((size,) * 3, np.diag([1.0, 2.0, 3.0, 1.0]))
    values = np.arange(size**3, dtype=np.float32).reshape(grid.shape)
    return Study("S-1", "P-1", Volume(values, grid), (Mask(values > 7, grid, "nodule", "anna"),), ("nodule",))


@pytest.mark.parametrize("size", [4, 128])
def test_a_study_arrives_whole_and_read_only(size, pool):
    (study,) = mapped(make_study, [size], pool)
    same = make_study(size)
    np.testing.assert_array_equal(study.image.array, same.image.array)
    np.testing.assert_array_equal(study.masks[0].array, same.masks[0].array)
    np.testing.assert_array_equal(study.image.geometry.affine, same.image.geometry.affine)
    assert (study.identity, study.reference, study.masks[0].reader) == ("S-1", ("nodule",), "anna")
    assert study.image.array.flags.aligned
    for array in (study.image.array, study.masks[0].array, study.image.geometry.affine):
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)


def open_handles() -> int:
    """Return how many files this process holds open."""
    return len(os.listdir("/dev/fd"))  # noqa: PTH208 - a directory of handles, no files


def test_nothing_is_left_behind():
    before = open_handles()
    with WorkerPool() as pool:
        for study in mapped(make_study, [128] * 8, pool):
            assert study.image.array[0, 0, 1] == 1
        list(mapped(fail, ["exit", "memory"], pool))
        left = mapped(fail, ["now", "wait"], pool)
        next(left)
        left.close()
    del study
    assert open_handles() == before


def test_an_answer_that_cannot_leave_is_a_fault(pool):
    (fault,) = mapped(unpicklable, [1], pool)
    assert fault.reason == Reason.UNEXPECTED


def test_a_function_that_a_worker_cannot_import_is_said_at_once(pool, monkeypatch):
    monkeypatch.setattr(fail, "__module__", "nowhere")
    monkeypatch.setitem(sys.modules, "nowhere", sys.modules[__name__])
    with pytest.raises(AuditError, match="cannot start: ModuleNotFoundError: No module named 'nowhere'"):
        list(mapped(fail, ["one"], pool))


# -- whole programs


def program(code, *arguments, **options):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-P", "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, **options)


def test_reading_studies_loads_no_torch():
    code = (
        "import sys, pipeline.studies.read_study; print([n for n in ('torch', 'monai', 'prefect') if n in sys.modules])"
    )
    assert program(code).communicate()[0].strip() == "[]"


BEGINNING = """
import os, sys
from functools import partial
from pathlib import Path
from pipeline.studies.untrusted.workers import Limits, WorkerPool, isolated_map
from tests.pipeline.studies.misbehaving import fail, hold
LIMITS = Limits(2**31, 10**6, 10.0**6)
"""
HOLDING = "list(isolated_map(partial(hold, Path(sys.argv[1])), [sys.argv[2]], workers=1, limits=LIMITS))"
ENDING = """
answers = isolated_map(partial(hold, Path(sys.argv[1])), ["now", "wait"], workers=1, limits=LIMITS)
print(next(answers), flush=True)
sys.stdin.read()
"""
FORKING = """
with WorkerPool() as pool:
    ((_, first),) = isolated_map(fail, ["parent"], workers=1, limits=LIMITS, pool=pool)
    child = os.fork()
    ((_, second),) = isolated_map(fail, ["either"], workers=1, limits=LIMITS, pool=pool)
    if child == 0:
        pool.__exit__(None, None, None)
        os._exit(0 if second != first else 1)
    assert os.waitpid(child, 0)[1] == 0, "the child was given the parent's worker"
    ((_, third),) = isolated_map(fail, ["parent"], workers=1, limits=LIMITS, pool=pool)
    print(first == second == third)
"""


@pytest.mark.parametrize("how", ["spin", "wait"])
def test_workers_end_with_a_parent_that_is_killed(how, tmp_path):
    (pipe,) = named_pipes(tmp_path, "pipe")
    parent = program(BEGINNING + HOLDING, pipe, how)
    file, process = process_in(pipe)
    assert is_running(process)
    parent.kill()
    parent.communicate()
    assert file.read() == ""  # the end of the pipe is the end of the process that held it


def test_a_program_ends_though_a_worker_hangs_and_nobody_has_left(tmp_path):
    (pipe,) = named_pipes(tmp_path, "pipe")
    parent = program(BEGINNING + ENDING, pipe, stdin=subprocess.PIPE)
    file, _ = process_in(pipe)
    assert parent.communicate("") == ("now\n", None)
    assert file.read() == ""


def test_a_forked_child_starts_workers_of_its_own():
    assert program(BEGINNING + FORKING).communicate()[0].strip() == "True"
