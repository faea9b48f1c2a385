"""Help from further processes of this machine: one for each GPU, or a few that share the processor's cores."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from flows.crews.crew import NO_CREW, Crew, IsWorking, Say

__all__ = ["devices_of", "processes"]

_END_SECONDS = 10.0


def devices_of(device: str, count: int | None, gpus: int) -> tuple[str | None, ...]:
    """Return the device of each process that works a run, the one that began it first; None is the configuration's.

    ``count`` of None is one for each of the machine's ``gpus``, and one where there is none. A device that the
    configuration names by number is everybody's.
    """
    if device in ("auto", "cuda") and gpus:
        return tuple(f"cuda:{number % gpus}" for number in range(count or gpus))
    return (None,) * (count or 1)


@contextmanager
def processes(devices: Sequence[str | None]) -> Iterator[Crew]:
    """Yield a crew of processes, one for each of ``devices`` behind the first, which is the leading process's own.

    They load what they need while the run is made ready, and are told its folder when there is one. All of them, the
    leading one too, work shards with as many threads: more than there are cores would wait for each other, and another
    number rounds in another way. What the leading one does alone, as trying the model, may take all cores.
    """
    if len(devices) < 2:
        yield NO_CREW
        return
    helpers: list[subprocess.Popen[bytes]] = []
    threads = threads_each(len(devices), os.environ)

    @contextmanager
    def at(folder: Path, _say: Say) -> Iterator[IsWorking]:  # they speak for themselves, on this standard error
        for helper in helpers:
            _tell(helper, folder)
        yield lambda: any(helper.poll() is None for helper in helpers)

    try:
        helpers.extend(_started(device, threads) for device in devices[1:])
        yield Crew(f"{len(devices)} processes", at, abreast=partial(_limited_to, threads))
    finally:
        for helper in helpers:
            _ended(helper)


def threads_each(count: int, environment: Mapping[str, str]) -> int | None:
    """Return how many threads each of ``count`` processes may use; None where the user has set it."""
    if "OMP_NUM_THREADS" in environment:
        return None
    return max(1, len(os.sched_getaffinity(0)) // count)


@contextmanager
def _limited_to(threads: int | None) -> Iterator[None]:
    """Let this process's network use so many threads within the block; None: as many as it does."""
    if threads is None:
        yield
        return
    import torch  # here: the helpers start before it is loaded

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _started(device: str | None, threads: int | None) -> subprocess.Popen[bytes]:
    """Start a helper. It ends when its standard input does: with this process, whatever ends that."""
    command = [sys.executable, "-m", "flows", "work", "-", "--quiet", "--end-with-input"]
    environment = os.environ | ({} if threads is None else {"OMP_NUM_THREADS": str(threads)})
    chosen = [] if device is None else ["--device", device]
    # a group of its own: a terminal's Ctrl-C is for this process alone
    return subprocess.Popen([*command, *chosen], stdin=subprocess.PIPE, env=environment, process_group=0)


def _tell(helper: subprocess.Popen[bytes], folder: Path) -> None:
    """Tell a helper which run it is; one that has died meanwhile costs nothing but its help."""
    assert helper.stdin is not None
    with suppress(BrokenPipeError):
        helper.stdin.write(os.fsencode(folder.resolve()) + b"\n")
        helper.stdin.flush()


def _ended(helper: subprocess.Popen[bytes]) -> None:
    if helper.stdin is not None:
        with suppress(BrokenPipeError):
            helper.stdin.close()
    try:
        helper.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        helper.kill()
        helper.wait()
