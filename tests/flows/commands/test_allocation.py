"""What is asked of the C library, and that other systems are left alone."""

import ctypes
import os
import sys

import pytest

from flows.__main__ import start
from flows.allocation import keep_freed_memory, let_waiting_threads_sleep


@pytest.fixture
def asked(monkeypatch):
    calls = []

    class Library:
        def mallopt(self, option, value):
            calls.append((option, value))

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library() if name is None else pytest.fail("another library"))
    return calls


def test_glibc_is_asked_to_keep_what_is_free(asked, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    keep_freed_memory()
    assert asked == [(-1, 128 * 1024**2), (-3, 32 * 1024**2)]


def test_another_system_or_c_library_is_left_as_it_is(asked, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    keep_freed_memory()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    keep_freed_memory()
    assert not asked


def test_waiting_threads_sleep_unless_the_user_says_otherwise(monkeypatch):
    for chosen, expected in ((None, "passive"), ("active", "active")):
        environment = {} if chosen is None else {"OMP_WAIT_POLICY": chosen}
        let_waiting_threads_sleep(environment)
        assert environment == {"OMP_WAIT_POLICY": expected}
    monkeypatch.setenv("OMP_WAIT_POLICY", "before")
    monkeypatch.delenv("OMP_WAIT_POLICY")
    monkeypatch.setattr("flows.cli.main", lambda: None)
    start()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"
