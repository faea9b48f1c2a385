"""10,000 damaged files through describing and reading: each becomes a study or a reason. Run: ``make fuzz``.

Nothing here is collected by pytest; ``tests/pipeline/studies/untrusted/test_fuzz.py`` runs a few hundred.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import SimpleITK
import tifffile
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from pipeline.errors import Reason, StudyError
from pipeline.studies.untrusted.workers import DECODING, Limits, isolated_map
from tests.damaged import IMAGE, MASK, Outcome, examine, peak_memory
from tests.pipeline.studies.readers.masks.test_rtstruct import circle, structure_set
from tests.pipeline.studies.writers import dot, grid, nifti, projection, segmentation, slices

LIMITS = Limits(DECODING.memory_bytes, cpu_seconds=30, wall_seconds=600)
FINDINGS = (Reason.UNEXPECTED, Reason.CRASHED, Reason.TIMEOUT)
PARENT_LIMIT = 1024**3
SHIPPED = (
    "CT_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "MR_small_implicit.dcm", "SC_rgb_rle.dcm",
    "SC_rgb_small_odd.dcm", "JPEG2000.dcm", "J2K_pixelrep_mismatch.dcm", "SC_rgb_small_odd_jpeg.dcm",
    "image_dfl.dcm", "rtplan.dcm", "rtdose.dcm", "liver_1frame.dcm", "nested_priv_SQ.dcm", "no_meta.dcm",
    "empty_charset_LEI.dcm", "SC_rgb_gdcm_KY.dcm", "emri_small.dcm", "emri_small_RLE.dcm", "test-SR.dcm",
)  # fmt: skip
"""Small files of every kind that pydicom carries along; those that this version lacks are passed over."""


def write_sources(folder: Path) -> None:
    """Write one small file of each format, and copies of pydicom's own."""
    shape, affine = (12, 14, 3), grid(np.diag([-1, -1, 1]), (0.7, 0.9, 2.5), (10.0, -12.5, 100.25))
    series = slices(dot(shape, (4, 5, 1)), affine)
    series[0].save_as(folder / IMAGE, enforce_file_format=True)
    projection(folder / "projection.dcm", dot((9, 11), (2, 3)), PixelSpacing=[0.5, 0.5])
    for syntax, name in ((RLELossless, "rle.dcm"), (DeflatedExplicitVRLittleEndian, "deflated.dcm")):
        encoded = dcmread(folder / IMAGE)
        if syntax.is_encapsulated:
            encoded.compress(syntax)
        encoded.file_meta.TransferSyntaxUID = syntax
        encoded.save_as(folder / name)
    marked = np.zeros((1, *shape[1::-1], 1), np.uint8)
    marked[0, 4:8, 3:9] = 1
    segmentation(folder / f"{MASK}binary.dcm", [dcmread(folder / IMAGE)], marked, ["nodule"])
    segmentation(
        folder / f"{MASK}fractional.dcm", [dcmread(folder / IMAGE)], marked.astype(float), ["nodule"],
        kind="FRACTIONAL", fractional_type="PROBABILITY",
    )  # fmt: skip
    structure_set(folder / f"{MASK}rtstruct.dcm", [("nodule", [circle(5, 6, 0, 3, 12)])], affine)
    nifti(folder / "volume.nii", dot((5, 6, 7), (1, 2, 3)), affine)
    nifti(folder / "volume.nii.gz", dot((5, 6, 7), (1, 2, 3)), affine)
    nifti(folder / f"{MASK}map.nii.gz", dot((12, 14, 1), (4, 5, 0), 1), affine)
    labels = slices(dot(shape, (4, 5, 1), 1), affine)[0]
    labels.save_as(folder / f"{MASK}series.dcm", enforce_file_format=True)
    for name in ("picture.png", "picture.jpg"):
        Image.fromarray(np.arange(9 * 11, dtype=np.uint8).reshape(9, 11)).save(folder / name)
    for encoding in ("raw", "gzip"):
        header = {"space": "left-posterior-superior", "space directions": np.eye(3), "space origin": [0, 0, 0]}
        nrrd.write(str(folder / f"{encoding}.nrrd"), dot((5, 6, 7), (1, 2, 3)), header | {"encoding": encoding})
    _write_further(folder, affine)
    for name in SHIPPED:
        found = get_testdata_file(name, download=False)
        if found is not None and Path(found).stat().st_size < 200_000:
            shutil.copyfile(found, folder / name)


def _write_further(folder: Path, affine: NDArray[np.float64]) -> None:
    """Write MetaImage, MGH, a NIfTI pair and TIFF."""
    volume, marked = dot((5, 6, 7), (1, 2, 3)), dot((12, 14, 1), (4, 5, 0), 1)
    for name, packed in (("meta.mha", False), ("packed.mha", True), ("meta.mhd", False)):
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(volume), str(folder / name), packed)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(marked.T), str(folder / f"{MASK}meta.mha"), True)
    for name in ("freesurfer.mgh", "freesurfer.mgz"):
        nibabel.save(nibabel.MGHImage(volume, affine), folder / name)
    nibabel.save(nibabel.Nifti1Pair(volume, affine), folder / "pair.hdr")
    about = {"unit": "mm", "spacing": 2.5, "axes": "ZYX"}
    tifffile.imwrite(folder / "stack.tif", volume.astype(np.uint16), imagej=True, resolution=(5, 5), metadata=about)
    Image.fromarray(volume[0].astype(np.uint8)).save(folder / "packed.tif", compression="tiff_lzw")


@dataclass
class Tally:
    """What became of the mutants so far."""

    reasons: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "none")
    peak: int = 0

    def add(self, number: int, outcome: Outcome | StudyError) -> None:
        """Count one mutant; a fault of the process itself arrives as a StudyError."""
        reason = str(outcome.reason)
        self.reasons[reason] += 1
        if reason in FINDINGS or "SECRET" in str(outcome):
            self.findings.append(f"mutant {number}: {reason}: {outcome}")
        if isinstance(outcome, Outcome):
            what = f"mutant {number}, {outcome.source}, {outcome.change}: {outcome.reason}"
            self.slowest = max(self.slowest, (outcome.seconds, what))
            self.peak = max(self.peak, outcome.peak)


def fuzz(mutants: int, seed: int, seconds: float, workers: int, folder: Path) -> Tally:
    """Examine mutants in order until all are done or the time is over."""
    write_sources(folder)
    tally, deadline = Tally(), time.monotonic() + seconds
    task = partial(examine, folder=folder, seed=seed)
    outcomes = isolated_map(task, range(mutants), workers=workers, limits=LIMITS)
    for number, outcome in enumerate(outcomes):
        tally.add(number, outcome)
        if time.monotonic() > deadline:
            break
    outcomes.close()
    return tally


def table(tally: Tally, parent: int) -> Iterator[str]:
    """Yield the lines to print."""
    for reason, count in tally.reasons.most_common():
        yield f"{count:>7}  {reason}"
    yield f"{tally.reasons.total():>7}  mutants"
    yield f"slowest: {tally.slowest[0]:.1f} s ({tally.slowest[1]})"
    yield f"peak memory: a worker {tally.peak / 2**20:.0f} MiB, this process {parent / 2**20:.0f} MiB"
    yield from tally.findings or ["no crash, no hang, nothing unexpected"]


def main() -> int:
    """Run, print the table, and return 1 for a finding."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mutants", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--workers", type=int, default=2)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = fuzz(asked.mutants, asked.seed, asked.minutes * 60, asked.workers, Path(folder))
    parent = peak_memory()
    sys.stdout.write("\n".join(table(tally, parent)) + "\n")
    return int(bool(tally.findings) or parent > PARENT_LIMIT)


if __name__ == "__main__":
    sys.exit(main())
