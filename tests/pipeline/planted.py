"""A small archive with a planted truth: bright blobs in noise, and a network that reads nothing but brightness.

Where the map must peak is known in world millimetres, so the whole walk can be checked against it.
"""

import csv
from pathlib import Path

import nibabel
import numpy as np
import yaml

FACTORY = """
import torch
from torch import nn

def build(sign=1.0):
    network = nn.Sequential(
        nn.AvgPool3d(2), nn.Conv3d(1, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(2, 2)
    )
    with torch.no_grad():
        network[1].weight[:] = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1, 1)
        network[1].bias[:] = torch.tensor([-0.3, -0.5])
        network[5].weight[:] = sign * torch.tensor([[-500.0, 0.0], [500.0, 0.0]])
        network[5].bias[:] = sign * torch.tensor([1.0, -1.0])
    return network
"""

SHAPE = (20, 24, 16)


def affine_of(number: int) -> np.ndarray:
    """Return an affine that is oblique, anisotropic and flipped in turn."""
    generator = np.random.default_rng(100 + number)
    turn = np.linalg.qr(np.eye(3) + 0.2 * generator.normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([1.0, 1.5, 2.0]) * np.where(generator.random(3) < 0.5, -1, 1)
    affine[:3, 3] = generator.normal(0, 50, 3)
    return affine


def write_study(folder: Path, number: int, positive: bool) -> dict[str, str]:
    """Write image and masks of one study; return its manifest row."""
    generator = np.random.default_rng(number)
    affine, name = affine_of(number), f"study{number:02}"
    image = generator.normal(0, 0.02, SHAPE).astype(np.float32)
    row = {"study": name, "patient": f"patient{number // 2:02}", "image": f"{name}.nii.gz", "mask:anna": "",
           "mask:ben": "", "label": "lesion" if positive else "", "site": "ab"[number % 2]}  # fmt: skip
    if positive:
        corner = generator.integers(2, np.array(SHAPE) - 8) // 2 * 2
        box = tuple(slice(start, start + 6) for start in corner)
        image[box] += 1
        for reader, grow in (("anna", 0), ("ben", 1)):
            mask = np.zeros(SHAPE, np.uint8)
            mask[tuple(slice(one.start - grow, one.stop + grow) for one in box)] = 1
            nibabel.save(nibabel.Nifti1Image(mask, affine), folder / f"{name}_{reader}.nii.gz")
            row[f"mask:{reader}"] = f"{name}_{reader}.nii.gz"
    nibabel.save(nibabel.Nifti1Image(image, affine), folder / row["image"])
    return row


def write_manifest(folder: Path, rows: list[dict[str, str]]) -> None:
    """Write the archive's manifest."""
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def plant(folder: Path, count: int = 24, **changes: object) -> Path:
    """Write archive, factory and ``audit.yaml``; two thirds of the studies are positive. Return the configuration."""
    archive = folder / "archive"
    archive.mkdir(parents=True)
    write_manifest(archive, [write_study(archive, number, number % 3 != 2) for number in range(count)])
    (folder / "planted_network.py").write_text(FACTORY)
    config: dict[str, object] = {
        "name": "planted",
        "archive": {"path": "archive", "manifest": "archive/manifest.csv"},
        "model": {"name": "planted", "factory": "planted_network:build", "labels": ["clear", "lesion"]},
        "prepare": [
            {"_target_": "Orientation", "axcodes": "RAS", "labels": None},
            {"_target_": "Spacing", "pixdim": [1.0, 1.0, 1.0]},
            {"_target_": "ResizeWithPadOrCrop", "spatial_size": [48, 48, 48]},
        ],
        "explain": {"methods": ["gradcam", "hirescam", "layercam"]},
        "criteria": [
            {"metric": "hit_rate", "method": "gradcam", "at_least": 0.7},
            {"metric": "energy_in_mask", "method": "gradcam", "better_than": "centre_prior"},
            {"metric": "accuracy", "at_least": 0.7},
        ],
        "report": {"cases": {"worst": 1, "best": 1, "random": 1}, "pictures": "all"},
        "run": {"batch_size": 4, "shard_size": 5, "device": "cpu", "replicates": 200},
    } | changes
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump(config))
    return path
