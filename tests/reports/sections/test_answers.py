"""The report's words about answers: each cell with both maps, and why there are none."""

from pipeline.findings.results import CellFindings, ConfusionMatrix
from pipeline.vocabulary import NOTHING, ConfusionCell
from reports import wording
from tests.reports import example
from tests.reports.test_sentences import said, verdict

TITLE = "Every answer"


def part(reference, answered, own=None, other=None, place=None, studies=7):
    cell = ConfusionCell(reference, answered)

    def of(metric, value, role):
        if value is None:
            return ()
        return (example.estimate(metric, "gradcam", value, cell, target_role=role),)

    return CellFindings(
        cell=cell, studies=studies, patients=studies - 1, reference_map=of("hit_rate", own, "reference"),
        answered_map=of("hit_rate", other, "answered"), placement=of("energy_in_body", place, "answered"),
    )  # fmt: skip


def matrix(*cells, **more):
    return example.results(confusion=ConfusionMatrix(studies=20, cells=cells, **more))


def test_each_cell_has_its_row_with_both_maps():
    results = matrix(
        part("clear", "malignant", place=0.83), part("benign", "malignant", own=0.41, other=0.62, place=0.71, studies=9)
    )
    text = said(TITLE, results)
    assert "clear | malignant | 7 | 6 | Grad-CAM | — | — | 0.83" in text
    assert "benign | malignant | 9 | 8 | Grad-CAM | 0.41" in text
    assert "0.62" in text
    assert "0.71" in text
    assert "called by itself" not in text
    assert "were not answered" not in text


def test_a_cell_of_independent_labels_says_what_nothing_means():
    text = said(TITLE, matrix(part("edema", NOTHING, own=0.3), unanswered=4))
    assert "nothing stands for one that is not there, or not called" in text
    assert "4 studies with a reference were not answered" in text


def test_a_model_whose_answers_are_not_judged_says_why():
    text = said(TITLE, example.results(confusion=ConfusionMatrix(reason="the model is a segmentation")))
    assert text == "There are no cells: the model is a segmentation."


def test_a_verdict_about_a_cell_names_it_and_whose_map():
    cell = ConfusionCell("malignant", "benign")
    own = verdict(metric="hit_rate", among=cell)
    other = verdict(metric="hit_rate", among=cell, target_role="answered")
    results = example.results()
    assert wording.population(own) == "studies: malignant called benign"
    assert wording.subject(results, own) == "Hit rate of Grad-CAM"
    assert wording.subject(results, other) == "Hit rate of Grad-CAM (the answered label's map)"
    assert "malignant called benign" in said("", example.results(verdicts=(own, other)))


def test_a_panel_of_the_answered_label_is_titled_by_its_method():
    assert wording.method(example.results(), "gradcam (benign, answered)") == "Grad-CAM (benign, answered)"
