"""``python -m tests.ten_of_ten``: two planted audits, one whose map hits ten lesions of ten, one that hits nine.

Prints each verdict of both as results.json has it. A percentile bootstrap would call nine of ten MET and ten of ten
undecided: with no spread it has no interval.
"""

import os
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np

from camaudit import audit
from tests.pipeline.planted import plant, write_manifest, write_study

PATIENTS = 10
BOUNDS = (0.3, 0.5, 0.55, 0.6, 0.69, 0.8)


def audited(folder, hits):
    """Return the finished run of ten patients with a lesion each, of whom the map hits so many."""
    config = plant(
        folder,
        1,
        explain={"methods": ["gradcam"]},
        criteria=[{"metric": "hit_rate", "method": "gradcam", "at_least": bound} for bound in BOUNDS],
    )
    archive = folder / "archive"
    rows = []
    for number in range(PATIENTS):
        row = write_study(archive, number, True) | {"patient": f"patient{number:02}", "mask:ben": ""}
        if number >= hits:
            _mark_elsewhere(archive / row["mask:anna"])
        rows.append(row)
    write_manifest(archive, rows)
    return audit(config)


def _mark_elsewhere(path):
    """Move an expert's mask to a corner of the image where nothing is."""
    image = nibabel.load(path)
    mask = np.asarray(image.dataobj)
    moved = np.zeros_like(mask)
    corner = tuple(slice(0, 2) if mask[:4, :4, :4].sum() == 0 else slice(-2, None) for _ in range(3))
    moved[corner] = 1
    nibabel.save(nibabel.Nifti1Image(moved, image.affine), path)


def line(verdict):
    """Return a verdict in one line."""
    estimate = verdict.estimate
    return f"{verdict.rule}: {estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}] {verdict.answer}"


def main():
    """Run both audits and print their verdicts."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CAMAUDIT_STATE"] = os.environ["CAMAUDIT_REGISTER"] = f"{folder}/state"
        for hits in (PATIENTS, PATIENTS - 1):
            run = audited(Path(folder) / str(hits), hits)
            sys.stdout.write(f"{hits} of {PATIENTS} hits\n")
            sys.stdout.writelines(f"  {line(verdict)}\n" for verdict in run.results.verdicts)


if __name__ == "__main__":
    main()
