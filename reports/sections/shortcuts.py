"""What the model leans on beside the lesion: the cause in a sentence, every test, and whether the lesion is needed."""

from typing import Final

from pipeline.findings.experiments.selftest import KeptRate, SelftestRates
from pipeline.findings.experiments.shortcuts import (
    LabelShortcuts,
    LesionNumbers,
    NeedOverlap,
    ShortcutFindings,
    ShortcutTest,
    cause_words,
)
from pipeline.findings.results import Results
from reports.numbers import count, number, plural
from reports.page.layout import Chip, Flowable, bullets, columns, note, paragraph, small, subheading, table
from reports.page.text import DASH
from reports.registry import Context, section
from reports.wording import method, metric, on_metrics, words

_WHAT = (
    "Each study is changed in one respect at a time, and the model asked again. It is given the border, what lies "
    "outside the body, texture, contrast or position of a study of the opposite label (control: of one of the same "
    "label), or small bright marks are painted over (control: an equal area of the same tissue). An effect is what the "
    "score moves beyond its control, as a share of the distance between the classes' mean scores. No map is used."
)
_RULE = (
    "Named is an effect of at least 0.15 whose p (signs flipped by patient; Holm's correction for all tests) is at "
    "most 0.05: the largest, a second one at least half as large, and something outside the body only if nothing more "
    "specific is. Nothing is named below an AUROC of 0.8."
)
_OVERLAP = "Means over studies in which painting over the mask moves the score, and in which it does not (studies)"
_NEEDLESS = "A map on a mask that the model does not need shows no reliance on it; this decides nothing."
RATES: Final = (
    "How often the rule errs, where it was fixed (pictures of 64 x 64, one planted cause, small networks, 80 studies; "
    "another implementation): of 73 models that lean on the cause by half of the distance or more, 73 were named "
    "rightly (exact 95 % interval 95.1 to 100 %); of 11 that lean by 0.2 to 0.5, 7. Of 53 sound models 0 were accused "
    "(0 to 6.7 %), of 36 on studies whose positives all bore a cause, 0. Not measured there: volumes."
)
_NOT_FOUND = "A cause outside the list (anatomy, age, another disease) is not found."


@section(91, "What else the model leans on")
def build(context: Context) -> list[Flowable]:
    """Return each label's sentences, tests and lesion experiments; nothing where the run was not asked for it."""
    findings = context.results.experiments.shortcuts
    if findings is None:
        return []
    parts: list[Flowable] = []
    for own in findings.labels:
        parts += _of_label(context.results, own, several=len(findings.labels) > 1)
    if findings.not_done is not None:
        parts.append(paragraph(f"The experiment was broken off: {words(findings.not_done)}."))
    return [
        small(_WHAT),
        *parts,
        note(" ".join([_RULE, own_rates(context.results.provenance.selftest) or RATES, _NOT_FOUND, _counts(findings)])),
    ]


def own_rates(rates: SelftestRates | None) -> str:
    """Return what the self-test that this program comes with counted; nothing where it comes with none."""
    named, accused = (None, None) if rates is None else (rates.rate("named"), rates.rate("accused"))
    if rates is None or named is None or accused is None:
        return ""
    version = rates.program.partition(" ")[0]
    part = "" if rates.models == rates.planned else f", {count(rates.models)} of {count(rates.planned)} models"
    return (
        f"How often the rule errs, by the self-test of camaudit {version} (seed {rates.seed}{part}; trained phantom "
        f"models in 2D and 3D): of those that lean by half of the distance or more, named rightly {_counted(named)}; "
        f"sound models accused {_counted(accused)}."
    )


def _counted(rate: KeptRate) -> str:
    counted = f"{count(rate.count)} of {count(rate.of)}"
    if rate.low is None or rate.high is None:
        return counted
    return f"{counted} (exact 95 % interval {_hundred(rate.low)} to {_hundred(rate.high)} %)"


def _hundred(value: float) -> str:
    return f"{100 * value:.1f}"


def _of_label(results: Results, own: LabelShortcuts, *, several: bool) -> list[Flowable]:
    finding = own.finding
    shape = columns(
        ("Changed", 40), ("Effect", 14, True), ("p (Holm)", 16, True), ("Answers turned", 22, True),
        ("by the control", 18, True), ("Studies", 14, True), ("", 22),
    )  # fmt: skip
    head = subheading(f"Label: {own.label}") if several else []
    lesion = _lesion(results, own) if finding.lesion is not None else []
    rows = [_row(test, finding.named) for test in finding.tests]
    return [*head, *bullets(list(finding.sentences), compact=True), table(shape, rows, compact=True), *lesion]


def _row(test: ShortcutTest, named: tuple[str, ...]) -> tuple[object, ...]:
    title = cause_words(test.test).removeprefix("the ")
    turned = test.positives
    return (
        f"{title[:1].upper()}{title[1:]}",
        number(test.effect),
        number(test.p_adjusted),
        DASH if turned is None else f"{turned.changed} of {turned.of}",
        DASH if turned is None or turned.control is None else count(turned.control),
        count(test.studies),
        _chip(test, named),
    )


def _chip(test: ShortcutTest, named: tuple[str, ...]) -> Chip | str:
    if test.test in named:
        return Chip("NAMED", "bad")
    return "not tested" if test.effect is None else "not named"


def _lesion(results: Results, own: LabelShortcuts) -> list[Flowable]:
    """Return what the sentences leave out of the lesion's experiments: they tell what became of the answers."""
    return [note(_about_the_lesion(own, own.finding.lesion or LesionNumbers())), *_overlap(results, own)]


def _overlap(results: Results, own: LabelShortcuts) -> list[Flowable]:
    """Return the overlap that criteria ask of maps in both groups of studies, where there are two."""
    if not own.needed or not own.not_needed or not own.overlap:
        return []
    asked = {(verdict.metric, verdict.method) for verdict in on_metrics(results)}
    shown = [overlap for overlap in own.overlap if (overlap.metric, overlap.method) in asked]
    means = "; ".join(
        f"{metric(results, overlap.metric)} of {method(results, overlap.method)} "
        f"{_mean(overlap.needed, overlap.needed_studies, overlap)} and "
        f"{_mean(overlap.not_needed, overlap.not_needed_studies, overlap)}"
        for overlap in shown
    )
    rest = len(own.overlap) - len(shown)
    more = f" All {count(len(own.overlap))} pairs of a map and a metric: results.json." if rest else ""
    return [note(f"{_OVERLAP}: {means}. " if shown else "", _NEEDLESS, more)]


def _mean(value: float | None, studies: int, both: NeedOverlap) -> str:
    return DASH if value is None else f"{number(value, like=(both.needed, both.not_needed))} ({studies})"


def _about_the_lesion(own: LabelShortcuts, numbers: LesionNumbers) -> str:
    said = []
    marks = numbers.marks_filled
    if marks is not None and marks.control is not None:
        said.append(f"An equal area elsewhere in place of the marks turned {count(marks.control)} of {marks.of}.")
    if numbers.effect is not None:
        tiny = number(numbers.effect).startswith("> ")  # less than nothing, by next to nothing
        moved = number(abs(numbers.effect) if tiny else numbers.effect)
        said.append(f"Painting over the lesion moves the score by {moved} of the distance.")
    masked = len(own.needed) + len(own.not_needed)
    if masked:
        said.append(f"In {len(own.not_needed)} of {masked} studies by less than 0.15: not needed by this model there.")
    if numbers.background_auroc is not None:
        said.append(
            f"With the body painted over, its outline too, the surroundings alone give an AUROC of "
            f"{number(numbers.background_auroc)}; this alone accuses nothing."
        )
    return " ".join(said)


def _counts(findings: ShortcutFindings) -> str:
    """Return what was tried, on what, and at what price."""
    failed = ", ".join(f"{study}: {words(reason)}" for study, reason in findings.failures.items())
    lost = f" Not read: {failed}." if failed else ""
    unknown = (
        f" {plural(findings.unlabelled, 'study has', 'studies have')} no reference." if findings.unlabelled else ""
    )
    tried = f"{plural(findings.asked, 'study', 'studies')}, one a patient, were chosen beforehand; "
    return f"{tried}the model was shown {plural(findings.forwards, 'picture')}.{lost}{unknown}"
