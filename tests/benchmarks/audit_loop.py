"""What a whole audit costs beside a loop written by hand: ``python -m tests.benchmarks.audit_loop [STUDIES]``.

One map (Grad-CAM) and five metrics on small studies of 64 x 64 x 64 voxels with one reader's mask, and a network that
costs little. The loop loads the same files by the same transforms with MONAI, computes the map with torchcam
(``make bench`` installs it) and the five scores with NumPy and scikit-image, and writes one CSV row a map: no locks, no
isolation, no report. An audit scores two baselines beside each map, so both are run with and without them. Each runs in
a process of its own; user and system seconds of it and of its children count.
"""

import csv
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import yaml

from tests.pipeline.planted import FACTORY, write_manifest

ROOT = Path(__file__).resolve().parents[2]
SIZE, STUDIES, ROUNDS = 64, 400, 3
PREPARE = [
    {"_target_": "Orientation", "axcodes": "RAS", "labels": None},
    {"_target_": "ScaleIntensityRange", "a_min": 0.0, "a_max": 1000.0, "b_min": 0.0, "b_max": 1.0},
]


def write_archive(folder: Path, studies: int) -> Path:
    """Write images, masks, manifest, network and ``audit.yaml``; return the latter."""
    archive = folder / "archive"
    archive.mkdir(parents=True)
    rows = []
    for number in range(studies):
        generator = np.random.default_rng(number)
        image = generator.normal(0, 20, (SIZE,) * 3)
        corner = generator.integers(4, SIZE - 20, 3)
        box = tuple(slice(start, start + 14) for start in corner)
        image[box] += 1000
        mask = np.zeros(image.shape, np.uint8)
        mask[box] = 1
        row = {"study": f"s{number:03}", "patient": f"p{number:03}", "label": "lesion"}
        for name, array in (("image", image.astype(np.int16)), ("mask:anna", mask)):
            row[name] = f"s{number:03}_{name[:4]}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(array, np.diag([1.0, 1.0, 2.0, 1.0])), archive / row[name])
        rows.append(row)
    write_manifest(archive, rows)
    (folder / "planted_network.py").write_text(FACTORY)
    config = {
        "name": "loop",
        "archive": {"path": "archive", "manifest": "archive/manifest.csv"},
        "model": {"name": "planted", "factory": "planted_network:build", "labels": ["clear", "lesion"], "layers": "2"},
        "prepare": PREPARE,
        "explain": {"methods": ["gradcam"]},
        "report": {"cases": {"worst": 1, "best": 1, "random": 1}},
        "run": {"device": "cpu", "batch_size": 8},
    }
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def by_hand(folder: Path, *, baselines: bool) -> None:
    """Audit the archive in a plain loop."""
    import torch
    from monai.data import DataLoader, Dataset
    from monai.transforms import Compose, EnsureChannelFirstd, LoadImaged, Orientationd, ScaleIntensityRanged
    from torchcam.methods import GradCAM

    sys.path.insert(0, str(folder))
    from planted_network import build

    with (folder / "archive/manifest.csv").open() as file:
        rows = [
            {"image": folder / "archive" / row["image"], "mask": folder / "archive" / row["mask:anna"]}
            for row in csv.DictReader(file)
        ]
    both = ["image", "mask"]
    transforms = Compose(
        [
            LoadImaged(both),
            EnsureChannelFirstd(both),
            Orientationd(both, axcodes="RAS", labels=None),
            ScaleIntensityRanged("image", a_min=0.0, a_max=1000.0, b_min=0.0, b_max=1.0),
        ]
    )
    network = build().eval()
    extractor = GradCAM(network, network[2], input_shape=(1, SIZE, SIZE, SIZE))
    generator = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.linspace(-2, 2, SIZE)] * 3, indexing="ij"))
    prior = np.exp(-0.5 * (grid**2).sum(axis=0)).astype(np.float32)
    with (folder / "by_hand.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        for batch in DataLoader(Dataset(rows, transforms), batch_size=8):
            logits = network(batch["image"].as_tensor())
            cam = extractor(1, logits, normalized=False)[0][:, None]
            maps = torch.nn.functional.interpolate(cam, size=(SIZE,) * 3, mode="trilinear", align_corners=False)
            for heatmap, mask in zip(maps[:, 0].detach().numpy(), batch["mask"][:, 0].numpy() > 0, strict=True):
                noise = torch.from_numpy(generator.random((1, 1, *cam.shape[2:]), dtype=np.float32))
                noise = torch.nn.functional.interpolate(noise, size=(SIZE,) * 3, mode="trilinear", align_corners=False)
                others = (noise[0, 0].numpy(), prior) if baselines else ()
                for values in (heatmap, *others):
                    writer.writerow(scores_by_hand(values, mask))


def scores_by_hand(values: np.ndarray, mask: np.ndarray) -> tuple[float, ...]:
    """Return the five scores as a careful user writes them down."""
    from skimage.filters import threshold_otsu

    region = values > threshold_otsu(values)
    common = np.count_nonzero(region & mask)
    order = np.argsort(-values, axis=None)
    ordered, hits = values.ravel()[order], np.cumsum(mask.ravel()[order])
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(order) - 1)
    return (
        common / np.count_nonzero(region | mask),
        2 * common / (np.count_nonzero(region) + np.count_nonzero(mask)),
        float(mask.ravel()[order[0]]),
        float(values[mask].sum() / values.sum()),
        float((np.diff(hits[ends], prepend=0) * hits[ends] / (ends + 1)).sum() / hits[-1]),
    )


def cpu_seconds(command: list[str], environment: dict[str, str]) -> float:
    """Return the seconds of a process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> int:
    """Print each round's seconds, and the median ratios."""
    if sys.argv[1:2] == ["by-hand"]:
        by_hand(Path(sys.argv[2]), baselines=sys.argv[3] == "with")
        return 0
    studies = int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES
    rounds = []
    with tempfile.TemporaryDirectory() as name:
        config = write_archive(Path(name) / "audit", studies)
        for number in range(ROUNDS if studies >= STUDIES else 1):
            environment = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CAMAUDIT_STATE": f"{name}/state{number}"}
            audit = [sys.executable, "-m", "flows", "run", str(config), "--quiet", "--set", "run.engine=local"]
            loop = [sys.executable, "-m", "tests.benchmarks.audit_loop", "by-hand", str(config.parent)]
            commands = (audit, [*audit, "--set", "overlap.baselines=[]"], [*loop, "with"], [*loop, "without"])
            spent = []
            for command in commands:
                shutil.rmtree(config.parent / "runs", ignore_errors=True)  # an audit takes over what another answered
                spent.append(cpu_seconds(command, environment))
            rounds.append(spent)
            print("with baselines: audit {0:.1f} s, loop {2:.1f} s; without: {1:.1f} s, {3:.1f} s".format(*spent))
    for of, to, what in (
        (0, 2, "both with baselines"),
        (1, 3, "both without"),
        (0, 3, "the audit with, the loop without"),
    ):
        ratio = statistics.median(spent[of] / spent[to] for spent in rounds)
        print(f"{studies} studies: {ratio:.2f} times the processor time of the loop, {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
