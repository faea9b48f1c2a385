"""What is asked of the C library, and that other systems are left alone."""

import ctypes
import os
import sys

import pytest

from flows.__main__ import start
from flows.allocation import keep_freed_memory, let_numpy_use_one_thread, let_waiting_threads_sleep


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


@pytest.mark.parametrize(
    ("tell", "name", "usual", "chosen"),
    [
        (let_waiting_threads_sleep, "OMP_WAIT_POLICY", "passive", "active"),
        (let_numpy_use_one_thread, "OPENBLAS_NUM_THREADS", "1", "4"),
    ],
)
def test_libraries_are_told_of_threads_unless_the_user_says_otherwise(monkeypatch, tell, name, usual, chosen):
    for environment in ({}, {name: chosen}):
        expected = environment.get(name, usual)
        tell(environment)
        assert environment == {name: expected}
    monkeypatch.setenv(name, "before")
    monkeypatch.delenv(name)
    monkeypatch.setattr("flows.cli.main", lambda: None)
    start()
    assert os.environ[name] == usual
