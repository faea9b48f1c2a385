"""
A real CT, from DICOM to an expert's segmentation
=================================================

A DICOM series in, a DICOM Segmentation beside it: the slices are sorted by their position, the distance between them
is measured and not read from a header, and the segmentation's frames lie in another order than the slices do. The
network is written by hand, so that everybody knows where it looks: the map has to lie there.
"""

import shutil
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from monai.transforms import ScaleIntensityRange
from phantoms import ct, real_studies
from torch import nn

import camaudit

# %%
# Three slices with the liver outlined (dcmqi's ``ct-3slice``, BSD-3 licence). Where this site was built without them, a
# phantom in NIfTI stands in, and the next line says so.

folder = Path(tempfile.mkdtemp())
real = real_studies("ct-liver-dicom")
if real is not None:
    (image := folder / "series").mkdir()
    for file in sorted(real.glob("0*.dcm")):
        shutil.copy(file, image)
    expert = real / "liver.dcm"
else:
    phantom = ct(np.random.default_rng(7), ill=True)
    pixels = np.ones((16, 16, 1))
    enlarged = [np.kron(array, pixels) for array in (phantom.image * 250, phantom.lesion)]
    grid = phantom.affine @ np.diag([1 / 16, 1 / 16, 1, 1])
    image, expert = folder / "ct.nii.gz", folder / "expert.nii.gz"
    nib.save(nib.Nifti1Image(enlarged[0].astype(np.float32), grid), image)
    nib.save(nib.Nifti1Image(enlarged[1].astype(np.uint8), grid), expert)
print("a real series" if real else "a phantom: no folder of real studies here")

# %%
# "How much is there of a large organ that is brighter than 30 HU?" Values from 100 HU on are all alike, so that bone
# counts no more than the liver does; then the mean of a neighbourhood of 100 pixels, and what of it is above 0.3.

neighbourhood = nn.Conv3d(1, 1, (25, 25, 1), padding=(12, 12, 0))
nn.init.constant_(neighbourhood.weight, 1 / 25**2)
nn.init.constant_(neighbourhood.bias, -0.3)
amount = nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten())
model = nn.Sequential(nn.AvgPool3d((4, 4, 1)), neighbourhood, nn.ReLU(), *amount).eval()

# %%
prepare = [ScaleIntensityRange(0, 100, 0, 1, clip=True)]
maps = camaudit.explain(model, image, prepare=prepare, target=1, methods=["hirescam"])
maps.show(expert)

# %%
# In millimetres of the patient, and against the expert.

placed = maps["hirescam"]
overlap = placed.overlap(expert)
print("voxels, mm:", np.round(np.linalg.norm(placed.image.grid.affine[:3, :3], axis=0), 3))
print("peak, mm:  ", np.round(placed.peak_mm, 1))
print(overlap["hit_rate"], overlap["energy_in_mask"], sep="\n")

assert overlap["hit_rate"].value == 1
