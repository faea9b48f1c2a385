"""What a run's conclusions take as its cohort grows: ``python -m tests.benchmarks.cohort_memory [STUDIES ...]``.

Shards of 500 studies are simulated with the writer of shards and read back by the run's own code: one pass gathers the
cohort, from which everything of ``results.json`` follows (estimates by stratum and site, verdicts, curves over
thresholds, the classifier, confusion, whereabouts), and one pass writes ``per_study.csv``. Every study has one reader,
eight maps, five metrics with a level of chance, voxel counts at 19 thresholds, shares of regions and a peak; two
studies a patient, five sites, and one study in 50 could not be read.

Each size has a process of its own. Printed are CPU seconds, the largest memory above what the process had with
everything imported, and of it what the gathered cohort and the run's list of studies hold. ``--without-curves`` leaves
out the counts at thresholds, whose bands are drawn 2,000 times for each map and metric and take most of the CPU.
"""

import argparse
import gc
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.conclusions.conclude import Shown, conclusions
from pipeline.conclusions.gathered import gather
from pipeline.conclusions.per_study_csv import columns_of, per_study_csv
from pipeline.evidence.columns.store import ColumnStore
from pipeline.evidence.metrics.registry import METRICS as KNOWN
from pipeline.findings.facts import Provenance
from pipeline.findings.localisation.curves import CURVE_SHARES, RegionCounts
from pipeline.findings.members.table import MemberTable
from pipeline.findings.plotted.shares import RegionShares, ShareRegion
from pipeline.findings.recipes import Recipes
from pipeline.findings.scores import MapPeak, MapScores, Score
from pipeline.findings.shards import write_shard
from pipeline.findings.spec import Member, RunSpec, read_members, write_members
from pipeline.findings.stored_audits import StoredAudits
from pipeline.findings.study_audit import InputFacts, StudyAudit
from pipeline.packed.items import Keep
from tests.benchmarks.measure import GIB
from tests.benchmarks.resident import peak_resident, reset_peak, resident, succeeds_apart

SIZES, SHARD = (2_000, 20_000), 500
METRICS = ("iou", "dice", "hit_rate", "energy_in_mask", "average_precision")
MAPS = ("gradcam", "hirescam", "layercam", "gradcampp", "xgradcam", "eigencam", "scorecam", "ablationcam")
PLACES = {(name, "layer"): "map" for name in MAPS}
REGIONS: tuple[ShareRegion, ...] = ("lesion", "body", "surface", "outside", "border")
RECIPES = Recipes("study", "masks", PLACES, dict.fromkeys(PLACES, "scores"))


def _map(number: int, method: str) -> MapScores:
    generator = np.random.default_rng([number, MAPS.index(method)])
    region = tuple(sorted(generator.integers(0, 60_000, len(CURVE_SHARES)).tolist(), reverse=True))
    return MapScores(
        target="lesion",
        method=method,
        layer="layer",
        reader="anna",
        map=f"maps/0000.npz#S-{number}/lesion/{method}/layer",
        map_sha256="0" * 64,
        cell_mm=(8.0, 8.0, 16.0),
        seen_share=1.0,
        mask_share=0.02,
        peak=MapPeak(
            region="lesion",
            body_region="body",
            place="upper left",
            position_mm=(1.0, 2.0, 3.0),
            normalised=(0.2, 0.3),
            value=1.0,
        ),
        scores=tuple(Score(name=metric, value=0.5, chance=0.02) for metric in METRICS),
        counts=RegionCounts(
            region=region, common=tuple(count // 3 for count in region), mask=15_000, visible=15_000, seen=200_000
        ),
        shares=RegionShares(evidence=_parts(generator), voxels=_parts(generator)),
    )


def _parts(generator: np.random.Generator) -> dict[ShareRegion, float]:
    drawn: list[float] = generator.dirichlet(np.ones(len(REGIONS))).tolist()
    return dict(zip(REGIONS, drawn, strict=True))


def study(number: int) -> StudyAudit:
    """Return a study as a run records it."""
    common = {"study": f"S-{number}", "patient": f"P-{number // 2}", "source_sha256": "0" * 64, "masks": 1}
    strata, present = {"site": f"site {number % 5}"}, number % 4 != 1
    reference = ("lesion",) if present else ()
    if number % 50 == 0:
        why = {"status": "failed", "stage": "read", "reason": "truncated", "message": "the file ends too early"}
        return StudyAudit.model_validate({**common, **why, "reference": reference, "strata": strata})
    probability = (number * 37 % 100) / 100
    return StudyAudit.model_validate(
        {
            **common,
            "status": "analysed",
            "reference": reference,
            "predicted": ("lesion",) if probability >= 0.5 else (),
            "probabilities": {"clear": 1 - probability, "lesion": probability},
            "strata": strata,
            "facts": {"Modality": "CT", "PatientSex": "F" if number % 2 else "M", "lesions: lesion": str(number % 7)},
            "model_input": InputFacts(shape=(1, 96, 96, 96), minimum=0.0, mean=0.4, maximum=1.0, deviation=0.2),
            "map_scores": tuple(_map(number, name) for name in MAPS) if present else (),
        }
    )


def write_run(folder: Path, studies: int) -> None:
    """Write the list and the shards of so many studies; all but the first are copies with other names and scores."""
    (folder / "shards").mkdir()
    write_shard(folder / "shards/0000.parquet", [study(number) for number in range(SHARD)], RECIPES)
    first = pq.read_table(folder / "shards/0000.parquet")
    numbers = np.array([int(name[2:]) for name in first.column("study").to_pylist()])
    generator, members = np.random.default_rng(0), list[Member]()
    for shard in range(studies // SHARD):
        own = (numbers + shard * SHARD).tolist()
        table = _replaced(first, "study", pa.array([f"S-{at}" for at in own]))
        table = _replaced(table, "patient", pa.array([f"P-{at // 2}" for at in own]))
        table = _replaced(table, "scores", _drawn(first.column("scores").combine_chunks(), generator))
        pq.write_table(table, folder / f"shards/{shard:04d}.parquet", compression="zstd")
        names = dict.fromkeys(zip(table.column("study").to_pylist(), table.column("patient").to_pylist(), strict=True))
        members += [Member(study=name, patient=patient, source_sha256="0" * 64, shard=shard) for name, patient in names]
    write_members(folder, members)


def _replaced(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), table.schema.field(name), column)


def _drawn(scores: pa.Array, generator: np.random.Generator) -> pa.Array:
    parts = {field.name: scores.values.field(field.name) for field in scores.type.value_type}
    drawn = generator.beta(8, 4, len(scores.values))
    hits = np.arange(len(drawn)) % len(METRICS) == METRICS.index("hit_rate")
    parts["value"] = pa.array(np.where(hits, drawn > 0.4, drawn))
    parts["chance"] = pa.array(drawn / 8)  # of every map its own: none is shared
    return pa.ListArray.from_arrays(scores.offsets, pa.StructArray.from_arrays(list(parts.values()), list(parts)))


def specification() -> RunSpec:
    """Return a run's specification: a stored run's, with two criteria and the metrics above."""
    newest = sorted((Path(__file__).parents[1] / "old_runs").glob("run*-results*"))[-1]
    content = json.loads((newest / "run.json").read_bytes())
    content["metrics"] = [KNOWN[name].facts.model_dump(mode="json") for name in METRICS]
    content["configuration"]["criteria"] = [
        {"metric": "hit_rate", "method": "gradcam", "at_least": 0.7},
        {"metric": "iou", "method": "gradcam", "better_than": ["hirescam"]},
    ]
    content["configuration"]["run"]["replicates"] = 2000
    return RunSpec.model_validate(content)


def whole_shards(text: str) -> int:
    """Return a number of studies that a command line asks for: they are simulated a shard at a time.

    Raises:
        ArgumentTypeError: when so many fill no whole shard, or a shard in part.
    """
    studies = int(text)
    if studies < SHARD or studies % SHARD:
        raise argparse.ArgumentTypeError(f"studies fill whole shards of {SHARD}, which {text} do not")
    return studies


def conclude_run(
    folder: Path, members: Sequence[Member], timed: dict[str, float], keep: Keep, *, with_curves: bool
) -> float:
    """Draw a run's conclusions from its shards and write them; return the memory that the gathered cohort holds."""
    spec, records = specification(), StoredAudits(folder, MemberTable(members))
    start, before = time.process_time(), resident()
    cohort = gather(spec, members, records if with_curves else _without_counts(records), keep)
    gc.collect()
    held = resident() - before
    start = _step(timed, "read and gather", start)
    results = conclusions(spec, members, cohort, records, shown_of_a_run())
    start = _step(timed, "conclude", start)
    with (folder / "per_study.csv").open("wb") as file:
        file.writelines(per_study_csv(records, spec.metrics, columns_of(cohort.studies)))
    (folder / "results.json").write_bytes(results.model_dump_json(indent=1).encode())
    _step(timed, "write", start)
    return held


def members_of(audits: Sequence[StudyAudit]) -> list[Member]:
    """Return the list of some studies, all of one shard."""
    return [
        Member(study=audit.study, patient=audit.patient, source_sha256=audit.source_sha256, shard=0) for audit in audits
    ]


def shown_of_a_run() -> Shown:
    """Return what conclusions do not follow from records, as a stored run has it."""
    newest = sorted((Path(__file__).parents[1] / "old_runs").glob("run*-results*/results.json"))[-1]
    return Shown(Provenance.model_validate(json.loads(newest.read_bytes())["provenance"]), {}, (None, None), ())


def _without_counts(records: StoredAudits) -> Iterator[StudyAudit]:
    for audit in records:
        entries = tuple(entry.model_copy(update={"counts": None}) for entry in audit.map_scores)
        yield audit.model_copy(update={"map_scores": entries})


def _step(timed: dict[str, float], name: str, start: float) -> float:
    timed[name] = time.process_time() - start
    return time.process_time()


def measure(folder: Path, *, with_curves: bool) -> None:
    """Print what the cohort of a folder takes; run in a process of its own."""
    timed, bare = dict[str, float](), resident()
    members = read_members(folder)
    gc.collect()
    studies, listed = len(members), resident() - bare
    reset_peak()
    with ColumnStore(folder) as store:
        held = conclude_run(folder, members, timed, store.keep, with_curves=with_curves)
    peak = peak_resident() - bare
    spent = ", ".join(f"{step} {seconds:.1f}" for step, seconds in timed.items())
    print(f"{studies:,} studies x {len(MAPS)} maps x {len(METRICS)} metrics: {sum(timed.values()):.1f} CPU s ({spent})")
    print(
        f"  peak {peak / GIB:.2f} GiB, {peak / studies:,.0f} bytes a study; gathered columns {held / studies:,.0f}, "
        f"list of studies {listed / studies:,.0f}",
        flush=True,
    )


def main() -> int:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=whole_shards, nargs="*", default=SIZES)
    parser.add_argument("--without-curves", action="store_true")
    given = parser.parse_args()
    for studies in given.studies:
        with tempfile.TemporaryDirectory() as name:
            folder, with_curves = Path(name), not given.without_curves
            written = succeeds_apart(write_run, folder, studies)
            if not (written and succeeds_apart(partial(measure, with_curves=with_curves), folder)):
                return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
