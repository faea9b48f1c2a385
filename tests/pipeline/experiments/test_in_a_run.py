"""Experiments through a whole run: rows, findings, answers, verification, resuming, scoring again."""

import pytest

from pipeline.verify.verify import verify_run
from tests.pipeline.planted import plant
from tests.pipeline.runs.test_run import complete
from tests.pipeline.steps import lock

CHECKS = [
    {"check": "repeatability", "method": "gradcam"},
    {"check": "shuffled_picture", "method": "gradcam"},
    {"check": "weight_randomisation", "method": "gradcam"},
    {"metric": "hit_rate", "method": "gradcam", "at_least": 0.3},
    {"check": "noise_stability", "method": "hirescam"},
]
EXPERIMENTS = {"sanity": {"studies": 4, "draws": 3}, "stability": {"studies": 4}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    config = plant(tmp_path_factory.mktemp("tried"), 12, experiments=EXPERIMENTS, criteria=CHECKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAMAUDIT_REGISTER", str(config.parent / "register"))
        lock(config)
        return config, *complete(config)


@pytest.fixture(autouse=True)
def _the_same_register(finished, _own_register, monkeypatch):
    monkeypatch.setenv("CAMAUDIT_REGISTER", str(finished[0].parent / "register"))


def test_answers_are_in_the_order_of_the_criteria(finished):
    _, _, results = finished
    assert [verdict.check for verdict in results.verdicts] == [
        "repeatability", "shuffled_picture", "weight_randomisation", None, "noise_stability",
    ]  # fmt: skip


def test_the_run_verifies(finished):
    assert verify_run(finished[1]).failures == ()
