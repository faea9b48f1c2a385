"""What may be claimed follows from the bounds and from nothing else."""

import pytest

from pipeline.findings.results import Whereabouts
from reports.claims import allowed, main_method, peak_sentences, refused, why
from tests.reports import example
from tests.reports.test_sentences import verdict

RANGED = example.results(
    metrics=tuple(
        facts.model_copy(update={"range": (0.0, 1.0)}) if facts.name == "iou" else facts
        for facts in example.results().metrics
    )
)


def bounded(low, high, metric="iou", **more):
    return verdict(metric, value=None if low is None else (low + high) / 2, estimate={"low": low, "high": high}, **more)


@pytest.mark.parametrize(
    ("judged", "words"),
    [
        (bounded(0.31, 0.52), "at least 0.310, not above 0.520"),
        (bounded(0.0, 0.265), "not above 0.265"),  # "at least 0" is no claim
        (bounded(0.794, 1.0), "at least 0.794"),
        (bounded(0.0, 1.0), "nothing: any value is possible"),
        (bounded(-0.28, 0.25, against="centre_prior"), "at least \u22120.280, not above 0.250"),
        (bounded(0.0, 0.25, against="centre_prior"), "at least 0.000, not above 0.250"),  # of a difference: no worse
        (bounded(11.0, 18.0, "distance_mm"), "at most 18.00, not below 11.00"),
        (bounded(None, None), "nothing: there is no bound"),
    ],
)
def test_the_strongest_claim_is_the_bound_that_is_no_end_of_the_scale(judged, words):
    assert allowed(RANGED, judged) == words


@pytest.mark.parametrize("answer", ["MET", "NOT MET", "INCONCLUSIVE", "NOT EVALUATED"])
def test_what_may_not_be_claimed_follows_from_the_answer(answer):
    said = refused(verdict(answer=answer))
    assert ("rule it out" in said) == (answer == "NOT MET")
    assert ("neither" in said) == (answer == "INCONCLUSIVE")


def test_probabilities_are_told_with_the_digits_that_they_have():
    small = verdict(answer="NOT MET", p_met=1.0, p_not_met=1.1e-8)
    assert why(small) == "p < 0.001 against the claim, not above 0.025"
    assert why(verdict(answer="INCONCLUSIVE", p_met=0.31, p_not_met=0.2)) == (
        "p = 0.31 against the contrary and p = 0.20 against the claim, both above 0.025"
    )
    assert why(verdict(answer="MET", p_met=0.00102, p_not_met=1.0)).startswith("p = 0.0010 against the contrary")
    assert why(verdict(value=None)) == "the reason"


def where(regions, places, constant=0, axes=2, studies=None):
    maps = sum(regions.values()) + constant
    return Whereabouts(method="gradcam", among="reference_positive", maps=maps, studies=studies or maps,
                       regions=regions, places=places, constant=constant, axes=axes)  # fmt: skip


@pytest.mark.parametrize(
    ("counted", "sentences"),
    [
        (where({"surface": 10, "outside": 14}, {"upper right": 24}),
         ["In 24 of 24 studies the peak of Grad-CAM lies at the upper right of the picture.",
          "It lies outside the body in 14; at the body's surface in 10; inside an expert's outline in none."]),
        (where({"lesion": 22, "body": 2}, {"right": 24}),
         ["In 22 of 24 studies the peak of Grad-CAM lies inside an expert's outline.",
          "It lies elsewhere in the body in 2.", "Most often it lies at the right of the picture: in 24."]),
        (where({"body": 3}, {"middle": 2, "front": 1}, constant=1, axes=3),
         ["In 3 of 4 studies the peak of Grad-CAM lies elsewhere in the body.",
          "It lies inside an expert's outline in none.", "Most often it lies in the middle of the patient: in 2.",
          "1 map points nowhere: the same everywhere."]),
        (where({"lesion": 3}, {"left": 3}, studies=2),
         ["In 3 of 3 maps the peak of Grad-CAM lies inside an expert's outline.",
          "Most often it lies at the left of the picture: in 3."]),
        (where({}, {}, constant=2), ["2 maps point nowhere: the same everywhere."]),
    ],
)  # fmt: skip
def test_where_maps_look_is_told_from_the_counts(counted, sentences):
    assert peak_sentences(example.results(), counted) == sentences


def test_the_map_that_is_shown_is_the_first_criterions():
    assert main_method(example.results()) == "gradcam"
    classifier = (verdict("accuracy", "classifier", "all", value=0.8),)
    assert main_method(example.results(verdicts=classifier)) is None
    assert main_method(example.results(verdicts=(), whereabouts=(where({"body": 1}, {"left": 1}),))) == "gradcam"
