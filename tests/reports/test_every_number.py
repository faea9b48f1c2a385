"""Every number on every page, cover and summary included, stands in ``results.json``."""

import shutil

import pytest

from pipeline.evidence.faithfulness.rule import PictureAreas, faithfulness_test
from pipeline.findings.context.changes import MatchedStudies, PeakShift, RunChange
from pipeline.findings.context.cohort import AlikePictures, Leakage, SamePicture
from pipeline.findings.experiments.bundle import ExperimentFindings
from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.experiments.faithfulness import AskedFigure, FaithfulnessFigure, FaithfulnessFindings
from pipeline.findings.pictures.panels import View, save_panels
from pipeline.findings.plotted.shares import AvoidedShares
from pipeline.findings.results import Whereabouts, WrongAnswer
from pipeline.findings.scores import MapPeak
from reports import case_page
from reports.cover import first_answers
from reports.pdf import render
from reports.sections import change, criteria_plot, how_to_read, overlap, summary, wrong_answers
from reports.sheets import render_sheets
from tests.reports import example
from tests.reports.charts.test_other_charts import watched
from tests.reports.printed_numbers import unexplained

needs_poppler = pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext (poppler-utils) is missing")


def results():
    """Return results with everything that the first page speaks of."""
    base = example.results()
    peak = MapPeak(region="outside", body_region="outside", place="upper right", position_mm=(12.0, -4.0, 81.5),
                   normalised=(0.91, 0.07), value=3.2)  # fmt: skip
    where = Whereabouts(method="gradcam", among="reference_positive", maps=44, studies=44, constant=1, axes=2,
                        regions={"outside": 32, "surface": 11}, places={"upper right": 38, "left": 5})  # fmt: skip
    entries = []
    for number, entry in enumerate(base.cases):
        audit = entry.audit
        scores = tuple(
            scores.model_copy(update={"map": f"maps/0.npz#{scores.method}", "peak": peak})
            for scores in audit.map_scores
            if scores.method in example.METHODS
        )
        audit = audit.model_copy(update={"map_scores": (*scores, *audit.map_scores[len(scores) :])})
        rule = "typical: the median overlap of all studies with a score" if number == 0 else entry.rule
        entries.append(entry.model_copy(update={"audit": audit, "rule": rule}))
    wrong = (WrongAnswer(reference=("nodule",), answered=(), patients=7, studies=("S0012", "S0051")),
             WrongAnswer(reference=(), answered=("nodule",), patients=6, studies=("S0061",)))  # fmt: skip
    answers = {"MET": 1, "NOT MET": 1, "INCONCLUSIVE": 1, "NOT EVALUATED": 1}
    judged = example.verdicts()
    judged = (judged[0].model_copy(update={"control": watched()}), *judged[1:])
    before = [point.model_copy(update={"run": "r0", "finished_at": "2026-10-03T02:00:00+00:00"})
              for point in base.points()]  # fmt: skip
    further = {
        "changes": (moved(),),
        "verdicts": judged,
        "history": tuple(before),
        "experiments": tried(),
        "leakage": leaks(),
        "avoided": (marked(),),
    }
    return example.results(cases=tuple(entries), whereabouts=(where,), wrong_answers=wrong, answers=answers, **further)


def moved():
    """Return a change without figures in which maps peak elsewhere."""
    far = {"map": "gradcam", "label": "nodule", "axes": 2, "patients_before": 61, "distance": 0.0317, "p": 0.0135}
    near = far | {"p": 0.001, "distance": 0.000047}
    shifts = (PeakShift(of="same patients", patients=61, **far),
              PeakShift(of="new patients", group="site=A", patients=14, **near))  # fmt: skip
    studies = MatchedStudies(paired=66, not_analysed=4, changed=0, only_in_a=0, only_in_b=14)
    return RunChange(kind="previous", run_a="example/r0", run_b="example/r1", studies=studies, shifts=shifts,
                     answer="no worsening shown", reason="no figure is shown to be worse")  # fmt: skip


def tried():
    """Return faithfulness with all that can be asked for."""
    held = faithfulness_test(
        [PictureAreas(f"p{number}", 1.0, (0.25,), 1.5 * (number % 7 == 0)) for number in range(23)]
    )
    common = {"method": "gradcam", "answer": held.answer, "sentence": held.sentence, "tests": held.tests,
              "pictures": 23, "patients": 23, "area": 1.374, "share_of_best": 0.613}  # fmt: skip
    figures = tuple(FaithfulnessFigure(fill=fill, **common) for fill in ("blur", "road"))
    check = CheckFinding(check="faithfulness", method="gradcam", answer="MET", reason=held.sentence)
    asked = (AskedFigure(method="gradcam", score="average_drop", value=31.7, patients=22, undefined=1),)
    return ExperimentFindings(
        faithfulness=FaithfulnessFindings(checks=(check,), figures=figures, asked_figures=asked, asked=24,
                                          failures={"S0044": "timeout"}, forwards=1656)
    )  # fmt: skip


def leaks():
    same = (SamePicture(studies=("S0003", "S0019"), patients=2),)
    alike = (AlikePictures(studies=("S0021", "S0034"), likeness=0.973, patients=2, labels_differ=True),)
    return Leakage(pictures=47, compared=46, same=same, alike=alike, alike_pairs=1, alike_across_labels=1)


def marked():
    return AvoidedShares(region="tube", method="gradcam", evidence=0.417, area=0.032, studies=29, patients=26, above=19,
                         unknown=2)  # fmt: skip


def rendered(tmp_path):
    """Render the results with the facts of their pictures, as a run writes them."""
    from pipeline.conclusions.shown_cases.picture_facts import picture_facts

    found, panels = results(), {entry.study: panels for entry, panels in example.cases() if panels is not None}
    for study, shown in panels.items():
        views = tuple(View(**{**vars(view), "plane": "axial", "number": 23, "planes": 60, "position_mm": -12.53,
                              "thickness_mm": 7.25}) for view in shown.views)  # fmt: skip
        panels[study] = type(shown)(**{**vars(shown), "views": views})
    cases = tuple(
        case.model_copy(update={"picture": picture_facts(panels[case.study])}) if case.study in panels else case
        for case in found.cases
    )
    folder = example.write_run(tmp_path, found.model_copy(update={"cases": cases}))
    for study, shown in panels.items():
        save_panels(shown, folder / "cases" / f"{study}.npz")
    return render(folder), folder / "results.json"


@needs_poppler
def test_every_number_on_every_page_stands_in_the_results(tmp_path):
    assert unexplained(*rendered(tmp_path)) == []


@needs_poppler
def test_every_number_on_a_sheet_stands_in_the_results(tmp_path):
    report, kept = rendered(tmp_path)
    sheets = sorted(render_sheets(report.parent).glob("*.pdf"))
    assert len(sheets) >= 3
    assert [entry for sheet in sheets for entry in unexplained(sheet, kept)] == []


FALSIFIED = [
    (first_answers, "refused", lambda verdict: "Not more than 0.777 may be claimed."),
    (first_answers, "peak_sentences", lambda results, counted: ["In 83 of 97 studies the peak lies in the marker."]),
    (first_answers, "allowed", lambda results, verdict: "at least 0.643"),
    (criteria_plot, "_about", lambda verdict: "p = 0.0417 against the claim"),
    (criteria_plot, "control_words", lambda control: ("A false alarm every 977 runs.", "The sum is 3.19.")),
    (change, "_shift", lambda results, shift: ("Grad-CAM", "nodule", "all", "same", "61 / 61", "0.4219", "0.8867")),
    (summary, "_NOT", ("It was tried on 5,812 patients.",)),
    (overlap, "_READING", "Chance is 0.137."),
    (case_page, "CASE_WARNING", "Maps are wrong in 37.3 % of patients."),
    (wrong_answers, "_READING", "91 of them are doubtful."),
    (how_to_read, "_HARMS", ("In a study of 213 mammograms readers followed a wrong map.",)),
]


@needs_poppler
@pytest.mark.parametrize(("module", "name", "lie"), FALSIFIED, ids=[f"{one[0].__name__}.{one[1]}" for one in FALSIFIED])
def test_a_falsified_sentence_is_found(module, name, lie, tmp_path, monkeypatch):
    monkeypatch.setattr(module, name, lie)
    found = unexplained(*rendered(tmp_path))
    assert len(found) >= 1
