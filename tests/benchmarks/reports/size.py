"""What a report costs: ``python -m tests.benchmarks.reports.size``.

A cohort of 1,000 studies of which 40 are shown, each with two planes of 512 x 512 noisy pixels, two experts and three
maps; and the same cohort with more of them shown, for what a case adds. In a process each: elapsed and CPU seconds, the
peak of resident memory, the file's size. Exits 1 where a limit is passed, or a case adds more memory than its places in
the file's tables.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from pipeline.findings.pictures.panels import CasePanels, save_panels
from pipeline.findings.results import CaseEntry
from pipeline.findings.study_audit import StudyAudit
from tests.benchmarks.resident import peak_resident
from tests.reports import example

STUDIES, SHOWN = 1000, (40, 160)
MIB = 2**20
SECONDS, MEMORY, SIZE = 30.0, 400 * MIB, 40 * MIB
"""What the report with 40 cases may take."""
A_CASE = 0.05 * MIB
"""What one case more may take of memory."""


def noisy_panels(study: str, seed: int, pixels: int = 512) -> CasePanels:
    """Return two planes with noise in every pixel, as a CT has: what compresses worst."""
    generator = np.random.default_rng(seed)
    views = []
    for _ in range(2):
        plane = example.view((pixels, pixels), (0.7, 0.7))
        noise = generator.normal(0, 40, plane.image.shape).astype(np.float32)
        views.append(type(plane)(**{**vars(plane), "image": np.rint(plane.image + noise).astype(np.float32)}))
    return example.panels(study, *views)


def written_run(folder: Path, shown: int) -> Path:
    """Write the folder of a finished run that shows ``shown`` cases."""
    names = [f"S{number:04d}" for number in range(shown)]
    entries = [
        CaseEntry(study=name, rule="all", panels=f"cases/{name}.npz", audit=example.audit(name)) for name in names
    ]
    failed = [
        StudyAudit(study=f"X{number:04d}", patient=f"Q{number}", source_sha256="1" * 64, status="failed", stage="read",
                   reason="truncated", message="the pixel data end early")
        for number in range(20)
    ]  # fmt: skip
    flow = {"found": STUDIES, "analysed": STUDIES - 20, "failed": {"truncated": 20}, "excluded": {}}
    flow |= {"patients": STUDIES, "computed": STUDIES, "reused": 0}
    base = example.results(cases=tuple(entries), not_analysed=tuple(failed))
    results = base.model_copy(update={"flow": base.flow.model_copy(update=flow)})
    example.write_run(folder, results)
    rows = "".join(f"S{number:04d},nodule,gradcam,A,0.31,0.62,0.20\n" * 10 for number in range(STUDIES))
    (folder / "per_study.csv").write_text(f"study,target,method,reader,iou,hit_rate,energy_in_mask\n{rows}")
    for seed, name in enumerate(names):
        save_panels(noisy_panels(name, seed), folder / "cases" / f"{name}.npz")
    return folder


def render_alone(folder: Path) -> None:
    """Render a run's report and print what it took; called in a process of its own."""
    from reports.pdf import render  # its own process: what it imports counts

    start, cpu = time.perf_counter(), time.process_time()
    report = render(folder)
    taken, worked = time.perf_counter() - start, time.process_time() - cpu
    print(taken, worked, peak_resident(), report.stat().st_size)


def measured(folder: Path) -> tuple[float, float, float, float]:
    """Return elapsed seconds, CPU seconds, peak bytes and the file's bytes of a rendering in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmarks.reports.size", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    elapsed, worked, memory, size = (float(part) for part in done.stdout.split())
    return elapsed, worked, memory, size


def main() -> None:
    """Print a line for each number of cases, and what one more adds; exit 1 where a limit is passed."""
    figures = []
    for shown in SHOWN:
        with tempfile.TemporaryDirectory() as name:
            figures.append(measured(written_run(Path(name), shown)))
        elapsed, worked, memory, size = figures[-1]
        print(
            f"{STUDIES:,} studies, {shown:4} cases: {elapsed:6.1f} s, {worked:6.1f} CPU s, "
            f"{memory / MIB:6.0f} MiB of memory, {size / MIB:6.1f} MiB of file",
            flush=True,
        )
    first, last = figures[0], figures[-1]
    more = SHOWN[-1] - SHOWN[0]
    print(
        f"one more case: {(last[1] - first[1]) / more:.2f} CPU s, "
        f"{(last[2] - first[2]) / more / MIB:.3f} MiB of memory, {(last[3] - first[3]) / more / MIB:.2f} MiB of file"
    )
    grows = last[2] - first[2] > A_CASE * more
    raise SystemExit(first[0] > SECONDS or first[2] > MEMORY or first[3] > SIZE or grows)


if __name__ == "__main__":
    if sys.argv[1:]:
        render_alone(Path(sys.argv[1]))
    else:
        main()
