"""What is asked of the C library, and that other systems are left alone."""

import ctypes
import os
import sys
from types import SimpleNamespace

import pytest

from flows import running
from flows.__main__ import start
from flows.allocation import keep_freed_memory, let_numpy_use_one_thread, let_waiting_threads_sleep
from pipeline.errors import ConfigError


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


@pytest.mark.parametrize(("engine", "keeps"), [("local", True), ("prefect", True), ("dask", False), ("pool", False)])
def test_a_process_that_only_watches_hands_back_what_is_free(engine, keeps, asked, monkeypatch):
    def nobody(_):
        raise ConfigError("nobody works")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(running, "crew_of", nobody)
    monkeypatch.setattr(running, "warm_up", lambda _: None)
    request = SimpleNamespace(loaded=SimpleNamespace(config=SimpleNamespace(run=SimpleNamespace(engine=engine))))
    with pytest.raises(ConfigError, match="nobody works"):
        running._run_with(None, request, None, None)
    assert bool(asked) is keeps


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
