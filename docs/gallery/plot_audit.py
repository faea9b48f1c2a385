"""
An audit from lock to report
============================

Twelve patients, a network, one file. The criteria are fixed before anybody looks, each number is kept with its
hash, and the run can be checked without the model or the archive.
"""

import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml
from phantoms import ct, trained
from safetensors.torch import save_file

import camaudit

folder = Path(tempfile.mkdtemp())
os.environ["CAMAUDIT_STATE"] = str(folder / "state")  # a register of its own: whoever looks twice is told so

# %%
# The archive: an image for each patient, an expert's mask where there is a lesion, and a manifest that says which is
# which. ``camaudit scan`` writes one for an archive that has none.

rows = []
for number in range(12):
    ill = number % 2 == 0
    patient = ct(np.random.default_rng([3, number]), ill=ill)
    name = f"patient{number:02}"
    nib.save(nib.Nifti1Image(patient.image, patient.affine), folder / f"{name}.nii.gz")
    mask = f"{name}_mask.nii.gz" if ill else ""
    if mask:
        nib.save(nib.Nifti1Image(patient.lesion.astype(np.uint8), patient.affine), folder / mask)
    image, label = f"{name}.nii.gz", "lesion" if ill else "clear"
    rows.append({"study": name, "patient": name, "image": image, "mask:expert": mask, "label": label})
with (folder / "manifest.csv").open("w", newline="") as file:
    table = csv.DictWriter(file, rows[0])
    table.writeheader()
    table.writerows(rows)

# %%
# The model: weights as safetensors, and the function that builds the network that they belong to.

model = trained(lambda rng, ill: ct(rng, ill=ill), axes=3)
save_file(model.state_dict(), folder / "model.safetensors")
(folder / "network.py").write_text(
    f"import sys\nsys.path.insert(0, {str(Path.cwd())!r})\nfrom phantoms import classifier\n\n\n"
    "def build():\n    return classifier(3)\n"
)

# %%
# The audit. A criterion says what the map has to show, in which studies, and by how much.

audit = {
    "name": "phantom-ct",
    "archive": {"path": ".", "manifest": "manifest.csv"},
    "model": {
        "name": "phantom",
        "factory": "network:build",
        "weights": "model.safetensors",
        "labels": ["clear", "lesion"],
        "training_data": "960 phantoms, drawn with another seed",
    },
    "prepare": [{"_target_": "ScaleIntensityRange", "a_min": 0, "a_max": 1, "b_min": 0, "b_max": 1}],
    "explain": {"methods": ["layercam"], "targets": ["lesion"]},
    "criteria": [{"metric": "hit_rate", "method": "layercam", "among": "reference_positive", "at_least": 0.5}],
    "report": {"title": "Twelve phantoms", "pictures": "all", "cases": "all"},
    "run": {"engine": "local"},
}
(folder / "audit.yaml").write_text(yaml.safe_dump(audit, sort_keys=False))


def camaudit_command(*arguments: str) -> str:
    """Run the command line as a user would, and return what it says."""
    command = [sys.executable, "-m", "flows", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


# %%
# Locked before the first look: what is changed afterwards makes the report say EXPLORATORY on every page.

print(camaudit_command("lock", "audit.yaml", "--quiet"))

# %%
# Run in this process. ``camaudit run audit.yaml`` does the same, with a progress bar and, where there is one, a
# server.

finished = camaudit.audit(folder / "audit.yaml")
finished

# %%
# One exact test over patients answers each criterion; the table says what the cohort showed.

finished.table("hit_rate")

# %%
# A case, as the report shows it.

shown = next(study.study for study in finished.audits if study.map_scores)
finished.overlay(shown, "layercam")

# %%
# Anybody can hold the run against itself: hashes, signatures, rows, maps, conclusions, and every page.

verification = camaudit.verify(finished.folder)
print("failures:", verification.failures)
print("report:", finished.report.name, f"{finished.report.stat().st_size / 1e6:.1f} MB")

assert not verification.failures
assert [verdict.answer for verdict in finished.verdicts] == ["MET"]
assert not finished.exploratory
