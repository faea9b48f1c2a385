"""The family ``shortcuts`` through a whole run, and the score that it reads from a model's answers."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.checks.config_checks import check_names
from pipeline.config import ModelConfig
from pipeline.errors import ConfigError
from pipeline.experiments.shortcuts import LabelScore, region_on
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Mask
from pipeline.verify.verify import verify_run
from tests.pipeline.planted import plant
from tests.pipeline.runs.test_run import complete
from tests.pipeline.steps import lock


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    config = plant(
        tmp_path_factory.mktemp("leaning"), 24, experiments={"shortcuts": {"studies": 12}},
        criteria=[{"check": "shortcuts"}, {"metric": "accuracy", "at_least": 0.1}],
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAMAUDIT_REGISTER", str(config.parent / "register"))
        lock(config)
        return config, *complete(config)


@pytest.fixture(autouse=True)
def _the_same_register(finished, _own_register, monkeypatch):
    monkeypatch.setenv("CAMAUDIT_REGISTER", str(finished[0].parent / "register"))


def test_a_run_holds_rows_findings_and_an_answer_and_verifies(finished):
    _, folder, results = finished
    findings = results.experiments.shortcuts
    assert [own.label for own in findings.labels] == ["lesion"]
    assert findings.labels[0].finding.auroc == 1.0
    assert findings.labels[0].finding.named == ()
    assert results.verdicts[0].check == "shortcuts"
    assert results.verdicts[0].answer != "NOT MET"
    assert verify_run(folder).failures == ()


def test_rows_are_counted_and_their_forwards_are_about_those_that_were_announced(finished):
    rows = json.loads((finished[1] / "experiments" / "shortcuts.json").read_text())
    own = rows["labels"][0]["rows"]
    studies = len(rows["labels"][0]["studies"])
    asked = sum((row["changed"] is not None) + (row["control"] is not None) for row in own)
    assert rows["forwards"] == asked + studies == finished[2].experiments.shortcuts.forwards
    assert rows["forwards"] <= (1.1 * 14 + 4) * studies


def test_no_row_holds_anything_but_pseudonyms(finished):
    text = (finished[1] / "experiments" / "shortcuts.json").read_text()
    assert "study0" not in text
    assert "patient0" not in text


def test_an_altered_row_is_found(finished, tmp_path):
    import shutil

    folder = shutil.copytree(finished[1], tmp_path / finished[1].name)
    path = folder / "experiments" / "shortcuts.json"
    content = json.loads(path.read_text())
    content["labels"][0]["rows"][0]["plain"] += 1.0
    path.write_text(json.dumps(content))
    assert verify_run(folder).failures != ()


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"output": "regression", "labels": ["age"]}, "a regression has none"),
        ({"segmentation": True, "labels": ["clear", "lesion"]}, "a segmentation has none"),
    ],
)
def test_a_model_that_calls_no_label_of_a_study_is_refused(tmp_path, model, says):
    given = {"name": "planted", "factory": "planted_network:build", **model}
    config = plant(
        tmp_path, 2, model=given, experiments={"shortcuts": {}}, criteria=[], explain={"methods": ["gradcam"]}
    )
    with pytest.raises(ConfigError, match=says):
        check_names(config, [])


def score_of(logits, label, **model):
    config = ModelConfig(name="m", factory="a:b", **model)
    bench = SimpleNamespace(logits=lambda _: np.array(logits, dtype=np.float64), config=SimpleNamespace(model=config))
    return LabelScore(bench, label)(np.zeros((len(logits), 1, 2, 2), np.float32))


def test_a_score_is_above_zero_where_the_model_calls_the_label():
    """By hand: odds of .8 are 4; a threshold of .8 takes log 4 away from each."""
    two = {"labels": ["clear", "lesion"], "threshold": 0.8}
    cut = np.log(4)
    np.testing.assert_allclose(score_of([[0, cut], [0, 2.0]], 1, **two), [0, 2 - cut], atol=1e-12)
    single = {**two, "output": "single_logit"}
    np.testing.assert_allclose(score_of([[-cut, cut]], 1, **single), [0], atol=1e-12)
    several = {"labels": ["a", "b", "c"]}
    np.testing.assert_allclose(score_of([[1, 3, 2], [1, 2, 5]], 1, **several), [1, -3])
    independent = {"labels": ["b", "c"], "output": "sigmoid", "threshold": 0.8}
    np.testing.assert_allclose(score_of([[cut, 9]], 0, **independent), [0], atol=1e-12)


def test_a_mask_lies_where_it_is_on_the_grid_that_the_model_sees():
    fine, coarse = Geometry((8, 8, 8), np.eye(4)), Geometry((4, 4, 4), np.diag([2.0, 2, 2, 1]))
    array = np.zeros((8, 8, 8), bool)
    array[2:5, 2:5, 2:5] = True
    study = SimpleNamespace(x=torch.zeros(1, 4, 4, 4), grid=coarse)
    region = region_on(study, [Mask(array, fine, "lesion", "anna")])
    assert region.sum() == 8
    assert region[1:3, 1:3, 1:3].all()
    speck = np.zeros((8, 8, 8), bool)
    speck[5, 3, 5] = True  # between the coarse voxels' centres
    assert region_on(study, [Mask(speck, fine, "lesion", "anna")]).sum() == 1
    assert not region_on(study, [Mask(np.zeros((8, 8, 8), bool), fine, "lesion", "anna")]).any()
    assert not region_on(study, []).any()
