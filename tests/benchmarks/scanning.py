"""What a scan costs: headers a second, two processes against one, a second scan, memory at a million rows.

python -m tests.benchmarks.scanning [FILES] [ROWS]      (0 leaves a part out)

The corpus is copies of three real headers that pydicom ships (CT, MR, and a CT with many private elements), each with
UIDs of its own. Trust the CPU seconds: they hold on a machine that others use, the wall times do not.
"""

import gc
import os
import sys
import tempfile
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from pipeline.studies.index.catalogue import open_catalogue
from pipeline.studies.index.headers import _TAGS
from pipeline.studies.index.scan import _BATCH, _batches, _described, _walk, scan, summary
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.untrusted.workers import HEADERS, WorkerPool
from tests.benchmarks.resident import peak_resident

_SLICES = 100
_ROUNDS = 3


def main(count: int, rows: int) -> None:
    """Print the numbers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = folder / "archive"
        if count:
            _plant(root, count)
            _headers(root)
            _processes(root)
            for workers in (0, 2):
                _scan(root, folder / f"{workers}.sqlite", workers)
            _rescan(root, folder / "2.sqlite", count)
        if rows:
            alone = get_context("spawn").Process(target=_million, args=(folder, rows))  # what ran before would count
            alone.start()
            alone.join()


def _plant(root: Path, count: int) -> None:
    """Write series of slices: 1 of 10 files from the header with many elements."""
    sources = [dcmread(get_testdata_file(name)) for name in ("MR_small.dcm", "CT_small.dcm", "693_J2KI.dcm")]
    for number in range(0, count, _SLICES):
        source = sources[(number // _SLICES) % 10 if (number // _SLICES) % 10 < 2 else 2]
        source.SeriesInstanceUID, source.StudyInstanceUID = generate_uid(), generate_uid()
        place = root / f"{number:07d}"
        place.mkdir(parents=True)
        for index in range(min(_SLICES, count - number)):
            source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            source.ImagePositionPatient = [0, 0, index]
            source.save_as(place / f"{index:04d}.dcm")


def _headers(root: Path) -> None:
    stamps = [(os.fspath(path.relative_to(root)), 0, 0, 0) for path in root.rglob("*.dcm")]
    start = time.process_time()
    facts = _described(os.fspath(root), stamps)
    spent = time.process_time() - start
    usable = sum(one["reason"] is None for one in facts)
    start = time.process_time()
    for path, _, _, _ in stamps:
        dcmread(root / path, stop_before_pixels=True, specific_tags=[*_TAGS])
    peer = time.process_time() - start
    print(
        f"headers in one process: {len(stamps) / spent:.0f} a CPU second ({usable} of {len(stamps)} usable); "
        f"pydicom's dcmread with stop_before_pixels and specific_tags: {len(stamps) / peer:.0f}"
    )


def _processes(root: Path) -> None:
    """Print how much sooner two processes have read the headers than one: what is left is the index's own work."""
    stamps = [[stamp for stamp, _ in batch] for batch in _batches(_walk(root, frozenset()), _BATCH)]
    work = partial(_described, os.fspath(root))
    walls: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(_ROUNDS):
        for workers, found in walls.items():
            with WorkerPool() as pool:
                list(pool.map(work, stamps[:4], workers=workers, limits=HEADERS))  # the processes start
                start = time.perf_counter()
                read = sum(map(len, pool.map(work, stamps, workers=workers, limits=HEADERS)))
                found.append(time.perf_counter() - start)
    one, two = (min(found) for found in walls.values())
    print(
        f"{read} headers by one process {one:.2f} s, by two {two:.2f} s: {one / two:.2f} times, shortest of {_ROUNDS}"
    )


def _scan(root: Path, index: Path, workers: int) -> None:
    """Scan into a new index, some times, and print the shortest."""
    times = []
    with open_catalogue(index, root) as catalogue:
        scan(root / "0000000", catalogue, workers=workers, on_files=lambda _: None)  # the processes start
    for _ in range(_ROUNDS):
        index.unlink()
        start, spent = time.perf_counter(), time.process_time()
        with open_catalogue(index, root) as catalogue:
            scan(root, catalogue, workers=workers, on_files=lambda _: None)
            found = summary(root, catalogue)
        times.append((time.perf_counter() - start, time.process_time() - spent))
    wall, spent = min(times)
    print(
        f"scan with {workers} processes beside this one: {found.files / wall:.0f} files/s by the wall, {wall:.1f} s, "
        f"{spent:.1f} CPU s here"
    )


def _rescan(root: Path, index: Path, count: int) -> None:
    with open_catalogue(index, root) as catalogue:
        start, wall = time.process_time(), time.perf_counter()
        scan(root, catalogue, workers=1, on_files=lambda _: None)
        spent, wall = time.process_time() - start, time.perf_counter() - wall
    print(f"second scan of {count} unchanged files: {wall:.1f} s, {spent:.1f} CPU s")


def _million(folder: Path, rows: int) -> None:
    """Fill, group, count and export a catalogue of synthetic rows; print the peak of this process's memory."""
    from pipeline.studies.index.group_series import group

    root = folder / "none"
    root.mkdir()
    gc.collect()
    start = time.perf_counter()
    with open_catalogue(folder / "million.sqlite", root) as catalogue:
        for first in range(0, rows, 1000):
            catalogue.add(_synthetic(number) for number in range(first, min(first + 1000, rows)))
        filled = time.perf_counter()
        group(root, catalogue)
        found = summary(root, catalogue)
        with (folder / "million.parquet").open("wb") as file:
            catalogue.export(file, Pseudonyms(bytes(32)))
    size = (folder / "million.sqlite").stat().st_size / 2**20
    peak = peak_resident() / 2**20
    print(
        f"{found.files} rows, {found.usable} series: filled in {filled - start:.0f} s, grouped, counted and exported "
        f"in {time.perf_counter() - filled:.0f} s, index of {size:.0f} MiB, peak memory {peak:.0f} MiB"
    )


def _synthetic(number: int) -> tuple[tuple[str, int, int, int], dict[str, str | int | None]]:
    series, index = divmod(number, _SLICES)
    uid = "1.2.826.0.1.3680043.8.498.123456789012345678901234567"
    facts: dict[str, str | int | None] = {
        "kind": "dicom slice", "reason": None, "series": f"{uid}.{series}", "study": f"{uid}.9.{series // 3}",
        "instance": f"{uid}.{series}.{index}", "patient": f"PATIENT{series // 6}", "modality": "CT", "rows": 512,
        "columns": 512, "samples": 1, "photometric": "MONOCHROME2", "bits": 16, "image_type": "ORIGINAL\\PRIMARY",
        "class": "1.2.840.10008.5.1.4.1.1.2", "frame_of_reference": f"{uid}.8.{series}", "acquisition": "1",
        "position": f"-250\\-250\\{index * 2.5}", "orientation": "1\\0\\0\\0\\1\\0", "spacing": "0.9765625\\0.9765625",
        "thickness": "2.5", "transfer_syntax": "1.2.840.10008.1.2.1",
    }  # fmt: skip
    return (
        f"hospital/patient{series // 6:06d}/study{series // 3:06d}/{series:06d}/{index:04d}.dcm",
        526000,
        1,
        number,
    ), facts


if __name__ == "__main__":
    main(*(int(one) for one in [*sys.argv[1:3], *["20000", "1000000"][len(sys.argv) - 1 :]]))
