"""The bar: work done over all the time that it took, and the time left at that speed."""

import threading

import pytest

from flows.commands import progress
from flows.commands.progress import time_left, watching


@pytest.mark.parametrize(
    ("done", "total", "seconds", "left"),
    [
        (0, 100, 10, None),
        (25, 100, 10, 30),
        (100, 100, 10, 0),
        (120, 100, 10, 0),
        (5, None, 10, None),
        (5, 10, 0, None),
    ],
)
def test_time_left(done, total, seconds, left):
    assert time_left(done, total, seconds) == left


def test_a_burst_does_not_make_the_bar_fast(monkeypatch, capsys):
    """40 of 200 studies came from a cache in no time: what is left is still slow."""
    clock = [0.0]
    made = []
    sound = progress.Progress

    def controlled(*columns, **given):
        made.append(sound(*columns, **given, get_time=lambda: clock[0], auto_refresh=False))
        return made[-1]

    monkeypatch.setattr(progress, "Progress", controlled)
    with watching("preparing", quiet=True) as watcher:
        watcher.started(200, 160, 480)
        clock[0] = 100.0
        watcher.on_maps(48)
        clock[0] = 100.001
        watcher.on_maps(48, -30)
        (task,) = made[0].tasks
        cells = [column(task) for column in made[0].columns]
        assert (task.completed, task.total) == (96, 450)
        assert "auditing the 160 new of 200 studies" in str(cells[0])
        assert str(cells[3]) == "1.0 maps/s"
        assert str(cells[4]) == "0:06:09 left"
    assert capsys.readouterr().out == ""


def test_where_nobody_watches_no_thread_draws():
    before = set(threading.enumerate())
    with watching("preparing", quiet=True) as watcher:
        watcher.started(3, 3, 9)
        watcher.on_maps(3)
        assert set(threading.enumerate()) == before
    with watching("preparing", quiet=False):
        assert set(threading.enumerate()) != before
