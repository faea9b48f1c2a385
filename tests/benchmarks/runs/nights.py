"""What a start costs after many nights: ``python -m tests.benchmarks.runs.nights [--nights N] [--studies M]``.

A cohort is locked as one that grows, and its first study is audited. The nights after it, in which the others came,
are written by the project's own functions in place of being run: register, lists of studies, ledgers, records. A
record is the first study's under another name, and a file of rows that were carried over is shared by some nights.
Then one more study comes, and the start is made as ``camaudit run`` makes it. Printed are its CPU seconds and those of
what looks back: at earlier runs, at the register, and at what was answered. With ``--quiet`` that run is finished, and
a night that brings nothing new is asked for, as ``tests.benchmarks.quiet_night`` does; with ``--verify`` the finished
run is verified.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import nibabel
import numpy as np

from tests.benchmarks.quiet_night import run as as_command
from tests.benchmarks.resident import succeeds_apart

CELLS = tuple((nights, studies) for studies in (200, 2_000, 20_000) for nights in (10, 100, 400))
QUIET = 3
_RENEWED = 25
"""Nights that share a file of rows that were carried over."""

LOOKING_BACK = {
    "earlier runs": ("changed_since", "first_seen", "carried_experiments"),
    "register": ("known_looks", "compare", "enter_run"),
    "answers": ("_carried",),
}
"""What is told of a start, and the functions of ``pipeline.runs.start`` that it is made of."""


def measure(nights: int, studies: int, *, quiet: bool, verify: bool) -> None:
    """Print what a start costs after so many nights with so many studies in all."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"CAMAUDIT_STATE": str(folder / "state"), "CAMAUDIT_KEY": "a key of a benchmark" * 2}
        os.environ.pop("CAMAUDIT_REGISTER", None)
        config = archive_of(folder / "audit", studies + 1)
        newest = store(config, nights, studies)
        list_studies(config, studies + 1)
        spent, begun = start(config)
        parts = ", ".join(f"{part} {seconds:.2f}" for part, seconds in spent.items())
        print(f"{nights} nights, {studies:,} studies: CPU s of a start with one new study: {parts}", flush=True)
        sizes = [f"{size_of(place) / 2**20:.2f}" for place in (folder / "state", newest)]
        print(f"  MiB: the register {sizes[0]}, the newest night {sizes[1]}", flush=True)
        if quiet or verify:
            as_command(config)
            print(f"  finished as {max(begun.parent.glob('*/results.json')).parent.name}", flush=True)
        if quiet:
            wall, processor, grown = zip(*(as_command(config) for _ in range(QUIET)), strict=True)
            cost = f"{median(wall):.1f} s, {median(processor):.1f} CPU s, {max(grown)} bytes"
            print(f"  a night that brings nothing new: {cost}", flush=True)
        if verify:
            print(f"  verified in {verified(max(begun.parent.glob('*/results.json')).parent):.1f} CPU s", flush=True)


def start(config: Path) -> tuple[dict[str, float], Path]:
    """Begin a run as the command line does; return CPU seconds of its parts, and its folder."""
    from pipeline.checks.config_checks import checked_config
    from pipeline.runs import start as module
    from pipeline.studies.untrusted.workers import WorkerPool

    loaded = checked_config(config)
    with WorkerPool() as pool, ExitStack() as patched:
        spent = {
            part: [patched.enter_context(timed(module, name)) for name in names] for part, names in LOOKING_BACK.items()
        }
        before = time.process_time()
        created = module.created_run(loaded, "benchmark", pool)
        whole = time.process_time() - before
    assert not created.spec.lock.exploratory, created.spec.lock.exploratory
    new = [member.study for member in created.members if member.shard is not None]
    assert len(new) == 1, f"{len(new)} studies are computed, not the one that is new"
    return {"all": whole} | {part: sum(map(sum, of)) for part, of in spent.items()}, created.folder


@contextmanager
def timed(module: object, name: str) -> Iterator[list[float]]:
    """Have a function of a module note the CPU seconds of each of its calls."""
    seconds: list[float] = []
    function: Callable[..., object] = getattr(module, name)

    def noted(*arguments: object, **named: object) -> object:
        before = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            seconds.append(time.process_time() - before)

    with mock.patch.object(module, name, noted):
        yield seconds


def verified(run: Path) -> float:
    """Return the CPU seconds that a run's verification takes."""
    from pipeline.verify.verify import verify_run

    before = time.process_time()
    failures = verify_run(run).failures
    assert not failures, failures[:3]
    return time.process_time() - before


# The nights that are written in place of being run.


@dataclass(frozen=True)
class Stored:
    """What all nights are made of: the first one's folder, specification and record, and the studies in their order."""

    first: Path
    spec: Any
    record: Any
    sources: Sequence[Any]
    key: Any
    seen: Any
    nights: int


def store(config: Path, nights: int, studies: int) -> Path:
    """Lock the audit, audit its first study, and write the nights in which the others came; return the newest."""
    from pipeline.findings.custody.site_key import load_site_key
    from pipeline.findings.lock import read_lock
    from pipeline.findings.shards import read_shard
    from pipeline.findings.spec import read_spec
    from pipeline.runs.locking import known_looks
    from pipeline.walk.sources import find_sources
    from tests.pipeline import steps

    list_studies(config, 1)
    steps.lock(config, cohort_open=True)
    as_command(config)
    (first,) = (path.parent for path in (config.parent / "runs" / "planted").glob("*/run.json"))
    (record,) = read_shard(first / "shards" / "0000.parquet")
    list_studies(config, studies)
    auditor = steps.open_auditor(config)
    sources = find_sources(auditor.config, auditor.pseudonyms)
    stored = Stored(
        first, read_spec(first), carried_by_reference(record, first), sources, load_site_key(),
        known_looks(read_lock(config)).seen, nights,
    )  # fmt: skip
    seen_first, newest = {sources[0].study: first.name}, first
    for night in range(1, nights):
        newest = write_night(stored, night, 1 + (studies - 1) * night // (nights - 1), seen_first, newest)
    return newest


def carried_by_reference(record: Any, run: Path) -> Any:
    """Return a record whose maps are those of a run beside it."""
    entries = [
        entry if entry.map is None else entry.model_copy(update={"map": f"../{run.name}/{entry.map}"})
        for entry in record.map_scores
    ]
    return record.model_copy(update={"map_scores": tuple(entries)})


def write_night(stored: Stored, night: int, until: int, seen_first: dict[str, str], before: Path) -> Path:
    """Write the run of a night that had the studies up to a number, new ones as computed; return its folder."""
    from pipeline.findings.carried import REUSED, records_file
    from pipeline.findings.custody.ledger import Ledger
    from pipeline.findings.custody.recorded_files import record_files
    from pipeline.findings.members.member import Member
    from pipeline.findings.shards import write_shard
    from pipeline.findings.spec import COHORT_FILE, LEDGER_FILE, LOCK_FILE, SPEC_FILE, write_members
    from pipeline.runs.locking import enter_run
    from pipeline.runs.start import run_name

    began = datetime.fromisoformat(stored.spec.started_at) + timedelta(seconds=1, milliseconds=night)
    run, own = run_name(began, stored.spec.lock.recipe), stored.sources[:until]
    new = [source for source in own if source.study not in seen_first]
    seen_first |= dict.fromkeys((source.study for source in new), run)
    folder = stored.first.parent / run
    for place in (folder, folder / "shards", folder / "maps"):
        place.mkdir()
    mark = enter_run(run, stored.spec.lock, subject_of(stored, own), stored.key, stored.seen)
    lock = stored.spec.lock.model_copy(update={"register_mark": mark})
    facts = {"run": run, "started_at": began.isoformat(timespec="seconds"), "previous_run": before.name, "lock": lock}
    stored.spec.model_copy(update={**facts, "shards": 1}).write(folder)
    names = {source.study for source in new}
    write_members(
        folder,
        (
            Member(
                study=source.study, patient=source.patient, source_sha256=source.sha256,
                shard=0 if source.study in names else None, first_seen=seen_first[source.study],
            )
            for source in own
        ),
    )  # fmt: skip
    os.link(stored.first / LOCK_FILE, folder / LOCK_FILE)
    if night % _RENEWED == 1 or night == stored.nights - 1:
        rows = (record_of(stored, source) for source in own if source.study not in names)
        write_shard(folder / REUSED, rows, stored.spec.recipes)
    else:
        os.link(before / REUSED, folder / REUSED)
    ledger = Ledger(folder / LEDGER_FILE, stored.key)
    begun = [SPEC_FILE, COHORT_FILE, LOCK_FILE, REUSED]
    ledger.append("criteria.locked", criteria=lock.criteria, locked_at=lock.locked_at)
    ledger.append("configuration.locked", recipe=lock.recipe, exploratory=[])
    ledger.append("model.hashed", sha256=lock.model, code=stored.spec.model.code_sha256)
    ledger.append("cohort.locked", cohort=lock.cohort, studies=until, reused=until - len(new))
    record_files(ledger, "inference.started", folder, begun, shards=1, not_carried=[])
    write_shard(folder / records_file(0), (record_of(stored, source) for source in new), stored.spec.recipes)
    record_files(ledger, "shard.finished", folder, [records_file(0)], shard=0)
    os.link(stored.first / "results.json", folder / "results.json")
    record_files(ledger, "results.written", folder, ["results.json"])
    return folder


def subject_of(stored: Stored, own: Sequence[Any]) -> Any:
    """Return what the register is told of a night."""
    from pipeline.runs.locking import Subject, had_in, image_of

    images = sorted({image_of(source) for source in own})
    fixed = stored.spec.lock
    return Subject("planted", fixed, {}, images, had_in(own), has_criteria=True)


def record_of(stored: Stored, source: Any) -> Any:
    """Return the first study's record under the name of another."""
    return stored.record.model_copy(
        update={"study": source.study, "patient": source.patient, "source_sha256": source.sha256}
    )


# The archive: one picture and its masks, in files whose headers differ.


def archive_of(folder: Path, studies: int) -> Path:
    """Write an audit of one method and as many images that show the same; return its configuration."""
    from tests.pipeline.planted import plant

    config = plant(folder, 1, explain={"methods": ["gradcam"]})
    image = nibabel.load(folder / "archive" / "study00.nii.gz")
    plain = nibabel.Nifti1Image((image.get_fdata() > 0.5).astype(np.float32), image.affine)
    for number in range(studies):
        plain.header["descrip"] = f"study {number}".encode()
        nibabel.save(plain, folder / "archive" / f"image{number:06}.nii.gz")
    return config


def list_studies(config: Path, studies: int) -> None:
    """List the first so many images, one patient's each, all with the same masks."""
    with (config.parent / "archive" / "manifest.csv").open("w", encoding="utf-8") as file:
        file.write("study,patient,image,mask:anna,mask:ben,label,site\n")
        file.writelines(
            f"study{number},patient{number},image{number:06}.nii.gz,study00_anna.nii.gz,study00_ben.nii.gz,lesion,a\n"
            for number in range(studies)
        )


def size_of(folder: Path) -> int:
    """Return the bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> int:
    """Measure each cell in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nights", type=int)
    parser.add_argument("--studies", type=int)
    parser.add_argument("--quiet", action="store_true", help="measure a night that brings nothing new after them, too")
    parser.add_argument("--verify", action="store_true", help="measure the verification of the run after them, too")
    given = parser.parse_args()
    wanted = {"nights": given.nights, "studies": given.studies}
    cells = [dict(zip(wanted, cell, strict=True)) for cell in CELLS]
    if None not in wanted.values():
        cells = [wanted]
    else:
        cells = [cell for cell in cells if all(value in (None, cell[name]) for name, value in wanted.items())]
    asked = [(cell["nights"], cell["studies"], given.quiet, given.verify) for cell in cells]
    return 0 if all(succeeds_apart(_measure, *cell) for cell in asked) else 1


def _measure(nights: int, studies: int, quiet: bool, verify: bool) -> None:
    measure(nights, studies, quiet=quiet, verify=verify)


if __name__ == "__main__":
    raise SystemExit(main())
