"""Baselines that are made of what the model was shown: in a run, and where its maps are scored again."""

import pytest

from pipeline.config_file import load_config
from pipeline.runs.measure import measure_run
from pipeline.runs.run import Run
from pipeline.runs.start_watch import StartWatch
from tests.pipeline.planted import plant
from tests.pipeline.runs.test_run import complete
from tests.pipeline.shared_pool import POOL

OVERLAP = {"baselines": ["edge_map", "body_mask"]}
CRITERIA = [{"metric": "energy_in_mask", "method": "gradcam", "better_than": "centre_prior"}]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edges")
    return complete(plant(folder, 9, explain={"methods": ["gradcam"]}, overlap=OVERLAP, criteria=CRITERIA))


def rows_of(folder):
    return {
        (audit.study, entry.method, entry.reader): {score.name: score.value for score in entry.scores}
        for audit in Run.open(folder, pool=POOL).audits()
        for entry in audit.map_scores
    }


def test_a_run_measures_the_baselines_that_are_named_and_those_of_criteria(finished):
    folder, results = finished
    methods = list(dict.fromkeys(method for _, method, _ in rows_of(folder)))
    assert methods == ["gradcam", "centre_prior", "edge_map", "body_mask"]
    assert {"edge_map", "body_mask"} <= {estimate.method for estimate in results.estimates}


def test_edges_of_a_bright_box_lie_at_the_box(finished):
    """The planted lesion is the only thing in the image: its edges beat the middle of the image."""
    scores = rows_of(finished[0])
    energy = {
        method: [
            row["energy_in_mask"] for (_, name, reader), row in scores.items() if (name, reader) == (method, "ben")
        ]
        for method in ("edge_map", "centre_prior")
    }
    assert energy["edge_map"]
    assert sum(energy["edge_map"]) > sum(energy["centre_prior"])


def test_scored_again_they_are_made_again_without_the_model(finished):
    folder, _ = finished
    with measure_run(folder, "camaudit measure", ["overlap.threshold=0.95"], watch=StartWatch(POOL)) as run:
        for shard in range(run.spec.shards):
            run.work(shard)
        run.finish()
        again = rows_of(run.folder)
    before = rows_of(folder)
    assert again.keys() == before.keys()
    for key, row in before.items():
        assert again[key].get("average_precision") == row.get("average_precision")  # no threshold in it
    edges = [key for key in before if key[1] == "edge_map" and key[2]]
    assert any(again[key]["iou"] != before[key]["iou"] for key in edges)


@pytest.mark.parametrize(
    ("overlap", "criteria", "expected"),
    [
        ({}, [], ("random_map", "centre_prior")),
        ({"baselines": "edge_map"}, [], ("edge_map",)),
        ({"baselines": []}, CRITERIA, ("centre_prior",)),
        ({"baselines": []}, [CRITERIA[0] | {"better_than": "baselines"}], ("random_map", "centre_prior")),
        (
            {"baselines": ["body_mask", "random_map"]},
            [{"metric": "iou", "method": "edge_map", "at_most": 0.5, "reversed": True}],
            ("random_map", "edge_map", "body_mask"),
        ),
    ],
)
def test_a_configuration_has_its_baselines(tmp_path, overlap, criteria, expected):
    config = load_config(plant(tmp_path, 1, overlap=overlap, criteria=criteria))
    assert config.baselines == expected
