"""
A volume, in millimetres
========================

A network sees a resampled, cropped, re-oriented copy of a scan. The map that comes out of it lies on a grid of a
few cells. Here it is brought back to where the scan lies, carried to another scan, and measured against an expert's
mask.
"""

import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from monai.transforms import Orientation, ResizeWithPadOrCrop, Spacing
from phantoms import ct, trained

import camaudit

model = trained(lambda rng, ill: ct(rng, ill=ill), axes=3)

# %%
# The patient's scan is a file, as are the expert's mask and a second scan whose voxels are larger and turned.

patient = ct(np.random.default_rng(7), ill=True)
folder = Path(tempfile.mkdtemp())
nib.save(nib.Nifti1Image(patient.image, patient.affine), folder / "ct.nii.gz")
nib.save(nib.Nifti1Image(patient.lesion.astype(np.uint8), patient.affine), folder / "expert.nii.gz")
turned = patient.affine @ np.array([[-2.0, 0, 0, 31], [0, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
nib.save(nib.Nifti1Image(np.zeros((16, 16, 16), np.float32), turned), folder / "other.nii.gz")

# %%
# ``prepare`` is what the network was trained with. Each step is undone by its affine: nothing is guessed.

prepare = [Orientation("RAS", labels=None), Spacing((1.25, 1.25, 2.5)), ResizeWithPadOrCrop((32, 32, 16))]
gradcam = camaudit.explain(model, folder / "ct.nii.gz", prepare=prepare, target=1)["gradcam"]
gradcam.show(folder / "expert.nii.gz")

# %%
# Where its maximum lies, where the lesion lies, and what an audit would score.

middle = patient.affine[:3, :3] @ np.argwhere(patient.lesion).mean(axis=0) + patient.affine[:3, 3]
print("peak of the map, mm ", np.round(gradcam.peak_mm, 1))
print("middle of the lesion", np.round(middle, 1))
overlap = gradcam.overlap(folder / "expert.nii.gz")
print(overlap["hit_rate"], overlap["iou"], sep="\n")

# %%
# On the other scan's grid the map keeps its place in the patient; any viewer opens the file where it belongs.

elsewhere = gradcam.on(folder / "other.nii.gz")
elsewhere.save(folder / "gradcam-on-other.nii.gz")
print(elsewhere.array.shape, np.round(elsewhere.peak_mm, 1))

assert np.linalg.norm(np.subtract(gradcam.peak_mm, middle)) < 8
assert np.linalg.norm(np.subtract(elsewhere.peak_mm, gradcam.peak_mm)) < 5
