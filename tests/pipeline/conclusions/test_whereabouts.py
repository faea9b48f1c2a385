"""Peaks and wrong answers, counted from records whose answer is known."""

import pytest
from pydantic import ValidationError

from pipeline.conclusions.whereabouts import whereabouts
from pipeline.evidence.plotted.answer_kinds import AnswerKinds
from pipeline.findings.results import Whereabouts
from pipeline.findings.scores import MapPeak, MapScores
from pipeline.findings.study_audit import StudyAudit


def peak(region, place="upper left", axes=2):
    body = "body" if region in ("lesion", "near") else region
    return MapPeak(region=region, body_region=body, place=place, position_mm=(1.0, 2.0, 3.0),
                   normalised=(0.1,) * axes, value=1.0)  # fmt: skip


def entry(region, reader="a", *, place="upper left", method="gradcam", layer="l", target="nodule"):
    """Return one row; ``region`` None is a constant map, ``refused`` a mask that could not be used."""
    where = None if region in (None, "refused") else peak(region, place)
    stored = None if method == "random_map" else f"maps/0.npz#{target}/{method}/{layer}"
    return MapScores(target=target, method=method, layer=layer, reader=reader, map=stored, degenerate=region is None,
                     peak=where)  # fmt: skip


def audit(study, *entries, reference=("nodule",), predicted=("nodule",), patient=None, **more):
    return StudyAudit(study=study, patient=patient or study, source_sha256="", status="analysed", reference=reference,
                      predicted=predicted, map_scores=entries, **more)  # fmt: skip


def test_a_peak_counts_for_the_reader_in_whose_outline_it_lies():
    (counted,) = [part for part in whereabouts([audit("s", entry("outside", "a"), entry("lesion", "b"))])
                  if part.among == "reference_positive"]  # fmt: skip
    assert (counted.maps, counted.studies, dict(counted.regions)) == (1, 1, {"lesion": 1})


def test_every_stratum_counts_its_own_studies():
    audits = [
        audit("hit", entry("lesion")),
        audit("missed", entry("surface", place="lower"), predicted=()),
        audit("alarm", entry("outside", None, place="lower"), reference=()),
        audit("flat", entry(None)),
        audit("unread", entry("refused")),
        audit("baseline", entry("body", method="random_map")),
    ]
    counted = {part.among: part for part in whereabouts(audits)}
    assert {among: part.maps for among, part in counted.items()} == {
        "all": 4, "reference_positive": 3, "true_positive": 2, "false_negative": 1,
    }  # fmt: skip
    assert dict(counted["all"].regions) == {"lesion": 1, "surface": 1, "outside": 1}
    assert list(counted["all"].places.items()) == [("lower", 2), ("upper left", 1)]
    assert counted["true_positive"].constant == 1
    assert [part.among for part in whereabouts(audits, calls_labels=False)] == ["all", "reference_positive"]


def test_maps_at_several_layers_and_of_several_labels_are_counted_apart():
    entries = [entry("lesion"), entry("body", layer="m"), entry("outside", target="mass")]
    counted = {(part.method, part.among): part for part in whereabouts([audit("s", *entries)])}
    assert {method for method, _ in counted} == {"gradcam@l", "gradcam@m"}
    assert (counted["gradcam@l", "all"].maps, counted["gradcam@l", "all"].studies) == (2, 1)
    assert counted["gradcam@l", "reference_positive"].maps == 1


def test_counts_that_do_not_add_up_are_refused():
    fields = {"method": "m", "among": "all", "maps": 3, "studies": 3, "regions": {"body": 2}, "places": {"left": 2}}
    assert Whereabouts(**fields, constant=1).maps == 3
    for wrong in ({"constant": 0}, {"constant": 1, "places": {"left": 1}}):
        with pytest.raises(ValidationError, match="3 maps"):
            Whereabouts(**{**fields, **wrong})


def test_wrong_answers_are_told_by_kind_the_most_frequent_first():
    audits = [
        audit("right"),
        audit("m1", predicted=(), patient="p"),
        audit("m2", predicted=(), patient="p"),
        audit("alarm", reference=()),
        audit("swap", predicted=("mass",)),
        audit("unknown", reference=None),
        audit("number", predicted=(), values={"age": 3.0}),
    ]
    wrong = AnswerKinds.of(audits).wrong()
    assert [(kind.reference, kind.answered, kind.patients, kind.studies) for kind in wrong] == [
        (("nodule",), (), 1, ("m1", "m2")),
        ((), ("nodule",), 1, ("alarm",)),
        (("nodule",), ("mass",), 1, ("swap",)),
    ]


def test_labels_are_a_set_and_what_nobody_knows_comes_last_and_is_not_wrong():
    audits = [
        audit("a", reference=("mass", "nodule"), predicted=("nodule", "mass")),
        audit("b", reference=None, predicted=()),
        audit("c", reference=(), predicted=("nodule", "mass", "nodule")),
        audit("d", reference=("nodule",), predicted=("nodule",), patient="p"),
        audit("e", reference=("nodule",), predicted=("nodule",), patient="p"),
        StudyAudit(
            study="f", patient="f", source_sha256="", status="failed", reason="unreadable", reference=("nodule",)
        ),
    ]
    kinds = AnswerKinds.of(audits)
    assert [(count.reference, count.answered, count.studies, count.patients) for count in kinds.counts()] == [
        (("nodule",), ("nodule",), 2, 1),
        ((), ("mass", "nodule"), 1, 1),
        (("mass", "nodule"), ("mass", "nodule"), 1, 1),
        (None, (), 1, 1),
    ]
    assert [kind.studies for kind in kinds.wrong()] == [("c",)]
