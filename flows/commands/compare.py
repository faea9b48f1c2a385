"""``camaudit compare``: run b against run a, with an exit code for pipelines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import typer

from pipeline.conclusions.other_runs import compare_records, finished_run_in, plan_of, read_records
from pipeline.errors import ConfigError, OutputError
from pipeline.evidence.comparison.compare import ComparisonPlan, RunComparison
from pipeline.evidence.comparison.pairing import RunRecords, renamed
from pipeline.findings.context.changes import CHANGE_ANSWERS, FigureChange, FlippedStudy, PeakShift, RunChange
from pipeline.findings.spec import read_spec

__all__ = [
    "EXIT_CODES",
    "CompareOptions",
    "compare_folders",
    "exit_code_of",
    "parse_maps",
    "parse_margins",
    "print_comparison",
]

EXIT_CODES: Mapping[str, int] = {
    "not worse": 0, "no worsening shown": 0, "worse": 1, "not shown": 1, "not compared": 2,
}  # fmt: skip
"""0: not worse. 1: worse, or with margins not shown to be not worse. 2: there is nothing to compare by."""

_MOST_FLIPS = 8


@dataclass(frozen=True)
class CompareOptions:
    """What the command line says: margins in place of the locked ones, pairs of maps, and where the keys lie."""

    margins: Mapping[str, float] = field(default_factory=dict)
    maps: tuple[tuple[str, str], ...] = ()
    key_a: Path | None = None
    key_b: Path | None = None


def parse_margins(texts: Sequence[str]) -> dict[str, float]:
    """Read ``--margin METRIC=NUMBER``.

    Raises:
        ConfigError: for what is none.
    """
    margins = {}
    for text in texts:
        metric, _, number = text.partition("=")
        try:
            margins[metric] = float(number)
        except ValueError:
            margins[metric] = 0.0
        if not metric or not 0 < margins[metric] < float("inf"):
            raise ConfigError(f"--margin: must be METRIC=NUMBER with a positive number, such as iou=0.05, not {text!r}")
    return margins


def parse_maps(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Read ``--maps MAP_A=MAP_B``.

    Raises:
        ConfigError: for what is none.
    """
    pairs = [(before, after) for before, _, after in (text.partition("=") for text in texts)]
    for text, pair in zip(texts, pairs, strict=True):
        if not all(pair):
            raise ConfigError(f"--maps: must be MAP_A=MAP_B, such as gradcam=layercam, not {text!r}")
    return tuple(pairs)


def compare_folders(folder_a: Path, folder_b: Path, options: CompareOptions) -> RunComparison:
    """Compare the finished runs of two folders (of runs, or of audits: then the newest run).

    Raises:
        AuditError: when one is no finished run or was altered, they share no study, or a map or margin is of neither.
    """
    for name, folder in (("RUN_A", folder_a), ("RUN_B", folder_b)):
        if not folder.is_dir():
            raise OutputError(f"{name}: {folder} is no folder; give the folder of a run or of an audit")
    run_a, run_b = finished_run_in(folder_a), finished_run_in(folder_b)
    a, b = read_records(run_a), read_records(run_b)
    plan = _plan(run_b, options)
    if {study.study for study in a.studies}.isdisjoint(study.study for study in b.studies):
        a, plan = _under_one_key((run_a, a), run_b, options), replace(plan, relinked=True)
    return compare_records(a, b, plan)


def _plan(run_b: Path, options: CompareOptions) -> ComparisonPlan:
    plan = replace(plan_of(read_spec(run_b), "named"), maps=options.maps)
    return replace(plan, margins=options.margins, locked=False) if options.margins else plan


def _under_one_key(a: tuple[Path, RunRecords], run_b: Path, options: CompareOptions) -> RunRecords:
    from pipeline.runs.relinking import relinked

    folder, records = a
    return renamed(records, relinked(folder, run_b, options.key_a, options.key_b))


def exit_code_of(change: RunChange) -> int:
    """Return the exit code of a comparison."""
    return EXIT_CODES[change.answer]


def print_comparison(comparison: RunComparison, *, as_json: bool) -> None:
    """Print what changed, or one JSON object."""
    change = comparison.change
    if as_json:
        names = {name: list(studies) for name, studies in vars(comparison.studies).items()}
        content = {**change.model_dump(mode="json"), "studies_by_name": names, "exit_code": exit_code_of(change)}
        typer.echo(json.dumps(content))
        return
    for line in _lines(change):
        typer.echo(line)


def _lines(change: RunChange) -> list[str]:
    studies = change.studies
    assert studies is not None
    lines = [
        f"{change.run_b} against {change.run_a}",
        f"  {studies.paired} paired by {change.matched_by}; {studies.not_analysed} not analysed in one or both, "
        f"{studies.changed} with other files or labels, {studies.only_in_a} only in the first, "
        f"{studies.only_in_b} only in the second",
    ]
    lines += [f"  {'differs':<14} {sentence}" for sentence in change.differs]
    lines += [f"  {'not compared':<14} {sentence}" for sentence in change.not_compared]
    lines += [_figure(figure) for figure in change.figures]
    lost_first = sorted(change.flips, key=lambda flip: (flip.gained is not False, flip.what))
    lines += [_flip(flip) for flip in lost_first[:_MOST_FLIPS]]
    if len(change.flips) > _MOST_FLIPS:
        lines.append(f"  {'flipped':<14} and {len(change.flips) - _MOST_FLIPS} more, in --json")
    lines += [_shift(shift) for shift in change.shifts if shift.group is None]
    if any(figure.margin is not None for figure in change.figures) and not change.locked:
        lines.append(f"  {'EXPLORATORY':<14} the margins were not locked before the second run")
    return [*lines, f"{CHANGE_ANSWERS[change.answer]}: {change.reason}"]


def _figure(figure: FigureChange) -> str:
    estimate = figure.estimate
    name = f"{figure.metric} of {estimate.method}" + (f" for {figure.label}" if figure.label else "")
    if estimate.value is None:
        return f"  {'-':<14} {name}: {estimate.reason}"
    bounds = "" if estimate.low is None else f" [{estimate.low:+.3f}, {estimate.high:+.3f}]"
    sign = "" if figure.p_sign is None else f", sign test p = {figure.p_sign:.2g}"
    counts = f"{figure.improved} better, {figure.tied} tied, {figure.worsened} worse{sign}"
    answer = figure.answer or ("unchanged" if figure.is_unchanged else "")
    margin = "" if figure.margin is None else f", margin {figure.margin:g}"
    values = f"{figure.value_a:.3f} -> {figure.value_b:.3f}, difference {estimate.value:+.3f}{bounds}"
    return f"  {answer:<14} {name}: {values}{margin}; {counts} ({figure.better} is better)"


def _flip(flip: FlippedStudy) -> str:
    of = f"{flip.what} of {flip.map} for {flip.label}" if flip.what == "hit" else flip.what
    verdict = {True: "gained", False: "lost", None: "other"}[flip.gained]
    return f"  {'flipped':<14} {flip.study}: {of} {flip.before} -> {flip.after} ({verdict})"


def _shift(shift: PeakShift) -> str:
    patients = f"{shift.patients_before} and {shift.patients} patients"
    return (
        f"  {'peaks':<14} {shift.map}, {shift.label}, {shift.of}: energy distance {shift.distance:.4f} "
        f"(p {shift.p:.3f}, {patients}; descriptive)"
    )
