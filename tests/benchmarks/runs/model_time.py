"""What an audit takes beyond its model: ``python -m tests.benchmarks.runs.model_time [STUDIES]``.

DenseNet121 in 3D on studies of 96^3 voxels with one reader's mask, three methods at the last layer, batches of two. In
one process, in turn:

- the model's time, as a loop written by hand takes it: a forward and the gradient of one logit at the layer, of tensors
  that lie in memory; no map is made of it;
- the maps of the same tensors by ``cam.explain``;
- the audit of the studies, eight after eight as a run takes its shards: files read in another process, maps scored
  against mask and baselines in a thread behind. Reading the first study and scoring the last ones is counted.

The model has one thread, so that a second core can read and score beside it, as it would beside a device. What the
audit adds to the model is what its own thread takes beyond the model's time, what it waits for the others (for a study,
for scores, for Python's lock), and, where the work beside it lasts longer than the model, the rest of that. Processor
time says so on a busy machine too; wall time needs two idle cores. Linux tells how long the thread was ready and had no
core: the wall time without that is printed as well. It is still too long on a busy machine, where those that the thread
waits for had no core either.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import torch
import yaml

from cam import explain
from flows.allocation import keep_freed_memory, let_numpy_use_one_thread, let_waiting_threads_sleep
from pipeline.checks.config_checks import checked_config
from pipeline.runs.start import prepare_start
from pipeline.studies.untrusted.workers import WorkerPool
from pipeline.walk.auditor import Auditor
from pipeline.walk.sources import StudySource
from pipeline.walk.stretches import Stretch
from pipeline.walk.study_walk import audit_in_turn
from tests.benchmarks.runs.engines import DENSENET
from tests.pipeline.planted import write_manifest

SIZE, STUDIES, ROUNDS, BATCH, SHARD = 96, 40, 3, 2, 8
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
    """What a study took: by the clock, of the thread with the model, and of this process's other threads.

    ``without_queue`` is by the clock, but for what that thread was ready to work and had no core.
    """

    wall: float
    without_queue: float
    model_thread: float
    beside: float


def seconds(studies: int, work: Callable[[], object]) -> Seconds:
    """Return the seconds of each of so many studies that are worked at once."""
    wall, queued, thread, process = time.perf_counter(), _queued(), time.thread_time(), time.process_time()
    work()
    wall, queued = time.perf_counter() - wall, _queued() - queued
    thread, process = time.thread_time() - thread, time.process_time() - process
    return Seconds(wall / studies, (wall - queued) / studies, thread / studies, (process - thread) / studies)


def _queued() -> float:
    """Return how many seconds this thread was ready to work and had no core; 0 where the system does not tell."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


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


def audited(auditor: Auditor, sources: Sequence[StudySource]) -> None:
    """Audit the studies, a shard after the other."""
    shards = (Stretch(auditor, sources[start : start + SHARD]) for start in range(0, len(sources), SHARD))
    for rows, _ in audit_in_turn(next(shards), lambda: next(shards, None)):
        assert all(row.status == "analysed" for row in rows)


def started_as_a_run_is() -> None:
    """Start this program anew where libraries that it has loaded were not told of threads as the command line does."""
    environment = dict(os.environ)
    let_waiting_threads_sleep(environment)
    let_numpy_use_one_thread(environment)
    if environment != os.environ:
        os.execve(sys.executable, [sys.executable, "-m", __spec__.name, *sys.argv[1:]], environment)


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
            print(
                f"model's thread {audit.model_thread:.3f} s, beside it {audit.beside:.3f} s, wall {audit.wall:.3f} s,"
            )
            print(f"  {audit.without_queue:.3f} s without the queue for a core (model {model.without_queue:.3f} s)")
    for what, of, to in (
        ("maps", lambda kinds: kinds[1].model_thread, lambda kinds: kinds[0].model_thread),
        ("the audit's thread with the model", lambda kinds: kinds[2].model_thread, lambda kinds: kinds[0].model_thread),
        ("the threads beside it", lambda kinds: kinds[2].beside, lambda kinds: kinds[0].model_thread),
        ("wall time of the audit", lambda kinds: kinds[2].wall, lambda kinds: kinds[0].wall),
        ("without the queue", lambda kinds: kinds[2].without_queue, lambda kinds: kinds[0].without_queue),
    ):
        ratio = statistics.median(of(kinds) / to(kinds) for kinds in rounds)
        print(f"{what}: {ratio:.2f} times the model's time ({studies} studies of {SIZE}^3)")


if __name__ == "__main__":
    started_as_a_run_is()
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES)
