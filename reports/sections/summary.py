"""The summary in plain words, made from the data."""

from collections import Counter

from pipeline.record import Answer, Estimate, Results, Verdict
from reports.layout import Flowable, bullets, paragraph, subheading
from reports.numbers import estimate, plural
from reports.registry import Context, section
from reports.text import Markup, bold, joined
from reports.wording import is_baseline, method, metric, stratum, words

_ANSWERS: tuple[Answer, ...] = ("MET", "NOT MET", "INCONCLUSIVE", "NOT EVALUATED")
_ORDER = ("NOT MET", "INCONCLUSIVE", "NOT EVALUATED", "MET")
_MOST = 4


@section(10, "Summary")
def build(context: Context) -> list[Flowable]:
    """Return at most a page: what was asked, found, what limits it, what to do."""
    results = context.results
    return [
        *subheading("What was asked"),
        paragraph(_asked(results)),
        *subheading("What was found"),
        *bullets(_found(results)),
        *subheading("What limits it"),
        *bullets(_limits(results)),
        *subheading("What to do"),
        *bullets(_actions(results)),
    ]


def _asked(results: Results) -> Markup:
    maps = ", ".join(facts.title for facts in results.methods) or "no map"
    criteria = plural(len(results.verdicts), "criterion", "criteria")
    return joined(
        f"Does {results.model.name}, version {results.model.version}, look where the experts marked the "
        f"finding? "
        f"The maps ({maps}) of {plural(results.flow.analysed, 'study', 'studies')} from "
        f"{plural(results.flow.patients, 'patient')} were compared with the experts' masks and judged by "
        f"{criteria}."
    )


def _found(results: Results) -> list[Markup]:
    tally = Counter(verdict.answer for verdict in results.verdicts)
    answers = ", ".join(f"{tally[answer]} {answer}" for answer in _ANSWERS if tally[answer])
    found = [joined("Of the criteria: ", bold(answers), ".")] if answers else [joined("There are no criteria.")]
    by_weight = sorted(results.verdicts, key=lambda verdict: _ORDER.index(verdict.answer))
    found += [_verdict(results, verdict) for verdict in by_weight[:_MOST]]
    if len(by_weight) > _MOST:
        found.append(joined(f"{len(by_weight) - _MOST} more verdicts stand on the cover."))
    for one in results.classification[:2]:
        if one.value is not None and one.group is None:
            found.append(joined(f"The classifier itself: {metric(results, one.metric).lower()} {estimate(one)}."))
    return found + _against_baselines(results)


def _verdict(results: Results, verdict: Verdict) -> Markup:
    subject = f"{metric(results, verdict.metric)} of {method(results, verdict.method)}"
    if verdict.estimate.value is None:
        return joined(bold(verdict.answer), f": {subject}: {verdict.reason}; asked for: {verdict.rule}.")
    return joined(
        bold(verdict.answer), f": {subject} among {stratum(verdict.among).lower()} studies is "
        f"{estimate(verdict.estimate)}; asked for: {verdict.rule}.",
    )  # fmt: skip


def _main(results: Results) -> list[Estimate]:
    """Return the first metric's estimates among all that should be found, in no subgroup."""
    primary = [one for one in results.estimates if one.among == "reference_positive" and one.group is None]
    return [one for one in primary if one.metric == primary[0].metric]


def _against_baselines(results: Results) -> list[Markup]:
    main = [one for one in _main(results) if one.value is not None]
    maps = [one for one in main if not is_baseline(one.method)]
    baselines = [one for one in main if is_baseline(one.method)]
    if not maps or not baselines:
        return []
    values = "; ".join(f"{method(results, one.method)} {estimate(one)}" for one in (*maps, *baselines))
    return [joined(f"{metric(results, maps[0].metric)} beside maps that know nothing of the model: {values}.")]


def _limits(results: Results) -> list[Markup]:
    flow = results.flow
    left_out = sum(flow.excluded.values()) + sum(flow.failed.values())
    limits = ["Overlap says where a map is high, not why the model decided: a low value can be the map's fault."]
    if results.lock.exploratory:
        limits.insert(0, f"The run is exploratory: {'; '.join(results.lock.exploratory)}.")
    if flow.without_mask:
        reasons = ", ".join(f"{words(why)} {many}" for why, many in flow.mask_faults.items())
        limits.append(
            f"{flow.without_mask} of {plural(flow.analysed, 'analysed study', 'analysed studies')} could not be "
            f"compared with any expert: no mask could be used (masks refused: {reasons})."
        )
    elif flow.mask_faults:
        refused = plural(sum(flow.mask_faults.values()), "mask")
        limits.append(f"{refused} could not be used; the scores against them are undefined, and each is listed.")
    if left_out:
        limits.append(f"{left_out} of {plural(flow.found, 'study', 'studies')} could not be used; each is listed.")
    if not results.agreements:
        limits.append("Agreement between experts is unknown, so the highest overlap to hope for is unknown too.")
    thin = [one for one in results.estimates if one.value is not None and one.low is None]
    if thin:
        limits.append(f"{plural(len(thin), 'estimate')} had too few patients for an interval.")
    return [joined(limit) for limit in limits[:5]]


def _actions(results: Results) -> list[Markup]:
    answers = {verdict.answer for verdict in results.verdicts}
    actions = []
    if results.lock.exploratory:
        actions.append("Lock the criteria and the cohort, then run again, before relying on any verdict.")
    if "NOT MET" in answers:
        actions.append("Find the cause of each criterion that is not met, with the cases at hand, before release.")
    if "INCONCLUSIVE" in answers:
        actions.append("Add patients where a verdict is inconclusive: the interval is too wide to decide.")
    if "NOT EVALUATED" in answers:
        actions.append("Provide what the criteria that were not evaluated lack, or withdraw them with a reason.")
    if results.flow.failed:
        actions.append("Look into the studies that failed: they may differ from the others.")
    actions.append("Read the case pages with a clinician, note disagreement, and sign on the cover.")
    return [joined(action) for action in actions]
