"""The rows of all shards against cohort and recipes: each study once, of these bytes, by this run's recipe.

And a growing cohort against the earlier runs beside it: who was seen first decides in which order patients count.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pipeline.conclusions.tuned import rules_of, tuned_of
from pipeline.config import AuditConfig
from pipeline.errors import ConfigError, OutputError
from pipeline.evidence.answers import roles_of
from pipeline.evidence.localisation.region_counts import COUNTED, values_of_counts
from pipeline.evidence.localisation.tuning import RegionRules, tuning_patients
from pipeline.findings.carried import records_file
from pipeline.findings.facts import Lock
from pipeline.findings.localisation.curves import CURVE_SHARES
from pipeline.findings.members.table import MemberTable
from pipeline.findings.spec import COHORT_FILE, SPEC_FILE, read_members, read_spec
from pipeline.findings.study_audit import StudyAudit
from pipeline.packed.texts import TextMap
from pipeline.verify.failure import Failure, FailureKind
from pipeline.verify.run_folder import RunFolder, Shard

__all__ = ["check_arrival", "check_members", "check_recipes", "check_roles", "check_specification", "check_tuning"]


def check_specification(run: RunFolder) -> Iterator[Failure]:
    """Yield where the specification contradicts itself or the list of studies."""
    if run.spec is None:
        return
    spec, config = run.spec, run.spec.config
    stated = {
        "audit": (spec.audit, config.name),
        "lock.model": (spec.lock.model, spec.model.sha256),
        "methods": (tuple(facts.name for facts in spec.methods), config.explain.methods),
        "run": (spec.run[-8:], spec.lock.recipe[:8]),
        "maps": ({recipe.method for recipe in spec.maps} >= set(config.explain.methods), True),
    }
    for name, (said, expected) in stated.items():
        if said != expected:
            yield _contradiction(f"{SPEC_FILE}: {name} is not what its own configuration says", SPEC_FILE)
    if run.members is not None:
        shards = set(run.members.shards) - {None}
        if shards != set(range(spec.shards)):
            yield _contradiction(f"{COHORT_FILE}: its shards are not the {spec.shards} of {SPEC_FILE}", COHORT_FILE)
        if twice := run.members.listed_twice:
            yield _contradiction(f"{COHORT_FILE}: study {twice[:40]} stands there twice", COHORT_FILE)


def _contradiction(sentence: str, file: str) -> Failure:
    return Failure(FailureKind.SPECIFICATION, sentence, file)


def check_members(run: RunFolder) -> Iterator[Failure]:
    """Yield studies without a row, with two, in another shard, of other bytes, or of nobody's cohort."""
    if run.members is None or run.shards is None:
        return
    for member, count in zip(run.members, run.rows_of_members, strict=True):
        if count != 1:
            sentence = f"study {member.study} has {count} rows that count, not one"
            yield Failure(FailureKind.MEMBERS, sentence, COHORT_FILE)
    for name, audit in run.counting():
        place = run.members.find(audit.study)
        if place is None:
            yield Failure(FailureKind.MEMBERS, f"{name}: study {audit.study} is none of the cohort", name)
            continue
        member = run.members[place]
        if member.shard is not None and name != records_file(member.shard):
            yield Failure(FailureKind.MEMBERS, f"{name}: study {audit.study} belongs to another shard", name)
        if (audit.source_sha256, audit.patient) != (member.source_sha256, member.patient):
            sentence = f"{name}: the row of study {audit.study} is of other bytes or another patient than the cohort's"
            yield Failure(FailureKind.SOURCE, sentence, name)
    yield from _counted(run)


def _counted(run: RunFolder) -> Iterator[Failure]:
    """Hold the counts that are printed against the rows."""
    if run.results is None or run.members is None:
        return
    flow = run.results.flow
    rows: Counter[str] = Counter(audit.status for _, audit in run.counting())
    stated = {
        "analysed": flow.analysed,
        "excluded": sum(flow.excluded.values()),
        "failed": sum(flow.failed.values()),
    }
    if flow.found != len(run.members) or any(rows[status] != count for status, count in stated.items()):
        said = " + ".join(f"{count} {status}" for status, count in stated.items())
        there = " + ".join(f"{rows[status]} {status}" for status in stated)
        sentence = f"results.json counts {flow.found} = {said}, and the rows of {len(run.members)} studies {there}"
        yield Failure(FailureKind.COUNTS, sentence, "results.json")


def check_recipes(run: RunFolder) -> Iterator[Failure]:
    """Yield rows that count and were not made by the recipes of the specification."""
    for shard in run.shards or ():
        wrong = _by_another_recipe(run, shard)
        if wrong is not None:
            sentence = f"{shard.name}: the row of study {wrong} was not made by the recipe of {SPEC_FILE}"
            yield Failure(FailureKind.RECIPE, sentence, shard.name)


def _by_another_recipe(run: RunFolder, shard: Shard) -> str | None:
    """Return the first study whose row counts and does not answer, whole, to the recipes: answers leave out others."""
    answers = shard.answers()
    answer = next(answers, None)
    for audit in shard.audits():
        is_its_own = answer is not None and answer.audit.study == audit.study
        if run.counts(shard, audit.study) and (
            answer is None or not is_its_own or not answer.holds or answer.audit != audit
        ):
            return audit.study
        if is_its_own:
            answer = next(answers, None)
    return None


def check_roles(run: RunFolder) -> Iterator[Failure]:
    """Yield studies whose rows are in other roles than reference and answer give, or whose labels lack one."""
    if run.spec is None:
        return
    for name, audit in run.counting():
        stated = {(entry.target, entry.target_role) for entry in audit.map_scores}
        if audit.status == "analysed" and stated != _roles(run.spec.config, audit):
            sentence = f"{name}: the maps of study {audit.study} are not those of its reference and its answer"
            yield Failure(FailureKind.TARGET_ROLE, sentence, name)


def _roles(config: AuditConfig, audit: StudyAudit) -> set[tuple[str, str]]:
    roles = roles_of(config, audit.reference, audit.predicted)
    return {(target, role) for target, own in roles.items() for role in own}


def check_arrival(run: RunFolder) -> Iterator[Failure]:
    """Yield studies that another run under the same lock saw earlier, or that the run named did not have.

    A run that is named and whose folder is not here says nothing.
    """
    if run.spec is None or run.members is None or not run.spec.lock.open_cohort:
        return
    name, lock, earliest, changed = run.spec.run, run.spec.lock, dict[str, str](), list[Failure]()
    hashes = TextMap((member.study, member.source_sha256) for member in run.members)
    names = {name}
    for other, studies in _lists_beside(run.path.resolve().parent, name, lock):
        names.add(other)
        for member in studies:
            here = hashes.get(member.study)
            if here is not None:
                earliest.setdefault(member.study, other)
            if here != member.source_sha256 and not lock.exploratory:
                changed.append(_not_kept(member.study, other))
    for member in run.members:
        first = earliest.get(member.study, name)
        is_here = member.first_seen in names
        if not member.first_seen or member.first_seen > first or (is_here and member.first_seen != first):
            said = f"says that run {member.first_seen:.40} saw study {member.study} first, and it was run {first}"
            yield Failure(FailureKind.MEMBERS, f"{COHORT_FILE}: {said}", COHORT_FILE)
    yield from changed


def _not_kept(study: str, other: str) -> Failure:
    """Return that a cohort did not only grow, as a run says that is not EXPLORATORY."""
    said = f"study {study} of run {other} is removed or altered, and the run does not say EXPLORATORY"
    return Failure(FailureKind.MEMBERS, f"{COHORT_FILE}: {said}", COHORT_FILE)


def _lists_beside(audits: Path, name: str, lock: Lock) -> Iterator[tuple[str, MemberTable]]:
    """Yield the earlier runs under this lock, oldest first, each with its studies: one list in memory at a time."""
    for path in sorted(audits.glob(f"*/{SPEC_FILE}")):
        with suppress(OutputError):  # of another version, or damaged: its own verification says so
            spec = read_spec(path.parent)
            if spec.lock.digest == lock.digest and spec.run < name:
                yield spec.run, read_members(path.parent)


def check_tuning(run: RunFolder) -> Iterator[Failure]:
    """Yield where another patient tunes thresholds than the split says, and regions that were drawn by other ones."""
    audits = run.records
    if run.spec is None or run.members is None or audits is None:
        return
    config = run.spec.config
    try:
        split = tuning_patients(config.overlap, config.run.seed, ((audit.patient, audit.strata) for audit in audits))
    except ConfigError as error:
        yield _contradiction(f"{SPEC_FILE}: {error}", SPEC_FILE)
        return
    for member in run.members:
        if member.tuning != (member.patient in split):
            sentence = f"{COHORT_FILE}: who tunes thresholds is not what the split says, first study {member.study}"
            yield Failure(FailureKind.MEMBERS, sentence, COHORT_FILE)
            return
    if split:
        rules = rules_of(run.spec, run.members, tuned_of(run.spec, run.members, audits))
        for audit in audits:
            if (why := _drawn_otherwise(audit, rules)) is not None:
                sentence = f"study {audit.study}: {why}"
                yield Failure(FailureKind.RESULTS, sentence, COHORT_FILE)


def _drawn_otherwise(audit: StudyAudit, rules: RegionRules) -> str | None:
    """Return what of a study's regions was not drawn by its rule; their counts tell at which threshold they were."""
    for entry in audit.map_scores:
        rule = rules.rule_for(audit.patient, entry.target, (entry.method, entry.layer or ""))
        for score in entry.scores:
            if score.name in COUNTED and score.value is not None and entry.counts is not None:
                course = values_of_counts(score.name, entry.counts) if isinstance(rule, float) else None
                if course is None or course[CURVE_SHARES.index(float(rule))] != score.value:
                    return f"{score.name} of {entry.method} is not that of the threshold that was tuned on others"
    return None
