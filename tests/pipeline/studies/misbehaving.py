"""What a decoder on a hostile file may do. A module of its own: a worker that imports it loads little else."""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from pipeline.errors import Reason, Stage, StudyError


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
        return bytearray(8 * 1024**3)
    if how == "panic":
        raise Panic("SECRET")
    if how == "error":
        raise ValueError("SECRET")
    if how == "refused":
        raise StudyError(Stage.READ, Reason.OTHER_GRID, "10 x 10 and 12 x 12", excluded=True)
    return how, os.getpid()


def once(done: Path, how: str) -> object:
    """Fail the first time only."""
    if how == "fine" or done.exists():
        return how, os.getpid()
    done.touch()
    return fail(how)


def spend(seconds: float) -> float:
    """Take processor time."""
    start = time.process_time()
    while time.process_time() < start + seconds:
        pass
    return seconds


def meet(channels: tuple[Path, Path]) -> int:
    """Return the process, once another task has come to the same pipes from the other side."""
    mine, theirs = channels
    with min(channels).open("rb" if mine < theirs else "wb"), max(channels).open("wb" if mine < theirs else "rb"):
        return os.getpid()


def hold(pipe: Path, how: str) -> object:
    """Say through a named pipe which process this is, then ``fail``; the pipe stays open until the process ends."""
    if how == "now":
        return how
    handle = os.open(pipe, os.O_WRONLY)
    os.write(handle, f"{os.getpid()}\n".encode())
    return fail(how)


def unpicklable(_: int) -> object:
    """Return something that cannot leave."""
    return lambda: None


def loaded_modules(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the modules that this process has imported."""
    return tuple(name for name in names if name in sys.modules)
