"""What an audit takes beyond its model: ``python -m tests.benchmarks.runs.model_time [STUDIES]``.

DenseNet121 in 3D on studies of 96^3 voxels with one reader's mask, three methods at the last layer, batches of two. In
one process, in turn:

- the model's time, as a loop written by hand takes it: a forward and the gradient of one logit at the layer, of tensors
  that lie in memory; no map is made of it;
- the maps of the same tensors by ``cam.explain``;
- the audit of the studies: files read in another process, maps scored against mask and baselines in a thread behind.

The model has one thread, so that a second core can read and score beside it, as it would beside a device. What the
audit adds to the model is what its own thread takes beyond the model's time, and, where the work beside it lasts longer
than the model, the rest of that. Processor time says so on a busy machine too; wall time needs two idle cores.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import torch
import yaml

from cam import explain
from flows.allocation import keep_freed_memory
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


@dataclass(frozen=True)
class Seconds:
    """What a study took: by the clock, of the thread with the model, and of this process's other threads."""

    wall: float
    model_thread: float
    beside: float


def seconds(studies: int, work: Callable[[], object]) -> Seconds:
    """Return the seconds of each of so many studies that are worked at once."""
    wall, thread, process = time.perf_counter(), time.thread_time(), time.process_time()
    work()
    wall, thread, process = time.perf_counter() - wall, time.thread_time() - thread, time.process_time() - process
    return Seconds(wall / studies, thread / studies, (process - thread) / studies)


def model_alone(auditor: Auditor, studies: int) -> None:
    """Run the network forwards, and one logit's gradient back to the layer, for so many studies."""
    x = torch.rand(BATCH, 1, SIZE, SIZE, SIZE)
    leaves: list[torch.Tensor] = []

    def cut(_module: torch.nn.Module, _given: object, values: torch.Tensor) -> torch.Tensor:
        leaves.append(values.detach().requires_grad_())
        return leaves[-1]

    handle = auditor.network.get_submodule(auditor.layers[0]).register_forward_hook(cut)
    trained = [weight for weight in auditor.network.parameters() if weight.requires_grad]
    for weight in trained:
        weight.requires_grad_(False)  # no graph before the layer
    try:
        for _ in range(studies // BATCH):
            logits = auditor.network(x)
            torch.autograd.grad(logits[:, 1].sum(), leaves.pop())
    finally:
        handle.remove()
        for weight in trained:
            weight.requires_grad_()


def explained(auditor: Auditor, studies: int) -> None:
    """Make the maps of so many studies."""
    x = torch.rand(BATCH, 1, SIZE, SIZE, SIZE)
    for _ in range(studies // BATCH):
        explain(auditor.network, x, [1], methods=METHODS, layers=auditor.layers, memory=auditor.memory, rectify=False)


def audited(auditor: Auditor, sources: tuple[StudySource, ...]) -> None:
    """Audit the studies."""
    rows, _ = audit_studies(auditor, sources)
    assert all(row.status == "analysed" for row in rows)


def main(studies: int) -> None:
    """Print the times of each round, and the medians of the paired ratios."""
    torch.set_num_threads(1)
    keep_freed_memory()  # as a run does
    rounds = []
    with tempfile.TemporaryDirectory() as folder, WorkerPool() as pool:
        start = prepare_start(checked_config(write_archive(Path(folder), studies)), "benchmark", pool)
        audited(start.auditor, start.sources[:BATCH])
        for _ in range(ROUNDS):
            model = seconds(studies, partial(model_alone, start.auditor, studies))
            maps = seconds(studies, partial(explained, start.auditor, studies))
            audit = seconds(studies, partial(audited, start.auditor, start.sources))
            rounds.append((model, maps, audit))
            print(f"a study: model {model.model_thread:.3f} s, with maps {maps.model_thread:.3f} s; audit:", end=" ")
            print(f"model's thread {audit.model_thread:.3f} s, beside it {audit.beside:.3f} s, wall {audit.wall:.3f} s")
    for what, of, to in (
        ("maps", lambda kinds: kinds[1].model_thread, lambda kinds: kinds[0].model_thread),
        ("the audit's thread with the model", lambda kinds: kinds[2].model_thread, lambda kinds: kinds[0].model_thread),
        ("the threads beside it", lambda kinds: kinds[2].beside, lambda kinds: kinds[0].model_thread),
        ("wall time of the audit", lambda kinds: kinds[2].wall, lambda kinds: kinds[0].wall),
    ):
        ratio = statistics.median(of(kinds) / to(kinds) for kinds in rounds)
        print(f"{what}: {ratio:.2f} times the model's time ({studies} studies of {SIZE}^3)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES)
