"""What statistics take of a million studies: ``python -m tests.benchmarks.cohort_size.statistics [STUDIES] [METRICS]``.

No shard is written and read: the columns of a run's units are drawn in chunks and laid where a run lays them, and the
rows of its studies are made of three records. Verdicts and estimates by stratum, label and site are computed from them
by the run's own code; with ``--all`` everything of ``results.json`` that does not need a map's counts or shares: the
classifier, confusion, the cohort's table. Eight maps; two studies a patient; two of three studies have the finding.
CPU time grows with the number of metrics, memory does not: hit rate and IoU, which the criteria ask for, come first.
Nor does memory grow with the number of times that an AUROC's bounds are drawn, which take most of the time of
``--all``: with ``--draws`` there are fewer.

Printed are CPU seconds and the largest memory above what the process had with everything imported.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from pipeline.conclusions.conclude import conclusions
from pipeline.conclusions.gathered import GatheredCohort, ListedAudits, gather
from pipeline.conclusions.study_rows import StudyRows
from pipeline.evidence.cohort import classifier
from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.cohort.summary import estimates
from pipeline.evidence.columns.store import Columns, ColumnStore
from pipeline.evidence.columns.unit_table import Key, Scored, UnitColumns, UnitTable
from pipeline.evidence.exact.areas import DRAWS, area_draws
from pipeline.evidence.verdicts.criteria import Cohort, judge_all
from pipeline.findings.spec import RunSpec
from pipeline.findings.study_audit import StudyAudit
from pipeline.packed.items import Keep
from tests.benchmarks.cohort_memory import MAPS, members_of, shown_of_a_run, specification, study
from tests.benchmarks.measure import GIB
from tests.benchmarks.resident import peak_resident, reset_peak, resident

Result = TypeVar("Result")

CHUNK = 65_536
METRICS = ("hit_rate", "iou", "dice", "energy_in_mask", "average_precision")


def rows_of(studies: int, keep: Keep) -> StudyRows:
    """Return the rows of so many studies: copies of three, with names, answers and sites of their own."""
    rows = StudyRows(keep)
    patterns = [study(number).model_copy(update={"map_scores": ()}) for number in (2, 3, 5)]
    for number in range(studies):
        probability = (number * 37 % 1000) / 1000
        own = {
            "study": f"S-{number}",
            "patient": f"P-{number // 2}",
            "predicted": ("lesion",) if probability >= 0.3 else (),
            "probabilities": {"clear": 1 - probability, "lesion": probability},
            "strata": {"site": f"site {number % 5}"},
        }
        rows.add(patterns[number % 3].model_copy(update=own))
    return rows


def units_of_rows(rows: StudyRows, pattern: UnitColumns, keys: Sequence[Key], keep: Keep) -> UnitTable:
    """Return a unit of each study in which the finding is present, its columns laid where ``keep`` lays them."""
    number = np.arange(len(rows), dtype=np.int32)
    present = np.array([bool(row.reference) for row in rows])
    numbers = number[present]
    size = len(numbers)
    scores = {(name, metric): drawn(size, place, metric, keep) for place, (name, metric) in enumerate(keys)}
    columns = replace(
        pattern,
        studies=rows,
        study=numbers,
        patient=numbers // 2,
        target=np.zeros(size, np.int32),
        positive=np.ones(size, np.bool_),
        predicted=np.array([bool(row.predicted) for row in rows], np.int8)[present],
        answered=np.zeros(size, np.bool_),
        absent=np.zeros(size, np.uint16),
        maps=np.zeros(size, np.int32),
        scores=Columns(scores),
        chances=Columns({key: partial(values_of, column) for key, column in scores.items()}),
        readers=Columns[str, NDArray[np.float64]]({}),
        by_reader={},
    )
    return UnitTable(columns, np.arange(size))


def drawn(size: int, seed: int, metric: str, keep: Keep) -> Callable[[], Scored]:
    """Draw a column in chunks and keep it; return what reads it."""
    generator, blocks = np.random.default_rng(seed), list[Callable[[], bytes]]()
    for start in range(0, size, CHUNK):
        values = generator.beta(8, 4, min(CHUNK, size - start))
        blocks.append(keep((values > 0.4).astype(np.float64).tobytes() if metric == "hit_rate" else values.tobytes()))
    return partial(column_of, blocks)


def column_of(blocks: Sequence[Callable[[], bytes]]) -> Scored:
    """Read a column."""
    values = np.concatenate([np.frombuffer(block(), np.float64) for block in blocks])
    return Scored(values, np.zeros(len(values), np.uint16))


def values_of(column: Callable[[], Scored]) -> NDArray[np.float64]:
    """Return a column's values, for levels of chance."""
    return column().values / 8


class OneRecord(ListedAudits):
    """Records that are all like one: of the few studies that a report shows."""

    def of(self, studies: object) -> dict[str, StudyAudit]:
        """Return records of the studies that are asked for."""
        assert isinstance(studies, set)
        return {name: self.audits[0].model_copy(update={"study": name}) for name in studies}

    def __iter__(self) -> Iterator[StudyAudit]:
        raise NotImplementedError("the statistics of a cohort read no record again")


def with_metrics(spec: RunSpec, metrics: Sequence[str]) -> RunSpec:
    """Return a specification that measures these alone, and asks of no other."""
    kept = tuple(facts for facts in spec.metrics if facts.name in metrics)
    criteria = [criterion for criterion in spec.configuration["criteria"] if criterion.get("metric") in metrics]
    return spec.model_copy(update={"metrics": kept, "configuration": {**spec.configuration, "criteria": criteria}})


def cohort_of(spec: RunSpec, studies: int, keep: Keep) -> GatheredCohort:
    """Return a gathered cohort of so many studies."""
    few = [study(number) for number in (2, 3, 5)]
    gathered, rows = gather(spec, members_of(few), few, keep), rows_of(studies, keep)
    keys = [(name, facts.name) for name in MAPS for facts in spec.metrics]
    units = units_of_rows(rows, gathered.units.columns, keys, keep)
    return replace(gathered, studies=rows, units=units, not_analysed=())


def main() -> None:
    """Measure step by step: what maps score, the verdicts, subgroups, and with ``--all`` everything of the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", type=int, nargs="?", default=1_000_000)
    parser.add_argument("metrics", type=int, nargs="?", default=2)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--draws", type=int, default=DRAWS)
    given = parser.parse_args()
    spec = with_metrics(specification(), METRICS[: given.metrics])
    bootstrap = Bootstrap(spec.config.run.replicates, spec.config.run.seed)
    with tempfile.TemporaryDirectory() as folder, ColumnStore(Path(folder)) as store:
        measured = Measured(given.studies)
        gathered = measured.step("columns", lambda: cohort_of(spec, given.studies, store.keep))
        scales = {facts.name: MetricScale.of(facts) for facts in spec.metrics}
        cohort = Cohort(gathered.units, gathered.studies, ["lesion"], scales, None, (), "clear")
        measured.step("verdicts", lambda: judge_all(spec.config.metric_criteria, cohort, bootstrap))
        measured.step("estimates", lambda: estimates(cohort.units, tuple(scales.values()), bootstrap))
        if given.all:
            records = OneRecord([study(2)])
            with patch.object(classifier, "area_draws", partial(area_draws, draws=given.draws)):
                measured.step("all results", lambda: conclusions(spec, (), gathered, records, shown_of_a_run()))


class Measured:
    """What each step takes above the memory with which the first began."""

    def __init__(self, studies: int) -> None:
        self._studies, self._bare = studies, resident()

    def step(self, name: str, compute: Callable[[], Result]) -> Result:
        """Compute, and print what that took."""
        reset_peak()
        start = time.process_time()
        result = compute()
        spent, peak, held = time.process_time() - start, peak_resident() - self._bare, resident() - self._bare
        print(
            f"{self._studies:,} studies, {name}: peak {peak / GIB:.2f} GiB, held after {held / GIB:.2f} GiB, ", end=""
        )
        print(f"{spent:.0f} CPU s", flush=True)
        return result


if __name__ == "__main__":
    main()
