"""Made ahead in a thread: the same things, in the same order, no further ahead than was said."""

import gc
import itertools
import threading
import weakref
from contextlib import contextmanager, nullcontext

import pytest

from pipeline.walk.read_ahead import Prefetched, WorkBehind


def counted(count, made, fault_at=None):
    try:
        for number in range(count):
            if number == fault_at:
                raise ValueError("here")
            made.append((number, threading.current_thread().name))
            yield number
    finally:
        made.append(("closed", ""))


@pytest.mark.parametrize("ahead", [1, 3])
def test_everything_arrives_in_order_from_another_thread(ahead):
    made = []
    assert list(Prefetched(counted(10, made), ahead)) == list(range(10))
    assert {name for number, name in made if number != "closed"} != {threading.current_thread().name}


def test_no_more_is_made_ahead_than_was_said():
    made = []
    items = Prefetched(counted(100, made), 3)
    assert list(itertools.islice(items, 5)) == [0, 1, 2, 3, 4]
    items.close()
    assert 5 <= len(made) - 1 <= 5 + 3
    assert made[-1] == ("closed", "")


def test_the_next_is_made_while_this_one_is_worked_on():
    made, second = [], threading.Event()

    def items():
        yield 1
        second.set()
        yield 2

    for number in Prefetched(items(), 1):
        made.append(number)
        second.wait()
    assert made == [1, 2]


def test_a_fault_is_raised_in_its_place():
    items = Prefetched(counted(5, [], fault_at=2), 2)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(ValueError, match="here"):
        next(items)


def test_work_is_done_behind_in_order_within_what_it_needs():
    entered, done = [], []

    @contextmanager
    def within():
        entered.append(threading.current_thread().name)
        yield

    with WorkBehind(within) as behind:
        later = [behind.begin(lambda number=number: done.append(number) or number) for number in range(5)]
        assert [thing.result() for thing in later] == done == list(range(5))
    assert len(entered) == 5
    assert set(entered) == {"behind_0"} != {threading.current_thread().name}


def test_the_caller_goes_on_while_it_is_done():
    gone_on = threading.Event()
    with WorkBehind(nullcontext) as behind:
        later = behind.begin(lambda: gone_on.wait(60))
        gone_on.set()
        assert later.result()


@pytest.mark.parametrize("fault", [ValueError("here"), SystemExit("here")])
def test_a_fault_behind_is_raised_where_its_result_is_asked_for(fault):
    def fail():
        raise fault

    with WorkBehind(nullcontext) as behind:
        first, second = behind.begin(fail), behind.begin(lambda: 2)
        assert second.result() == 2
        with pytest.raises(type(fault), match="here"):
            first.result()


def test_a_result_is_let_go_of_and_what_waits_is_dropped_when_the_block_is_left():
    class Thing:
        pass

    begun, go, done = threading.Event(), threading.Event(), []
    with pytest.raises(KeyboardInterrupt), WorkBehind(nullcontext) as behind:  # noqa: PT012 - what is left behind
        later = behind.begin(Thing)
        known = weakref.ref(later.result())
        gc.collect()
        assert known() is None
        behind.begin(lambda: begun.set() or go.wait(60))
        behind.begin(lambda: done.append("never"))
        begun.wait(60)
        threading.Timer(0.05, go.set).start()
        raise KeyboardInterrupt
    assert not done
