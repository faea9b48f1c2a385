"""``camaudit plan``: the numbers before there are data."""

import json

import pytest
import yaml

from tests.pipeline.planted import plant

CRITERIA = [
    {"metric": "hit_rate", "method": "gradcam", "at_least": 0.7},
    {"metric": "iou", "method": "gradcam", "at_least": 0.3, "confidence": 0.9},
    {"metric": "iou", "method": "gradcam", "better_than": "centre_prior"},
    {"metric": "hd95", "method": "gradcam", "within": 10, "at_least": 0.9},
    {"metric": "accuracy", "at_least": 0.8},
    {"metric": "specificity", "at_most": 0.4, "reversed": True},
]


@pytest.fixture
def audit(tmp_path):
    """An audit of six studies of three patients, of which four studies show the lesion."""
    path = plant(tmp_path, 6)
    change(path, criteria=CRITERIA)
    return path


def change(path, **sections):
    content = yaml.safe_load(path.read_text())
    content |= sections
    path.write_text(yaml.safe_dump(content))


def planned(camaudit, *arguments):
    code, out, err = camaudit("plan", *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_each_criterion_has_its_plan(audit, camaudit):
    answer = planned(camaudit, audit)
    assert answer["cohort"]["patients"] == 3
    hit_rate, iou, difference, distance, accuracy, specificity = answer["criteria"]
    assert hit_rate["criterion"] == "hit_rate of gradcam among reference_positive: at least 0.7"
    assert (hit_rate["unit"], hit_rate["plan"]["smallest_cohort"]) == ("patient", 11)
    assert hit_rate["plan"]["needed"] == [[0.05, 662], [0.1, 167]]
    assert hit_rate["plan"]["n_patients"] == answer["cohort"]["positive"]
    assert iou["rule"] == "exact test of the mean over patients, confidence 90 %"
    assert iou["plan"]["smallest_cohort"] == 3
    assert difference["criterion"].endswith("better than centre_prior")
    assert difference["reason"] == "differences with a standard deviation of 0.25 are assumed"
    assert (distance["plan"]["smallest_cohort"], distance["plan"]["needed"][0]) == (36, [0.05, 255])
    assert accuracy["plan"]["best_reachable"] == pytest.approx(0.025 ** (1 / 3))
    assert specificity["criterion"] == "specificity of classifier for lesion: at most 0.4, although higher is better"
    assert specificity["plan"]["best_reachable"] == pytest.approx(1 - 0.025 ** (1 / specificity["plan"]["n_patients"]))


def test_a_pilots_spread_makes_graded_scores_cheaper_and_rates_not(audit, camaudit):
    worst, known = (planned(camaudit, audit, *options)["criteria"] for options in ((), ("--spread", "0.1")))
    assert known[1]["plan"]["needed"][0][1] < worst[1]["plan"]["needed"][0][1]
    assert known[2]["plan"]["needed"][0][1] < worst[2]["plan"]["needed"][0][1]
    assert known[0]["plan"] == worst[0]["plan"]
    assert known[4]["plan"] == worst[4]["plan"]


def test_the_table_says_what_was_assumed(audit, camaudit, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = camaudit("plan", audit)
    assert (code, err) == (0, "")
    assert "3 patients are listed" in out
    assert "662 / 167" in out
    assert "scores of 0 and 1 are assumed, the worst case" in " ".join(out.split())
    assert len([line for line in out.splitlines() if "hit_rate of gradcam" in line]) == 2


def test_without_an_archive_there_is_a_plan_all_the_same(audit, camaudit):
    answer = planned(camaudit, audit, "--set", "archive.path=not-there-yet")
    assert answer["cohort"] is None
    assert answer["criteria"][0]["plan"]["needed"] == [[0.05, 662], [0.1, 167]]
    assert answer["criteria"][0]["plan"]["power"] == [[0.05, None], [0.1, None]]


def test_an_area_is_planned_for_each_label(audit, camaudit):
    change(audit, criteria=[{"metric": "auroc", "at_least": 0.6}])
    (area,) = planned(camaudit, audit)["criteria"]
    assert area["criterion"] == "auroc of classifier for lesion: at least 0.6"
    assert area["plan"]["smallest_cohort"] == 8
    assert area["group"] == "patients of the smaller class of lesion"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "criteria=[]"], "criteria: there is none to plan for"),
        (["--spread", "2"], "--spread is a standard deviation above 0 and below 1, not 2"),
        (["--spread", "wide"], "Invalid value for '--spread'"),
        (["--set", "criteria.0.metric=hitrate"], "unknown name 'hitrate'; did you mean 'hit_rate'?"),
        (["--set", "criteria.0.at_least=70"], "is 0.7 meant?"),
    ],
)
def test_wrong_inputs_are_told_in_a_line(arguments, words, audit, camaudit):
    code, out, err = camaudit("plan", audit, *arguments)
    assert (code, out) == (2, "")
    assert words in " ".join(err.split())
    assert "Traceback" not in err


def test_nothing_is_written_and_no_model_is_needed(audit, camaudit):
    before = set(audit.parent.rglob("*"))
    planned(camaudit, audit, "--set", "model.weights=absent.safetensors")
    assert set(audit.parent.rglob("*")) == before


def test_a_manifest_that_cannot_be_read_is_told(audit, camaudit):
    (audit.parent / "archive" / "manifest.csv").write_text("study\n")
    code, _, err = camaudit("plan", audit)
    assert code == 2
    assert len([line for line in err.splitlines() if line.strip()]) == 1


def test_patients_who_tune_do_not_count_where_the_threshold_matters(audit, camaudit, monkeypatch):
    monkeypatch.setenv("CAMAUDIT_KEY", "a" * 32)
    tuned = yaml.safe_load(audit.read_text()).get("overlap", {}) | {"threshold": {"tuned": "iou", "share": 0.5}}
    plain = planned(camaudit, audit)
    change(audit, overlap=tuned)
    answer = planned(camaudit, audit)
    assert plain["cohort"]["judged"] is None
    judged = answer["cohort"]["judged"]
    assert 0 < judged["patients"] < answer["cohort"]["patients"] == 3
    hit_rate, iou, difference, distance, accuracy, _ = answer["criteria"]
    every = answer["cohort"]["positive"]
    assert [part["plan"]["n_patients"] for part in (iou, difference, distance)] == [judged["positive"]] * 3
    assert (hit_rate["plan"]["n_patients"], accuracy["plan"]["n_patients"]) == (every, 3), "no region, no tuning"
    code, out, _ = camaudit("plan", audit)
    assert code == 0
    assert f"3 patients are listed, of whom {3 - judged['patients']} tune thresholds" in " ".join(out.split())


def test_a_plan_makes_no_key(audit, camaudit, monkeypatch):
    monkeypatch.delenv("CAMAUDIT_KEY", raising=False)
    change(audit, overlap={"threshold": {"tuned": "iou", "share": 0.41}})
    planned(camaudit, audit)
    assert not list(audit.parent.rglob("pseudonym.key"))
