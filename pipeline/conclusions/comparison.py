"""Two runs of one cohort, held against each other study by study: what changed, over the studies that both have.

A study is the same in both when its pseudonym and the hash of its files are; all others are counted by why they are
left out, and none is compared. Differences are the second run's minus the first's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.errors import OutputError
from pipeline.evidence.cohort.estimating import Bootstrap
from pipeline.evidence.cohort.measures import MetricScale
from pipeline.evidence.cohort.summary import paired_difference
from pipeline.evidence.cohort.units import Unit, units_of
from pipeline.findings.estimates import Estimate
from pipeline.findings.facts import MetricFacts
from pipeline.findings.results import Results
from pipeline.findings.study_audit import StudyAudit
from pipeline.vocabulary import Stratum

__all__ = ["RunDifferences", "RunRecords", "compare_runs"]

_AMONG: Stratum = "reference_positive"
"""The stratum that both runs share: it follows from the reference, not from what either model called."""


_MASKS = "the two runs read masks or reference labels otherwise"


@dataclass(frozen=True)
class RunRecords:
    """What of a run is compared: its results, the records of all its studies, and how their masks were read."""

    results: Results
    masks_recipe: str
    audits: tuple[StudyAudit, ...]

    @property
    def name(self) -> str:
        """``<audit>/<run>``."""
        return f"{self.results.audit}/{self.results.run}"


@dataclass(frozen=True)
class RunDifferences:
    """What changed from run a to run b. Each study of either run is in exactly one of the groups of pseudonyms.

    ``paired`` were analysed in both; ``changed`` have other files, masks or labels in b than in a; ``not_analysed``
    are in both and were excluded or failed in a, in b or in both. ``metrics`` are those that both define alike, with
    unit and direction: where lower is better, a better run b has negative differences.

    ``differences`` are means of b minus a over the units of the paired studies whose target the reference says is
    present; ``notes`` are what a reader should weigh.
    """

    run_a: str
    run_b: str
    paired: tuple[str, ...]
    only_in_a: tuple[str, ...]
    only_in_b: tuple[str, ...]
    changed: tuple[str, ...]
    not_analysed: tuple[str, ...]
    metrics: tuple[MetricFacts, ...]
    differences: tuple[Estimate, ...]
    notes: tuple[str, ...]

    @property
    def counts(self) -> tuple[str, ...]:
        """The groups of studies in words, with their sizes."""
        return (
            f"{len(self.paired)} studies are compared",
            f"{len(self.only_in_a)} are in {self.run_a} only",
            f"{len(self.only_in_b)} are in {self.run_b} only",
            f"{len(self.changed)} have other files, masks or labels in the two runs",
            f"{len(self.not_analysed)} were excluded or failed in at least one of the two runs",
        )


def compare_runs(a: RunRecords, b: RunRecords) -> RunDifferences:
    """Compare two runs of one cohort.

    Raises:
        OutputError: when they share no study.
    """
    in_a = {audit.study: audit for audit in a.audits}
    in_b = {audit.study: audit for audit in b.audits}
    common = [study for study in in_a if study in in_b]
    if not common:
        raise OutputError(
            f"run_b: {b.name} shares no study with {a.name}; compare runs of one archive under one pseudonym key"
        )
    changed = [study for study in common if in_a[study].source_sha256 != in_b[study].source_sha256]
    same = [study for study in common if study not in set(changed)]
    paired = [study for study in same if in_a[study].status == in_b[study].status == "analysed"]
    return RunDifferences(
        run_a=a.name,
        run_b=b.name,
        paired=tuple(paired),
        only_in_a=tuple(study for study in in_a if study not in in_b),
        only_in_b=tuple(study for study in in_b if study not in in_a),
        changed=tuple(changed),
        not_analysed=tuple(study for study in same if study not in set(paired)),
        metrics=tuple(_same_metrics(a.results, b.results)),
        differences=_differences(a, b, frozenset(paired)),
        notes=(*_notes(a.results, b.results), *_when(a.masks_recipe != b.masks_recipe, _MASKS)),
    )


def _differences(a: RunRecords, b: RunRecords, paired: frozenset[str]) -> tuple[Estimate, ...]:
    units = {side: _units(run, paired) for side, run in (("a", a), ("b", b))}
    joined = [
        _joined(units["a"].get(place), units["b"].get(place)) for place in dict.fromkeys((*units["a"], *units["b"]))
    ]
    provenance = a.results.provenance
    bootstrap = Bootstrap(provenance.replicates, provenance.seed)
    scales = [MetricScale(facts.name, facts.range, facts.better) for facts in _same_metrics(a.results, b.results)]
    maps = [name for name in _maps(units["a"]) if name in set(_maps(units["b"]))]
    return tuple(
        paired_difference(joined, scale, (f"b {name}", f"a {name}"), _AMONG, bootstrap).model_copy(
            update={"method": name}
        )
        for name in maps
        for scale in scales
    )


def _units(run: RunRecords, paired: frozenset[str]) -> dict[tuple[str, str], Unit]:
    audits = [audit for audit in run.audits if audit.study in paired]
    metrics = [facts.name for facts in run.results.metrics]
    return {(unit.study, unit.target): unit for unit in units_of(audits, metrics) if unit.role == "reference"}


def _joined(a: Unit | None, b: Unit | None) -> Unit:
    """Return one unit with the scores of both, ``a <map>`` and ``b <map>``; a run that lacks the target adds none."""
    known = a or b
    assert known is not None
    scores = {
        (f"{side} {name}", metric): value
        for side, unit in (("a", a), ("b", b))
        if unit is not None
        for (name, metric), value in unit.scores.items()
    }
    return replace(known, scores=scores, chances={})


def _maps(units: Mapping[tuple[str, str], Unit]) -> list[str]:
    return list(dict.fromkeys(name for unit in units.values() for name, _ in unit.scores))


def _same_metrics(a: Results, b: Results) -> list[MetricFacts]:
    return [facts for facts in a.metrics if facts in b.metrics]


def _notes(a: Results, b: Results) -> tuple[str, ...]:
    names = {facts.name for facts in a.metrics} | {facts.name for facts in b.metrics}
    other = sorted(names - {facts.name for facts in _same_metrics(a, b)})
    notes = ["EXPLORATORY: no criterion on a difference between these runs was locked beforehand"]
    notes += _when(a.model.sha256 != b.model.sha256, "the weights of the two runs differ")
    notes += _when(a.preparation != b.preparation, "the two runs prepare the images otherwise")
    notes += _when(a.overlap_rule != b.overlap_rule, "the two runs cut a map's region by other rules")
    notes += _when(a.provenance.camaudit != b.provenance.camaudit, "other versions of camaudit made the two runs")
    notes += _when(bool(other), f"not compared, since the two runs do not define them alike: {', '.join(other)}")
    notes += ["intervals are for one difference each and not adjusted for their number"]
    return tuple(notes)


def _when(holds: bool, note: str) -> Sequence[str]:
    return [note] if holds else []
