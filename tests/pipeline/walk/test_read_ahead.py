"""Made ahead in a thread: the same things, in the same order, no further ahead than was said."""

import itertools
import threading

import pytest

from pipeline.walk.read_ahead import prefetched


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
    assert list(prefetched(counted(10, made), ahead)) == list(range(10))
    assert {name for number, name in made if number != "closed"} != {threading.current_thread().name}


def test_no_more_is_made_ahead_than_was_said():
    made = []
    items = prefetched(counted(100, made), 3)
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

    for number in prefetched(items(), 1):
        made.append(number)
        second.wait()
    assert made == [1, 2]


def test_a_fault_is_raised_in_its_place():
    items = prefetched(counted(5, [], fault_at=2), 2)
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(ValueError, match="here"):
        next(items)
