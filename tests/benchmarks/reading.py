"""What reading a CT series costs beside SimpleITK: CPU seconds, the two in turns in one process.

python -m tests.benchmarks.reading [SLICES] [ROUNDS]

The slices have the header of a real scanner (pydicom's own CT_small.dcm) and 512 x 512 values of noise. SimpleITK
gets the files in order; we get the folder.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from pipeline.studies.readers import read_image

SIZE = 512


def write(folder: Path, count: int) -> list[Path]:
    """Write a series and return its files in order."""
    image = dcmread(get_testdata_file("CT_small.dcm", download=False))
    image.Rows = image.Columns = SIZE
    noise = np.random.default_rng(0)
    files = [folder / f"{number:04}.dcm" for number in range(count)]
    for number, path in enumerate(files):
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        image.ImagePositionPatient, image.InstanceNumber = [-170, -170, 1.25 * number], number + 1
        image.PixelData = noise.integers(0, 2000, (SIZE, SIZE)).astype("<i2").tobytes()
        image.save_as(path)
    return files


def by_simpleitk(files: list[Path]) -> SimpleITK.Image:
    """Return the volume as SimpleITK reads it."""
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in files])
    return reader.Execute()


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU time that one call takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main(count: int, rounds: int) -> None:
    """Read the same series by both, compare every voxel once, and print the ratio of the medians."""
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        files = write(Path(folder), count)
        ours = read_image(Path(folder)).volume.array
        assert np.array_equal(ours.transpose(2, 1, 0), SimpleITK.GetArrayFromImage(by_simpleitk(files)))
        del ours
        times = [
            (cpu_seconds(lambda: read_image(Path(folder))), cpu_seconds(lambda: by_simpleitk(files)))
            for _ in range(rounds)
        ]
    ours, peer = (statistics.median(one) for one in zip(*times, strict=True))
    print(f"{count} slices of {SIZE} x {SIZE}, medians of {rounds} rounds")
    print(f"camaudit {ours:.3f} CPU s, SimpleITK {peer:.3f} CPU s: {ours / peer:.2f} times")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 140, int(sys.argv[2]) if len(sys.argv) > 2 else 9)
