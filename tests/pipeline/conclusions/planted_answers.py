"""A small archive in which every kind of answer comes: bright lesions, dark artefacts, and a network that reads both.

What is bright is benign to the network, and what is dark malignant, whatever the reference says: so the map of
``benign`` lies on the lesion that the experts marked, and that of ``malignant`` on the artefact beside it.
"""

from pathlib import Path

import nibabel
import numpy as np
import yaml

from tests.pipeline.planted import SHAPE, affine_of, write_manifest

LABELS = ("clear", "benign", "malignant")

FACTORY = """
import torch
from torch import nn

def build(independent=False):
    network = nn.Sequential(
        nn.AvgPool3d(2), nn.Conv3d(1, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(2, 3)
    )
    with torch.no_grad():
        network[1].weight[:] = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1, 1)
        network[1].bias[:] = torch.tensor([-0.3, -0.3])
        network[5].weight[:] = torch.tensor([[0.0, 0.0], [500.0, 0.0], [0.0, 900.0]])
        network[5].bias[:] = torch.tensor([-1.0, -1.0, -1.0]) if independent else torch.tensor([1.25, -0.1, -0.1])
    return network
"""

CASES = {
    "benign_found": ("benign", 1.0, 0.0),
    "malignant_found": ("malignant", 1.0, -1.0),
    "benign_called_malignant": ("benign", 1.0, -1.0),
    "malignant_called_benign": ("malignant", 1.0, 0.0),
    "malignant_called_clear": ("malignant", 0.31, 0.0),
    "false_alarm": ("", 0.0, -1.0),
    "clear": ("", 0.0, 0.0),
}
"""What the reference says, how bright the lesion is that the experts marked, and how dark the artefact."""

RIGHT = ("benign_found", "malignant_found", "clear")


def _write(archive: Path, number: int, name: str) -> dict[str, str]:
    reference, bright, dark = CASES[name]
    generator, affine = np.random.default_rng(number), affine_of(number)
    image = generator.normal(0, 0.01, SHAPE).astype(np.float32)
    box = tuple(slice(start, start + 6) for start in (4, 2 + 2 * (number % 2), 2))
    image[box] += bright
    image[12:18, 14:20, 8:14] += dark
    nibabel.save(nibabel.Nifti1Image(image, affine), archive / f"study{number:02}.nii.gz")
    row = {"study": f"study{number:02}", "patient": f"patient{number:02}", "image": f"study{number:02}.nii.gz",
           "mask:anna": "", "mask:ben": "", "label": reference}  # fmt: skip
    for reader, grow in (("anna", 0), ("ben", 1)) if reference else ():
        mask = np.zeros(SHAPE, np.uint8)
        mask[tuple(slice(part.start - grow, part.stop + grow) for part in box)] = 1
        row[f"mask:{reader}"] = f"study{number:02}_{reader}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(mask, affine), archive / row[f"mask:{reader}"])
    return row


def plant_answers(folder: Path, cases: tuple[str, ...] = tuple(CASES), **changes: object) -> Path:
    """Write archive, factory and ``audit.yaml``, a study for each of the cases; return the configuration."""
    archive = folder / "archive"
    archive.mkdir(parents=True)
    write_manifest(archive, [_write(archive, number, name) for number, name in enumerate(cases)])
    (folder / "planted_answers.py").write_text(FACTORY)
    config: dict[str, object] = {
        "name": "answers",
        "archive": {"path": "archive", "manifest": "archive/manifest.csv"},
        "model": {"name": "answers", "factory": "planted_answers:build", "labels": list(LABELS)},
        "prepare": [
            {"_target_": "Orientation", "axcodes": "RAS", "labels": None},
            {"_target_": "Spacing", "pixdim": [1.0, 1.0, 1.0]},
            {"_target_": "ResizeWithPadOrCrop", "spatial_size": [48, 48, 48]},
        ],
        "explain": {"methods": ["gradcam"]},
        "report": {"cases": {"worst": 0, "best": 0, "random": 9}, "pictures": "all"},
        "run": {"batch_size": 8, "shard_size": 8, "device": "cpu", "replicates": 200},
    } | changes
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump(config))
    return path
