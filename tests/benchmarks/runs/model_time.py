"""What an audit takes beyond its model: ``python -m tests.benchmarks.runs.model_time [STUDIES]``.

DenseNet121 in 3D on studies of 96^3 voxels with one reader's mask, three methods at the last layer, batches of two. In
one process, in turn: the network's forwards and the maps of all studies by ``cam.explain`` alone, on tensors that lie
in memory; and the audit of the same studies, files read, maps scored against mask and baselines. The model has one
thread, so that a second core can read and score beside it, as it would beside a device. Wall times, which need two idle
cores to mean anything, and this process's processor time, each with its paired ratio.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np
import torch
import yaml

from cam import explain
from pipeline.checks.config_checks import checked_config
from pipeline.runs.start import prepare_start
from pipeline.studies.untrusted.workers import WorkerPool
from pipeline.walk.auditor import Auditor
from pipeline.walk.sources import StudySource
from pipeline.walk.study_walk import audit_studies
from tests.benchmarks.runs.engines import DENSENET
from tests.pipeline.planted import write_manifest

SIZE, STUDIES, ROUNDS, BATCH = 96, 12, 3, 2
METHODS = ["gradcam", "hirescam", "layercam"]


def write_archive(folder: Path, studies: int) -> Path:
    """Write images, masks, manifest, network and ``audit.yaml``; return the latter."""
    archive = folder / "archive"
    archive.mkdir(parents=True)
    rows = []
    for number in range(studies):
        generator = np.random.default_rng(number)
        image, mask = generator.normal(0, 1, (SIZE,) * 3).astype(np.float32), np.zeros((SIZE,) * 3, np.uint8)
        box = tuple(slice(start, start + 20) for start in generator.integers(4, SIZE - 24, 3))
        mask[box] = 1
        row = {"study": f"s{number:03}", "patient": f"p{number:03}", "label": "lesion"}
        for name, array in (("image", image + 2 * mask), ("mask:anna", mask)):
            row[name] = f"s{number:03}_{name[:4]}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), archive / row[name])
        rows.append(row)
    write_manifest(archive, rows)
    (folder / "planted_network.py").write_text(DENSENET)
    config = {
        "name": "model-time",
        "archive": {"path": "archive", "manifest": "archive/manifest.csv"},
        "model": {"name": "densenet", "factory": "planted_network:build", "labels": ["clear", "lesion"]},
        "prepare": [{"_target_": "ScaleIntensity"}],
        "explain": {"methods": METHODS},
        "run": {"device": "cpu", "batch_size": BATCH, "workers": 1},
    }
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def now() -> tuple[float, float]:
    """Return what the clock says, and the processor time of this process."""
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    """Return wall and processor seconds since then."""
    wall, processor = now()
    return wall - start[0], processor - start[1]


def model_alone(auditor: Auditor, studies: int) -> tuple[float, float]:
    """Return the seconds that forwards and maps of so many studies take."""
    x = torch.rand(BATCH, 1, SIZE, SIZE, SIZE)
    start = now()
    for _ in range(studies // BATCH):
        explain(
            auditor.network,
            x,
            [1],
            methods=METHODS,
            layers=auditor.layers,
            memory=auditor.memory,
            rectify=False,
        )
    return since(start)


def audited(auditor: Auditor, sources: tuple[StudySource, ...]) -> tuple[float, float]:
    """Return the seconds that the audit of the studies takes."""
    start = now()
    rows, _ = audit_studies(auditor, sources)
    assert all(row.status == "analysed" for row in rows)
    return since(start)


def main(studies: int) -> None:
    """Print both times of each round, and the median of the paired ratios."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, WorkerPool() as pool:
        start = prepare_start(checked_config(write_archive(Path(folder), studies)), "benchmark", pool)
        rounds = [(model_alone(start.auditor, studies), audited(start.auditor, start.sources)) for _ in range(ROUNDS)]
    for number, kind in enumerate(("wall", "processor")):
        pairs = [(model[number] / studies, audit[number] / studies) for model, audit in rounds]
        for model, audit in pairs:
            print(f"{kind}: model and maps {model:.3f} s, audit {audit:.3f} s a study")
        more = statistics.median(audit / model for model, audit in pairs)
        print(f"{kind}: the audit takes {more:.2f} times the model's ({studies} studies of {SIZE}^3)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES)
