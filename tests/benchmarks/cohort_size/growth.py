"""What a cohort's statistics take as it grows: ``python -m tests.benchmarks.cohort_size [STUDIES ...]``.

Shards of 500 studies are simulated, each study with one reader, eight maps, two baselines and five metrics; two studies
a patient, five sites. From them the run's own code draws what a report needs: records are read, cut into units, two
criteria are judged, every map is estimated in every stratum and site, and the table ``per_study.csv`` is written. Each
number of studies has a process of its own; its memory is the largest above what it had with everything imported.

``--rule`` measures the exact rule and the descriptive interval alone, up to a million patients.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.conclusions.per_study_csv import per_study_csv
from pipeline.config import Criterion
from pipeline.evidence.cohort.bootstrap import mean_interval
from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.cohort.summary import estimates
from pipeline.evidence.cohort.units import units_of
from pipeline.evidence.exact.means import exact_interval
from pipeline.evidence.metrics.registry import METRICS as KNOWN
from pipeline.evidence.verdicts.criteria import Cohort, judge_all
from pipeline.findings.recipes import Recipes
from pipeline.findings.scores import MapScores, Score
from pipeline.findings.shards import read_shard, write_shard
from pipeline.findings.study_audit import StudyAudit
from tests.benchmarks.cohort_memory import SHARD, whole_shards
from tests.benchmarks.measure import GIB
from tests.benchmarks.resident import peak_resident, reset_peak, resident, succeeds_apart

SIZES = (1_000, 10_000)
PATIENTS = (1_000, 10_000, 100_000, 1_000_000)
METRICS = ("iou", "dice", "hit_rate", "energy_in_mask", "average_precision")
MAPS = ("gradcam", "hirescam", "layercam", "gradcampp", "xgradcam", "eigencam", "scorecam", "ablationcam")
BASELINES = ("random_map", "centre_prior")
PLACES = {(name, "layer"): "map" for name in MAPS} | {(name, ""): "" for name in BASELINES}
RECIPES = Recipes("study", "masks", PLACES, dict.fromkeys(PLACES, "scores"))


def study(number: int) -> StudyAudit:
    """Return a study as a run records it."""
    entries = tuple(
        MapScores(
            target="nodule",
            method=name,
            layer="layer" if name in MAPS else None,
            reader="anna",
            map=f"maps/0000.npz#S-{number}/nodule/{name}/layer" if name in MAPS else None,
            map_sha256="0" * 64 if name in MAPS else None,
            cell_mm=(8.0, 8.0, 16.0),
            seen_share=1.0,
            mask_share=0.02,
            scores=tuple(Score(name=metric, value=0.5, chance=0.02) for metric in METRICS),
        )
        for name in (*MAPS, *BASELINES)
    )
    return StudyAudit(
        study=f"S-{number}",
        patient=f"P-{number // 2}",
        source_sha256="0" * 64,
        status="analysed",
        reference=("nodule",),
        predicted=("nodule",) if number % 4 else (),
        probabilities={"clear": 0.1, "nodule": 0.9},
        strata={"site": f"site {number % 5}"},
        facts={"Modality": "CT", "length unit": "mm"},
        masks=1,
        map_scores=entries,
    )


def write_shards(folder: Path, studies: int) -> None:
    """Write the shards of so many studies; all but the first are its copies with other names and scores."""
    write_shard(folder / "0000.parquet", [study(number) for number in range(SHARD)], RECIPES)
    first = pq.read_table(folder / "0000.parquet")
    rows, generator = len(first), np.random.default_rng(0)
    numbers = np.repeat(np.arange(SHARD), rows // SHARD)
    for shard in range(studies // SHARD):
        own = numbers + shard * SHARD
        table = first
        for name, values in (("study", [f"S-{at}" for at in own]), ("patient", [f"P-{at // 2}" for at in own])):
            table = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
        scores = table.column("scores").combine_chunks()
        parts = {field.name: scores.values.field(field.name) for field in scores.type.value_type}
        drawn = generator.beta(8, 4, len(scores.values))
        hits = np.arange(len(drawn)) % len(METRICS) == METRICS.index("hit_rate")
        parts["value"] = pa.array(np.where(hits, drawn > 0.4, drawn))
        changed = pa.ListArray.from_arrays(
            scores.offsets, pa.StructArray.from_arrays(list(parts.values()), list(parts))
        )
        table = table.set_column(table.schema.get_field_index("scores"), table.schema.field("scores"), changed)
        pq.write_table(table, folder / f"{shard:04d}.parquet", compression="zstd")


CRITERIA = (
    Criterion(metric="hit_rate", method="gradcam", at_least=0.7),
    Criterion(metric="iou", method="gradcam", better_than="centre_prior"),
)


def conclude(folder: Path, timed: dict[str, float]) -> None:
    """Draw a cohort's conclusions from its shards; note each step's seconds."""

    def step(name: str, start: float) -> float:
        timed[name] = time.process_time() - start
        return time.process_time()

    bootstrap, scales = Bootstrap(2000, 0), {name: MetricScale(name, KNOWN[name].range, "higher") for name in METRICS}
    start = time.process_time()
    audits = [audit for path in sorted(folder.glob("*.parquet")) for audit in read_shard(path)]
    start = step("read", start)
    units = units_of(audits, METRICS, ["nodule"])
    start = step("units", start)
    judge_all(CRITERIA, Cohort(units, audits, ["nodule"], scales), bootstrap)
    start = step("verdicts", start)
    estimates(units, tuple(scales.values()), bootstrap)
    start = step("estimates", start)
    with (folder / "per_study.csv").open("wb") as file:
        file.writelines(per_study_csv(audits, [KNOWN[name].facts for name in METRICS], ["site"]))
    step("table", start)


def measure(studies: int) -> None:
    """Print what one cohort takes; run in a process of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder, timed = Path(name), dict[str, float]()
        write_shards(folder, studies)
        before = resident()
        reset_peak()
        conclude(folder, timed)
        peak = peak_resident() - before
    spent = ", ".join(f"{step} {seconds:.1f}" for step, seconds in timed.items())
    print(f"{studies:,} studies: {sum(timed.values()):.1f} CPU s ({spent}); {peak / GIB:.2f} GiB", flush=True)
    print(f"  {1000 * sum(timed.values()) / studies:.1f} ms and {peak / 1024 / studies:.0f} KiB a study", flush=True)


def rule() -> None:
    """Print what the exact interval of a mean takes, and the descriptive one beside it."""
    for patients in PATIENTS:
        scores = np.random.default_rng(0).beta(8, 4, patients)
        start = time.process_time()
        exact_interval(scores, 0.95)
        exact, names = time.process_time() - start, [str(number) for number in range(patients)]
        start = time.process_time()
        mean_interval(scores.tolist(), names, confidence=0.95, replicates=2000, seed=0)
        described = time.process_time() - start
        print(f"{patients:,} patients: exact interval {exact:.2f} CPU s, descriptive one {described:.2f}", flush=True)


def main() -> int:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=whole_shards, nargs="*", default=SIZES)
    parser.add_argument("--rule", action="store_true")
    given = parser.parse_args()
    if given.rule:
        rule()
        return 0
    return 0 if all(succeeds_apart(measure, studies) for studies in given.studies) else 1
