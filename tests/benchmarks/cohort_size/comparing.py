"""What a comparison of two runs takes as they grow: ``python -m tests.benchmarks.cohort_size.comparing [STUDIES ...]``.

Both runs have the same studies, eight maps and two metrics; two studies a patient. Records are made of six when they
are asked for: nothing is read, and what is measured is the comparison alone. Printed are CPU seconds and the largest
memory above what the process had with everything imported; a process of its own for each size.
"""

import argparse
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.conclusions.other_runs import compare_records
from pipeline.evidence.comparison.compare import ComparisonPlan
from pipeline.evidence.comparison.pairing import RunRecords
from pipeline.findings.results import Results, load_results
from pipeline.findings.study_audit import StudyAudit
from tests.benchmarks.cohort_memory import MAPS, specification, study
from tests.benchmarks.cohort_size.statistics import with_metrics
from tests.benchmarks.measure import GIB
from tests.benchmarks.resident import peak_resident, reset_peak, resident, succeeds_apart

SIZES, METRICS = (10_000, 20_000), ("hit_rate", "iou")


@dataclass(frozen=True)
class Copies(Iterable[StudyAudit]):
    """So many records, copies of six; those of another run have other answers."""

    studies: int
    first: int

    def __iter__(self) -> Iterator[StudyAudit]:
        """Make each record when it is asked for."""
        patterns = [_fewer_scores(study(number)) for number in range(self.first, self.first + 6)]
        for number in range(self.studies):
            own = {"study": f"S-{number}", "patient": f"P-{number // 2}", "reference": ("lesion",)}
            yield patterns[number * 7919 % 6].model_copy(update=own)


def _fewer_scores(audit: StudyAudit) -> StudyAudit:
    entries = (
        entry.model_copy(update={"scores": tuple(score for score in entry.scores if score.name in METRICS)})
        for entry in audit.map_scores
    )
    return audit.model_copy(update={"map_scores": tuple(entries)})


def results() -> Results:
    """Return a stored run's results with the metrics above."""
    newest = sorted((Path(__file__).parents[2] / "old_runs").glob("run*-results*"))[-1]
    plain, spec = load_results(newest), with_metrics(specification(), METRICS)
    model = plain.model.model_copy(update={"labels": ("clear", "lesion"), "negative_label": "clear"})
    return plain.model_copy(update={"metrics": spec.metrics, "model": model})


def measure(studies: int) -> None:
    """Print what one comparison takes."""
    of = results()
    before = resident()
    reset_peak()
    start = time.process_time()
    runs = (RunRecords(of, "same masks", Copies(studies, first)) for first in (1, 8))
    change = compare_records(*runs, ComparisonPlan()).change
    peak, spent = peak_resident() - before, time.process_time() - start
    print(f"{studies:,} studies x {len(MAPS)} maps x {len(METRICS)} metrics, {len(change.figures)} figures: ", end="")
    print(f"{spent:.0f} CPU s, {peak / GIB:.2f} GiB, {peak / studies:,.0f} bytes a study", flush=True)


def main() -> int:
    """Measure each size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=int, nargs="*", default=SIZES)
    return 0 if all(succeeds_apart(measure, studies) for studies in parser.parse_args().studies) else 1


if __name__ == "__main__":
    raise SystemExit(main())
