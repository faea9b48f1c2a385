"""One picture under two patients, from the archive to the results; and faithfulness through a whole run."""

import csv
import json
import shutil

import pytest

from pipeline.findings.spec import read_spec
from pipeline.verify.verify import verify_run
from tests.pipeline.planted import plant, write_manifest
from tests.pipeline.runs.test_measure import measured
from tests.pipeline.runs.test_run import complete


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("CAMAUDIT_KEY", "k" * 32)


def test_a_copied_picture_is_told_and_no_sketch_reaches_the_results(tmp_path):
    config = plant(tmp_path, 12, criteria=[])
    archive = tmp_path / "archive"
    rows = list(csv.DictReader((archive / "manifest.csv").open()))
    shutil.copy(archive / rows[2]["image"], archive / rows[8]["image"])  # studies without a finding, of two patients
    write_manifest(archive, rows)
    folder, results = complete(config)
    (group,) = results.leakage.same
    assert (len(group.studies), group.patients, group.labels_differ) == (2, 2, False)
    assert (results.leakage.pictures, results.leakage.compared) == (12, 12)
    assert not results.leakage.alike
    content = json.loads((folder / "results.json").read_text())
    assert all(case["audit"]["model_input"]["sketch"] == "" for case in content["cases"])
    assert not verify_run(folder).failures


def test_faithfulness_through_a_run_its_verification_and_scoring_again(tmp_path):
    claim = {"check": "faithfulness", "method": "gradcam"}
    config = plant(tmp_path, 24, criteria=[claim], experiments={"faithfulness": {"studies": 12}})
    folder, results = complete(config)
    assert len(read_spec(folder).experiments["faithfulness"]) == 12
    (verdict,) = results.verdicts
    assert verdict.check == "faithfulness"
    assert verdict.criterion == "Faithfulness (largest p) of gradcam: at most 0.05"
    assert verdict.answer in ("MET", "INCONCLUSIVE")
    assert verdict.estimate.patients == 12
    findings = results.experiments.faithfulness
    (figure, *_) = findings.figures
    assert figure.tests["random"].wins >= 10  # the network reads brightness, and so does the map
    assert findings.forwards == 12 * (72 + 2 * 14)
    _, again = measured(folder)
    assert again.experiments == results.experiments
