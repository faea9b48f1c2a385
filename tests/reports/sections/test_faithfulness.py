"""What the report says of faithfulness is what was shown, and no more."""

import pytest

from pipeline.evidence.faithfulness.rule import PictureAreas, faithfulness_test
from pipeline.findings.experiments.bundle import ExperimentFindings
from pipeline.findings.experiments.check import CheckFinding
from pipeline.findings.experiments.faithfulness import AskedFigure, FaithfulnessFigure, FaithfulnessFindings
from tests.reports import example
from tests.reports.test_sentences import said

TITLE = "Do the maps tell what moves the answer"
GAP = "Whether the maps are faithful to the model"


def findings(centre=10, patients=10, fill="blur", **more):
    pictures = [PictureAreas(f"p{number}", 1.0, (0.0,), 0.0 if number < centre else 2.0) for number in range(patients)]
    held = faithfulness_test(pictures)
    figure = FaithfulnessFigure(method="gradcam", fill=fill, answer=held.answer, sentence=held.sentence,
                                tests=held.tests, pictures=patients, patients=patients, area=1.25,
                                share_of_best=0.81)  # fmt: skip
    check = CheckFinding(check="faithfulness", method="gradcam", answer="MET", reason=held.sentence)
    content = {"checks": (check,), "figures": (figure,), "asked": patients, "forwards": 720, **more}
    return example.results(experiments=ExperimentFindings(faithfulness=FaithfulnessFindings(**content)))


def test_a_map_that_beats_both_is_said_to_with_its_numbers():
    words = said(TITLE, findings())
    assert "10 of 10 (p 0.0010)" in words or "10 of 10 (p < 0.001)" in words
    assert "BEATS BOTH" in words
    assert "1.25 | 0.81 | 0 of 10" in words
    assert "the model was shown 720 changed pictures" in words
    assert "A map that beats both may still follow a shortcut" in words


def test_a_centre_blob_that_is_not_beaten_is_not_kept_quiet():
    words = said(TITLE, findings(centre=8))
    assert "BEATS RANDOM ONLY" in words
    assert "not shown to beat a centre blob" in words
    assert "fewer than 20 patients rarely show it" in words


def test_too_few_patients_show_nothing():
    words = said(TITLE, findings(patients=9))
    assert "NOT SHOWN" in words
    assert "9 patients, and fewer than 10 show nothing" in words


def test_what_misleads_is_marked_as_that_and_stands_apart():
    asked = (AskedFigure(method="gradcam", score="average_drop", value=31.0, patients=10, undefined=2),)
    words = said(TITLE, findings(asked_figures=asked))
    assert "31.0 (2 undefined)" in words.partition("Known to mislead")[2]
    assert "No verdict rests on them" in words
    assert "Known to mislead" not in said(TITLE, findings())


@pytest.mark.parametrize("tried", [True, False])
def test_what_was_not_measured_is_said_only_where_it_was_not(tried):
    results = findings() if tried else example.results()
    assert (GAP in said("Not measured", results)) == (not tried)
    assert (said(TITLE, results) == "") == (not tried)
