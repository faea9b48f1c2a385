"""How long a run takes is told before it starts, and whose cost it is."""

from dataclasses import replace

import pytest

from cam.estimate import Cost
from pipeline.checks.estimate import estimate_run
from pipeline.checks.model_check import Probe
from pipeline.checks.run_estimate import ExperimentCost, in_words
from pipeline.config import AuditConfig
from pipeline.findings.experiments.stability import PICTURE_CHANGES
from pipeline.findings.facts import LayerFacts
from tests.pipeline.test_config import CONTENT, changed


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (59, "59 s"),
        (90, "2 min"),
        (3599, "1 h 0 min"),
        (7800, "2 h 10 min"),
        (90_000, "1 day 1 h"),
        (200_000, "2 days 8 h"),
    ],
)
def test_a_duration_is_said_as_a_person_would(seconds, words):
    assert in_words(seconds) == words


def probe(**seconds):
    layers = [LayerFacts(name=name, requested="auto", shape=(4, 5), cell_mm=(1.0, 1.0)) for name in ("a", "b")]
    return Probe(tuple(layers), (3, 10, 10), 0.0, 0.5, 1.0, 0.5, seconds, 1000)


def config(**changes):
    return AuditConfig.model_validate(changed(CONTENT, changes))


def test_a_forward_is_shared_and_every_study_target_and_layer_counts():
    asked = config(**{"explain.methods": ["gradcam", "saliency"], "explain.targets": ["benign", "malignant"]})
    estimate = estimate_run(asked, probe(gradcam=0.6, saliency=1.5), 100)
    assert estimate.seconds == pytest.approx(100 * (0.5 + 2 * (0.1 + 1.0)))
    assert estimate.shares == pytest.approx({"gradcam": 0.1 / 1.1, "saliency": 1.0 / 1.1})
    assert estimate.maps == 100 * 2 * (2 + 1)
    assert estimate.disk_bytes == 100 * 2 * (2 * 20 + 100) * 4
    assert "600 maps in about 4 min, saliency takes 91 %" in estimate.sentence


def test_reference_and_prediction_are_taken_for_one_target():
    one = estimate_run(config(**{"explain.targets": ["reference", "predicted"]}), probe(gradcam=0.6, hirescam=0.6), 10)
    assert one.maps == 10 * 2 * 2


def test_a_method_that_measures_below_the_forward_costs_nothing():
    estimate = estimate_run(config(**{"explain.methods": ["gradcam"], "criteria": []}), probe(gradcam=0.4), 10)
    assert (estimate.seconds, estimate.shares) == (pytest.approx(5.0), {"gradcam": 0.0})


def test_experiments_are_counted_by_family_and_only_those_that_are_tried():
    experiments = {"sanity": {"studies": 8, "draws": 5}, "stability": {"studies": 8}, "faithfulness": {"studies": 20}}
    asked = config(**{"explain.methods": ["gradcam", "saliency"], "experiments": experiments})
    everything = {"sanity": 8, "stability": 6, "faithfulness": 20}
    estimate = estimate_run(asked, probe(gradcam=0.6, saliency=1.5), 100, everything)
    changes = len(PICTURE_CHANGES)
    each = (3 * 8 + 5 * 8) + (1 + changes) * 6 + 20
    answers = (1 + changes) * 6 + 20 * (72 + 2 * 14)
    assert (estimate.tried.maps, estimate.tried.answers) == (
        3 * each,
        answers,
    )  # gradcam at two layers, saliency at one
    assert estimate.tried.seconds == pytest.approx(each * (2 * 0.6 + 1.5) + answers * 0.5)
    assert f"experiments: {3 * each} maps and {answers} answers in about" in estimate.sentence
    tried_before = estimate_run(asked, probe(gradcam=0.6, saliency=1.5), 100)
    assert tried_before.tried == ExperimentCost()
    assert "experiments" not in tried_before.sentence


def test_costly_maps_are_redrawn_on_half_of_the_studies_and_three_times():
    asked = config(**{"explain.methods": ["gradcam"], "criteria": [], "experiments": {"sanity": {}}})
    costly = replace(probe(gradcam=0.6), costs={"gradcam": Cost(images=17, seconds=1.0, bytes=1)})
    assert estimate_run(asked, costly, 1, {"sanity": 8}).tried.maps == 2 * (3 * 8 + 3 * 4)


def test_the_battery_is_counted_for_each_label_that_means_a_finding():
    asked = config(**{"experiments": {"shortcuts": {"studies": 40}}})
    estimate = estimate_run(asked, probe(gradcam=0.6, hirescam=0.6), 1, {"shortcuts": 30})
    assert (estimate.tried.maps, estimate.tried.answers) == (0, 30 * 19)  # benign is no finding


def test_what_faithfulness_is_asked_for_more_costs_more():
    more = {"studies": 10, "best_order": True, "second_look": True, "finer_look": True, "also": ["sensitivity_n"]}
    asked = config(**{"explain.methods": ["saliency"], "criteria": [], "experiments": {"faithfulness": more}})
    estimate = estimate_run(asked, probe(saliency=1.5), 1, {"faithfulness": 10})
    assert estimate.tried.answers == 10 * (2 * (72 + 14 + 16) + 72 + 50)
