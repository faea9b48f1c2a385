"""The data's identity: from studies found to studies analysed, and what the cohort consists of."""

from collections import Counter
from collections.abc import Iterable

from pipeline.findings.context.cohort import CohortRow, Leakage
from pipeline.findings.results import Flow, Results
from pipeline.vocabulary import SMALLEST_GROUP
from reports.charts.flow import flow_chart
from reports.numbers import count, number, plural
from reports.page.layout import COLUMN, Flowable, bullets, facts, note, small, subheading
from reports.page.text import bold, digest, fitted_at_both_ends, joined
from reports.registry import Context, section
from reports.statements import stated
from reports.wording import nothing_called, unit_of, words

_MOST_GROUPS = 10
"""Groups of studies that are printed; all are in results.json."""


@section(143, "Data identity", in_columns=True)
def build(context: Context) -> list[Flowable]:
    """Return the flow of studies and the cohort's make-up."""
    results = context.results
    flow = results.flow
    content = [
        *subheading("Flow of studies"),
        flow_chart(flow, context.results.answer_counts, nothing_called(context.results), COLUMN),
        note(
            f"{plural(flow.found, 'study', 'studies')} = {count(flow.analysed)} analysed + "
            f"{count(sum(flow.excluded.values()))} excluded + {count(sum(flow.failed.values()))} failed. "
            f"{count(flow.computed)} computed in this run, {count(flow.reused)} reused from earlier ones with the same "
            f"recipe; {count(flow.maps_reused)} of {plural(flow.maps, 'map')} carried over."
        ),
        *_masks(flow),
        *subheading("Cohort"),
        facts(
            [
                ("Patients found", count(flow.patients)),
                *_compared(results),
                ("Cohort SHA-256", digest(results.lock.cohort)),
                *stated(results, "selection", "setting", "acquisition"),
                ("Reference standard", results.reference_standard),
                *stated(results, "readers", "experience", "protocol", "blinding"),
                *_groups(results),
            ],
            label=0.25,
            width=COLUMN,
        ),
    ]
    return [*content, *_leakage(results), *_cohort_table(results)]


def _leakage(results: Results) -> list[Flowable]:
    """Say whether pictures stand under two patients, or with two labels, and whether the model was trained on them."""
    leakage = results.leakage
    if leakage is None:
        return []
    return [*subheading("Leakage"), *bullets([_same(leakage), _alike(leakage), _trained(results)], compact=True)]


def _same(leakage: Leakage) -> str:
    pictures = f"of {plural(leakage.pictures, 'picture')} that the model was shown"
    if not leakage.same:
        return f"No picture stands under two patients or with two labels, {pictures}, to the last digit."
    groups = "; ".join(
        f"{', '.join(group.studies)} ({plural(group.patients, 'patient')}"
        f"{', with different labels' if group.labels_differ else ''})"
        for group in leakage.same[:_MOST_GROUPS]
    )
    more = f"; {len(leakage.same) - _MOST_GROUPS} more in results.json" if len(leakage.same) > _MOST_GROUPS else ""
    return (
        f"One and the same picture stands in several studies, {len(leakage.same)} times {pictures}: {groups}{more}. It "
        "counts as often as it stands there, and patients that share it are not independent."
    )


def _alike(leakage: Leakage) -> str:
    if not leakage.compared:
        return "Copies that were stored another way were not looked for: there are too few pictures of one form."
    looked = f"Of {plural(leakage.compared, 'picture')} that were compared"
    missed = "Shifted or cropped copies are not found this way."
    if not leakage.alike_pairs:
        return f"{looked}, no two of different patients or labels look like copies of each other. {missed}"
    shown = "; ".join(" and ".join(pair.studies) for pair in leakage.alike[:_MOST_GROUPS])
    return (
        f"{looked}, {plural(leakage.alike_pairs, 'pair')} of different patients or labels look like copies of each "
        f"other, {leakage.alike_across_labels} of them with different labels: {shown}"
        f"{'; more in results.json' if leakage.alike_pairs > _MOST_GROUPS else ''}. Look at them. {missed}"
    )


def _trained(results: Results) -> str:
    overlap = results.training_overlap
    if overlap is None:
        return (
            "Whether the model was trained on these pictures is not known: no hashes of its training data were given."
        )
    if not overlap.studies:
        return f"None of {plural(overlap.checked, 'study', 'studies')} looked up holds a file of the training data."
    return (
        f"{plural(len(overlap.studies), 'study', 'studies')} of {plural(overlap.patients, 'patient')} hold a file that "
        "the model was trained on: their results say nothing of new patients."
    )


def _groups(results: Results) -> list[tuple[str, object]]:
    """Return how many of the analysed studies are in each group that the archive states."""
    if not results.cohort_facts:
        return [("Groups", "nothing is known of sites, devices, age or sex")]
    named = zip(_labels(results.cohort_facts), results.cohort_facts.values(), strict=True)
    text = joined(*(joined(bold(f"{name}: "), _values(values)) for name, values in named), by="; ")
    return [("Analysed studies", text)]


def _cohort_table(results: Results) -> list[Flowable]:
    """Return who and what the cohort consists of, by headers and masks; nothing where they tell nothing."""
    if not results.cohort_table:
        return []
    cells = [(row.name, _cell(row, results.flow.analysed)) for row in results.cohort_table]
    words = (
        "From image headers and masks of the analysed studies; numbers are median (lowest to highest). A lesion is a "
        f"piece of the mask. Groups of fewer than {SMALLEST_GROUP} are not printed by themselves."
    )
    return [*subheading("Patients and acquisition"), facts(cells, label=0.36, width=COLUMN), note(words)]


def _cell(row: CohortRow, studies: int) -> str:
    """Return a row's distribution; of how many, where it is not all studies, and in how many it is not stated."""
    of = "" if row.of == "studies" and row.stated == studies else f" ({count(row.stated)} {row.of})"
    missing = f"; not stated in {count(row.not_stated)}" if row.not_stated else ""
    return f"{_distribution(row)}{of}{missing}"


def _distribution(row: CohortRow) -> str:
    if row.median is not None:
        like = (row.low, row.high)
        ends = f"({number(row.low, like=like)} to {number(row.high, like=like)})"
        return f"{number(row.median, like=like)} {ends} {unit_of(row.unit)}".strip()
    groups = [f"{name}: {count(many)}" for name, many in row.counts.items()]
    if row.small is not None:
        many, together = row.small
        size = f"fewer than {SMALLEST_GROUP}" if together is None and many == 1 else "not printed"
        groups.append(f"{plural(many, 'other group')}: {size if together is None else count(together)}")
    return " \u00b7 ".join(groups)


def _masks(flow: Flow) -> list[Flowable]:
    """Say how many of the analysed studies' masks could not be used, and why; nothing where all could."""
    if not flow.mask_faults:
        return []
    reasons = ", ".join(f"{words(why)} {count(many)}" for why, many in flow.mask_faults.items())
    refused = sum(flow.mask_faults.values())
    return [
        small(
            f"{plural(refused, 'mask')} of analysed studies could not be used ({reasons}); "
            f"{plural(flow.without_mask, 'study is', 'studies are')} left without any. The classifier is judged on "
            "these studies all the same; a map's scores against such a mask are undefined, and every estimate counts "
            "them."
        )
    ]


def _compared(results: Results) -> list[tuple[str, object]]:
    compared = results.compared
    if compared is None:
        return []
    studies = plural(compared.studies, "study", "studies")
    return [("Compared", f"{studies} of {plural(compared.patients, 'patient')}, with a map and a mask")]


def _labels(names: Iterable[str]) -> list[str]:
    """Return the names as headings; two that would become one stay as they are."""
    plain = {name: words(name)[:1].upper() + words(name)[1:] for name in names}
    often = Counter(plain.values())
    return [heading if often[heading] == 1 else name for name, heading in plain.items()]


def _values(values: object) -> str:
    pairs = dict(values).items() if values else ()  # type: ignore[call-overload]
    names = ((fitted_at_both_ends(str(name), COLUMN, 7), many) for name, many in pairs)
    return " · ".join(f"{name}: {count(many)}" for name, many in names) or "none stated"
