"""Break the code on purpose, one line at a time, and see the tests fail: ``make mutants``.

    python -m tests.mutants [--group NAME ...] [--only TEXT] [--processes N]

Each mutant is one replacement in one file, made in a copy of the project; the tests named beside it must fail. Prints
each with its verdict, then killed/total for each group, and exits 1 below 100 %. A mutant whose text is not found
exactly once is an error: the list has to follow the code. The same tests are first run on the code as it is and must
pass, or a failure would prove nothing.
"""

import argparse
import contextlib
import gc
import io
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("cam", "pipeline", "reports", "flows", "camaudit")
COPIED = (*PACKAGES, "tests", "pyproject.toml")
VERDICTS = {0: "survived", 1: "killed", 2: "killed"}  # pytest's exit codes; 2: the module no longer imports

_LEFT_OUT = ("-p", "no:cacheprovider", "-p", "no:anyio")  # no test here needs them, and each child would load them


@dataclass(frozen=True)
class Mutant:
    """``old`` becomes ``new`` in ``file``; ``tests`` (pytest arguments) must then fail."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file}: {self.old.strip()!r} -> {self.new.strip()!r}"


def of(file: str, *changes: tuple[str, str], tests: tuple[str, ...]) -> list[Mutant]:
    """Return the mutants of a file whose tests are the same."""
    return [Mutant(file, old, new, tests) for old, new in changes]


def main() -> int:
    """Run the list and return the exit code."""
    from tests.mutations import GROUPS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", action="append", choices=tuple(GROUPS), help="may be given several times")
    parser.add_argument("--only", default="", help="mutants whose file or text holds this")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    groups = {name: GROUPS[name] for name in given.group or GROUPS}
    chosen = {name: [mutant for mutant in group if given.only in str(mutant)] for name, group in groups.items()}
    warm()
    results = [_group_holds(name, mutants, given.processes) for name, mutants in chosen.items() if mutants]
    return 0 if results and all(results) else 1


def _group_holds(name: str, mutants: Sequence[Mutant], processes: int) -> bool:
    """Run a group, print its verdicts, and tell whether every mutant was killed."""
    start = time.monotonic()
    killed = 0
    for mutant, verdict in judged(mutants, processes):
        killed += verdict == "killed"
        print(f"{verdict:9} {mutant}", flush=True)
    print(f"{name}: {killed}/{len(mutants)} killed in {time.monotonic() - start:.0f} s", flush=True)
    return killed == len(mutants)


def warm() -> None:
    """Import what all tests need, and nothing of ours: the children inherit it and each loads its own copy of ours."""
    import monai.networks.nets
    import pytest
    import torch

    torch.set_num_threads(1)
    gc.freeze()  # what is here already is no garbage of a child's, which pytest looks for several times
    assert not set(PACKAGES) & set(sys.modules), "the parent must not have loaded what is mutated"
    del monai, pytest


def judged(mutants: Sequence[Mutant], processes: int) -> Iterator[tuple[Mutant, str]]:
    """Yield each mutant with ``killed``, ``survived``, ``not found`` or ``no tests``, in their order.

    Raises:
        SystemExit: when tests fail on the code as it is.
    """
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(processes) as pool:
        copies: Queue[Path] = Queue()
        for number in range(processes):
            copies.put(copy_of_project(Path(folder) / str(number)))

        def judge(mutant: Mutant | None, tests: Sequence[str]) -> str:
            copy = copies.get()
            try:
                return verdict_on(mutant, copy) if mutant else verdict_of(copy, tests)
            finally:
                copies.put(copy)

        controls = list(dict.fromkeys(one.tests for one in mutants))
        for tests, verdict in zip(controls, pool.map(lambda tests: judge(None, tests), controls), strict=True):
            if verdict != "survived":
                raise SystemExit(f"the tests do not pass on the code as it is: {' '.join(tests)}")
        yield from zip(mutants, pool.map(lambda one: judge(one, one.tests), mutants), strict=True)


def copy_of_project(target: Path) -> Path:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)
    return target


def verdict_on(mutant: Mutant, copy: Path) -> str:
    path = copy / mutant.file
    source = path.read_text(encoding="utf-8")
    if source.count(mutant.old) != 1:
        return "not found"
    path.write_text(source.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return verdict_of(copy, mutant.tests)
    finally:
        path.write_text(source, encoding="utf-8")


def verdict_of(copy: Path, tests: Sequence[str]) -> str:
    """Run pytest in a child that starts from the warm parent; return what its exit code means."""
    child = os.fork()
    if child == 0:
        code = 3
        try:
            os.chdir(copy)
            sys.path.insert(0, str(copy))
            # two versions of a file within a second must not share bytecode, in the processes that tests start neither
            sys.dont_write_bytecode, os.environ["PYTHONDONTWRITEBYTECODE"] = True, "1"
            for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
                del sys.modules[name]
            import pytest

            options = ["-x", "-q", *_LEFT_OUT, "--rootdir", str(copy), "--basetemp", f"{copy}-files"]
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                code = int(pytest.main([*options, *tests]))
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return VERDICTS.get(os.waitstatus_to_exitcode(status), "no tests")


if __name__ == "__main__":
    sys.exit(main())
