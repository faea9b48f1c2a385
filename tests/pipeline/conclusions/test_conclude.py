"""What is counted over a run's studies."""

import csv
import shutil

import pytest

from pipeline.conclusions import conclude as results
from pipeline.conclusions.choose_cases import TYPICAL
from pipeline.conclusions.gathered import MapCounts
from pipeline.findings.facts import LayerFacts
from pipeline.findings.results import Compared
from pipeline.findings.scores import MapScores, Score
from pipeline.findings.shards import read_shard
from pipeline.findings.study_audit import StudyAudit
from tests.pipeline.planted import plant, write_manifest
from tests.pipeline.runs.test_run import complete
from tests.pipeline.walk import model_kinds

SCORED = (Score(name="iou", value=0.5), Score(name="hit_rate", reason="constant_map"))
UNDEFINED = (Score(name="iou", reason="empty_mask"),)


def entry(method="gradcam", *, layer="l", map_="maps/0.npz#k", scores=SCORED, cell_mm=(2.0, 3.0), reader="a"):
    return MapScores(target="nodule", method=method, layer=layer, reader=reader, map=map_, scores=scores,
                   cell_mm=cell_mm)  # fmt: skip


def study(number, *map_scores, reference=(), patient=None, **more):
    fields = {"status": "analysed", "reference": reference, "map_scores": map_scores, **more}
    return StudyAudit(study=f"S{number}", patient=patient or f"P{number}", source_sha256="0", **fields)


def failed(number, **more):
    return StudyAudit(
        study=f"S{number}", patient=f"P{number}", source_sha256="0", status="failed", stage="read", reason="r", **more
    )


def counted(audits):
    counts = MapCounts()
    for audit in audits:
        counts.add(audit)
    return counts


def test_what_was_compared_needs_a_map_and_a_score():
    baseline = entry("centre_prior", layer=None, map_=None, cell_mm=None)
    audits = [
        study(0, entry(), baseline, patient="P"),
        study(1, entry(), entry("hirescam"), patient="P"),
        study(2, entry(scores=(), reader=None)),  # no mask
        study(3, entry(scores=UNDEFINED)),  # an empty mask
        study(4, baseline),  # a baseline is no map of the model
        study(5),
        failed(6),
    ]
    counts = counted(audits)
    assert (counts.mapped, counts.scored, len(counts.patients_scored)) == (4, 2, 1)
    assert (counts.maps, counts.reused, counts.examples) == (4, 0, {"any": "S0", "new": "S0"})
    assert (counted([]).mapped, counted([]).examples) == (0, {})


def test_the_manifests_modality_and_the_headers_are_two_rows():
    audits = [
        study(number, strata={"modality": "dx", "Modality": "X-ray", "site": ""}, facts={"Modality": "DX"})
        for number in range(3)
    ]
    assert results._cohort_facts([*audits, failed(9, strata={"site": "A"})], "clear") == {
        "reference": {"clear": 3},
        "modality (image header)": {"DX": 3},
        "modality (manifest)": {"dx": 3},
        "Modality (manifest)": {"X-ray": 3},
        "site": {"not stated": 3},
    }


@pytest.mark.parametrize("column", ["reference", "Reference", " modality", "modality (image header)"])
def test_no_column_is_added_to_what_the_audit_counts(column):
    found = results._cohort_facts([study(0, strata={column: "x"})], None)
    assert found[f"{column} (manifest)"] == {"x": 1}
    assert all(sum(counts.values()) == 1 for counts in found.values())
    assert len(found) == 3


@pytest.mark.parametrize(("negative", "name"), [("clear", "clear"), (None, "none of the labels")])
def test_a_study_without_a_finding_is_counted_under_the_models_own_name(negative, name):
    audits = [study(0), study(1, reference=None), study(2, reference=("a", "b"))]
    assert results._cohort_facts(audits, negative)["reference"] == {name: 1, "not stated": 1, "a; b": 1}


def test_the_cells_range_is_that_of_all_studies_at_the_layer():
    layer = LayerFacts(name="l", requested="auto", shape=(8, 8), cell_mm=(2.0, 3.0))
    audits = [
        study(0, entry(), entry("other", layer="k", cell_mm=(9.0, 9.0))),
        study(1, entry(cell_mm=(2.5, 2.75))),
        study(2, entry("centre_prior", layer=None, map_=None, cell_mm=None)),
    ]
    assert results._with_range(layer, counted(audits)).cell_range == ((2.0, 2.5), (2.75, 3.0))
    assert results._with_range(layer, counted([])).cell_range is None


def test_a_run_says_what_it_compared_and_how_large_its_cells_are(tmp_path):
    config = plant(tmp_path, 6)
    archive = tmp_path / "archive"
    rows = list(csv.DictReader((archive / "manifest.csv").open()))
    write_manifest(archive, [{**row, "modality": "CT"} for row in rows])
    folder, found = complete(config)
    audits = [audit for path in (folder / "shards").glob("*.parquet") for audit in read_shard(path)]
    assert found.compared == Compared(mapped=4, studies=4, patients=len({a.patient for a in audits if a.map_scores}))
    (layer,) = found.model.layers
    assert layer.cell_range == tuple((pytest.approx(2.0), pytest.approx(2.0)) for _ in range(3))
    assert found.cohort_facts["modality (image header)"] == {"not stated": 6}
    assert found.cohort_facts["modality (manifest)"] == {"CT": 6}
    assert found.cohort_facts["reference"] == {"clear": 2, "lesion": 4}
    assert found.model.negative_label == "clear"


REGRESSION = {"name": "m", "factory": "kinds:number", "labels": ["lesion"], "output": "regression"}


def test_a_regression_calls_nothing_and_the_rest_is_concluded(tmp_path):
    config = plant(tmp_path, 6, model=REGRESSION, explain={"methods": ["gradcam"]},
                   criteria=[{"metric": "hit_rate", "method": "gradcam", "at_least": 0.7}])  # fmt: skip
    shutil.copy(model_kinds.__file__, tmp_path / "kinds.py")
    folder, results = complete(config)
    assert {estimate.metric for estimate in results.classification} == {
        "accuracy",
        "sensitivity",
        "specificity",
        "auroc",
    }
    for estimate in results.classification:
        assert (estimate.value, estimate.reason) == (None, "the model is a regression: it calls no label")
    assert {estimate.among for estimate in results.estimates} == {"reference_positive"}
    assert "called by the model" not in results.cohort_facts
    assert results.cases[0].rule == TYPICAL
    assert all(case.rule.endswith("of all studies") for case in results.cases[1:])
    assert results.cases
    rows = list(csv.DictReader((folder / "per_study.csv").open()))
    assert all((row["probability"], row["predicted"]) == ("", "") for row in rows)
    assert all(float(row["value"]) > 0 for row in rows if row["target"])


@pytest.mark.parametrize("kind", [("softmax", "probability"), ("one_sigmoid", "probability"), ("one_logit", "logits")])
def test_the_verdicts_of_the_same_network_in_other_clothes_are_the_same(tmp_path, kind):
    runs = {}
    for name, output in (("logits", "softmax"), kind):
        folder = tmp_path / name
        model = {"name": "m", "factory": f"kinds:{name}", "labels": ["clear", "lesion"], "output": output}
        config = plant(folder, 24, model=model, explain={"methods": ["gradcam"]})
        shutil.copy(model_kinds.__file__, folder / "kinds.py")
        runs[name] = complete(config)[1]
    first, second = runs.values()
    assert [verdict.answer for verdict in first.verdicts] == [verdict.answer for verdict in second.verdicts]
    assert "MET" in {verdict.answer for verdict in first.verdicts}
    for verdict, other in zip(first.verdicts, second.verdicts, strict=True):
        assert verdict.estimate.value == pytest.approx(other.estimate.value, abs=1e-3)
    assert first.cohort_facts["called by the model"] == {"clear": 8, "lesion": 16}
