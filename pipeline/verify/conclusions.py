"""``results.json`` and the table, computed again from rows, specification and other runs, compared field by field."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from tempfile import gettempdir

from pipeline.conclusions.conclude import conclusions, shown_in
from pipeline.conclusions.equivalent_maps import equivalent_maps, mapped_places
from pipeline.conclusions.gathered import gather
from pipeline.conclusions.other_runs import change_against, kinds_of, place_beside
from pipeline.conclusions.per_study_csv import CSV_FILE, columns_of, per_study_csv
from pipeline.conclusions.shown_cases.picture_facts import picture_facts
from pipeline.errors import OutputError
from pipeline.evidence.columns.store import ColumnStore
from pipeline.evidence.comparison.pairing import RunRecords
from pipeline.findings.context.changes import BESIDE, RunChange
from pipeline.findings.custody.recorded_files import recorded_files
from pipeline.findings.pictures.panels import load_panels
from pipeline.findings.pictures.volumes import volume_name
from pipeline.findings.results import Results
from pipeline.findings.spec import RunSpec
from pipeline.findings.study_audit import methods_at_layers
from pipeline.program import camaudit_version, program_digest
from pipeline.verify.failure import Failure, FailureKind
from pipeline.verify.run_folder import RESULTS_FILE, RunFolder

__all__ = [
    "changes_unchecked",
    "check_changes",
    "check_equivalent",
    "check_pictures",
    "check_results",
    "check_table",
    "first_difference",
    "is_the_same",
]

IsLike = Callable[[object, object], bool]

_RELATIVE = 1e-9
"""By what share of it a number may differ that another processor computed: each sums as many terms at once as it can,
and rounds accordingly. What a run concludes differed by 2e-14 at the most, whatever x86-64 NumPy and OpenBLAS were told
to compute for."""

_ABSOLUTE = 1e-12
"""What may be left of numbers that cancel out."""


def check_results(run: RunFolder) -> Iterator[Failure]:
    """Yield the first field of the results that does not follow from rows and specification."""
    records = run.records
    if run.spec is None or run.members is None or run.results is None or records is None or run.experiments is None:
        return
    try:
        with ColumnStore(Path(gettempdir())) as store:
            cohort = gather(run.spec, run.members, records, store.keep)
            shown = shown_in(run.results)
            computed = conclusions(run.spec, run.members, cohort, records, shown, run.experiments)
    except ValueError:  # a score that its metric cannot have, an experiment of other studies than the chosen ones
        yield Failure(FailureKind.RESULTS, "nothing follows from the rows: they hold what no run writes", RESULTS_FILE)
        return
    written = (run.path / RESULTS_FILE).read_bytes()
    if written == _as_written(computed):
        return
    place = first_difference(computed.model_dump(mode="json"), run.results.model_dump(mode="json"))
    if place is not None:
        sentence = f"{RESULTS_FILE}: {place} is not what follows from the rows{_other_program(run.spec)}"
        yield Failure(FailureKind.RESULTS, sentence, RESULTS_FILE)
    elif written != _as_written(run.results):
        yield Failure(FailureKind.RESULTS, f"{RESULTS_FILE} is not written as a run writes it", RESULTS_FILE)


def _as_written(results: Results) -> bytes:
    return results.model_dump_json(indent=1).encode()


def is_the_same(expected: object, actual: object) -> bool:
    """Tell whether two JSON values are equal; numbers with a fraction may be rounded in another way."""
    if isinstance(expected, float) and isinstance(actual, float):
        return math.isclose(expected, actual, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    return (type(expected), expected) == (type(actual), actual)


def first_difference(expected: object, actual: object, place: str = "", is_like: IsLike = is_the_same) -> str | None:
    """Return where two JSON values first differ, such as ``verdicts.0.answer``; None where they are the same.

    ``is_like`` tells it of what is neither an object nor a list.
    """
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        if list(expected) != list(actual):
            return place or "its keys"
        pairs = [(key, value, actual[key]) for key, value in expected.items()]
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return f"the length of {place}"
        pairs = [(number, value, actual[number]) for number, value in enumerate(expected)]
    else:
        return None if is_like(expected, actual) else place
    differences = (first_difference(value, other, f"{place}.{key}".lstrip("."), is_like) for key, value, other in pairs)
    return next((difference for difference in differences if difference is not None), None)


def _other_program(spec: RunSpec) -> str:
    """Say that another program computes now, where one does: that may be the whole difference."""
    if spec.program.digest == program_digest():
        return ""
    return f" (computed by camaudit {spec.program.camaudit}; this is {camaudit_version()}, with other sources)"


def check_changes(run: RunFolder) -> Iterator[Failure]:
    """Yield what is said of other runs and does not follow from them, where they are at hand; or is not said at all."""
    if run.spec is None or run.results is None or run.records is None:
        return
    kinds = tuple(change.kind for change in run.results.changes)
    if kinds != kinds_of(run.spec):
        sentence = f"{RESULTS_FILE}: changes are not those against the previous run and the named predecessor"
        yield Failure(FailureKind.RESULTS, sentence, RESULTS_FILE)
        return
    for number, change in enumerate(run.results.changes):
        place = _place_of(run, change)
        if place is not None:
            yield from _change_failures(run, number, change, place)


def _change_failures(run: RunFolder, number: int, change: RunChange, place: Path) -> Iterator[Failure]:
    assert run.spec is not None
    assert run.results is not None
    assert run.records is not None
    own = RunRecords(run.results, run.spec.masks_recipe, run.records)
    computed = change_against(place, run.spec, change.kind, own)
    where = first_difference(computed.model_dump(mode="json"), change.model_dump(mode="json"))
    if where is not None:
        sentence = f"{RESULTS_FILE}: changes.{number}.{where} is not what follows from the run {change.run_a}"
        yield Failure(FailureKind.RESULTS, f"{sentence:.200}{_other_program(run.spec)}", RESULTS_FILE)


def _place_of(run: RunFolder, change: RunChange) -> Path | None:
    """Return where the other run of a change lies: beside this one, or where an absolute path says; None: not here."""
    assert run.spec is not None
    if change.kind == "previous":
        place = run.path.resolve().parent / str(run.spec.previous_run)
        return place if (place / RESULTS_FILE).exists() else None
    beside = place_beside(run.path, change)
    given = run.spec.config.report.predecessor
    if beside is not None or given is None or not given.is_absolute():
        return beside
    places = (given, given / PurePath(change.run_a).name)
    return next((place for place in places if (place / RESULTS_FILE).exists()), None)


def changes_unchecked(run: RunFolder) -> Iterator[str]:
    """Yield a sentence for each run that this one was held against and that is not here."""
    if run.spec is None or run.results is None:
        return
    for change in run.results.changes:
        if change.kind in kinds_of(run.spec) and _place_of(run, change) is None:
            yield f"what changed against {BESIDE[change.kind]} was not computed again: it is not here"


def check_table(run: RunFolder) -> Iterator[Failure]:
    """Yield whether the table is that of the rows, byte for byte."""
    audits, path = run.records, run.path / CSV_FILE
    if run.spec is None or audits is None or not path.is_file():
        return
    if not _holds(path, per_study_csv(audits, run.spec.metrics, columns_of(audits))):
        sentence = f"{CSV_FILE} is not the table of the rows{_other_program(run.spec)}"
        yield Failure(FailureKind.TABLE, sentence, CSV_FILE)


def check_equivalent(run: RunFolder) -> Iterator[Failure]:
    """Yield whether the groups of equivalent maps follow from the maps; nothing where maps cannot be read."""
    audits = run.records
    if run.results is None or audits is None:
        return
    try:
        groups = equivalent_maps(run.path, audits, mapped_places(audits), methods_at_layers(audits))
    except OutputError:
        return  # the maps' own check names it
    if groups != run.results.equivalent_methods:
        sentence = f"{RESULTS_FILE}: equivalent_methods is not what follows from the maps"
        yield Failure(FailureKind.EQUIVALENT, sentence, RESULTS_FILE)


def check_pictures(run: RunFolder) -> Iterator[Failure]:
    """Yield pictures of the report that the run did not cut, or that are another study's."""
    if run.results is None or run.entries is None:
        return
    pictures = recorded_files(entry for entry in run.entries if entry.event == "inference.finished")
    shown = {f"case of study {case.study}": case.panels for case in run.results.cases}
    shown |= {f"volume of study {case.study}": case.volume for case in run.results.cases}
    if run.results.inputs is not None:
        shown["model's input"] = run.results.inputs.picture
    for what, name in shown.items():
        if name is not None and name not in pictures:
            sentence = f"the picture of the {what} is none that the run cut"
            yield Failure(FailureKind.PICTURES, sentence, RESULTS_FILE)
    for case in run.results.cases:
        if case.panels not in (None, f"cases/{case.study}.npz"):
            sentence = f"the picture of the case of study {case.study} is another's"
            yield Failure(FailureKind.PICTURES, sentence, RESULTS_FILE)
        if case.volume not in (None, volume_name(case.study)):
            sentence = f"the volume of the case of study {case.study} is another's"
            yield Failure(FailureKind.PICTURES, sentence, RESULTS_FILE)
    yield from _told_otherwise(run, run.results, frozenset(pictures))


def _told_otherwise(run: RunFolder, results: Results, cut: frozenset[str]) -> Iterator[Failure]:
    """Yield cases of which the results say other numbers than their pictures' file; the ledger tells of the file."""
    for case in results.cases:
        if case.panels not in cut or not (run.path / str(case.panels)).is_file():
            continue
        try:
            facts = picture_facts(load_panels(run.path / str(case.panels)))
        except OutputError:
            continue  # the file's own check names it
        if case.picture != facts:
            sentence = f"{RESULTS_FILE}: what is said of the picture of case {case.study} is not what its file holds"
            yield Failure(FailureKind.PICTURES, sentence, RESULTS_FILE)


def _holds(path: Path, lines: Iterable[bytes]) -> bool:
    """Tell whether a file is these lines and nothing else; of a large cohort neither is in memory as a whole."""
    with path.open("rb") as file:
        return all(file.read(len(line)) == line for line in lines) and not file.read(1)
