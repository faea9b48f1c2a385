"""The bar counts maps: those that are made, no more and no fewer, whatever becomes of the studies."""

import pytest
import torch

from cam import explain
from pipeline.config_file import load_config
from pipeline.findings.shards import Maps
from pipeline.progress import BatchProgress
from pipeline.walk.map_plan import expected_maps
from pipeline.walk.study_walk import audit_studies
from tests.pipeline.planted import plant
from tests.pipeline.test_faults import fail_for, opened


class Told:
    def __init__(self):
        self.calls = []

    def __call__(self, done, more=0, /):
        self.calls.append((done, more))

    @property
    def done(self):
        return sum(done for done, _ in self.calls)

    @property
    def more(self):
        return sum(more for _, more in self.calls)


def maps_in(maps: Maps) -> int:
    return sum(not key.endswith("/affine") for key in maps)


@pytest.mark.parametrize("failing", [None, 1])
def test_done_is_what_was_made_and_more_corrects_what_was_announced(tmp_path, failing):
    auditor, sources = opened(tmp_path, 6)  # every third study has no target
    if failing is not None:
        fail_for(auditor, failing, KeyError())
    told = Told()
    audits, maps = audit_studies(auditor, sources, told)
    announced = expected_maps(auditor.config, auditor.layers) * len(sources)
    assert announced == 6 * 3
    assert told.done == announced + told.more
    assert maps_in(maps) <= told.done <= announced  # a batch makes a map of its studies without a target as well
    assert {audit.status for audit in audits} == ({"analysed"} if failing is None else {"analysed", "failed"})


def test_a_slow_method_moves_the_bar_inside_a_batch(tmp_path):
    auditor, sources = opened(tmp_path, 4, batch_size=4)
    told = Told()
    audit_studies(auditor, sources, told)
    assert len([done for done, _ in told.calls if done]) == 3  # one for each method, in the only batch


def test_explain_tells_of_every_method_layer_and_target():
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    ).eval()
    told = []
    methods = ["gradcam", "scorecam"]
    x = torch.rand(2, 1, 8, 8)
    explanation = explain(network, x, [0, 1, 2], methods=methods, layers=["0", "1"], on_maps=told.append)
    assert told == [2 * 3] * 4
    assert sum(told) == sum(len(values) for _, values in explanation)


@pytest.mark.parametrize(
    ("targets", "methods", "layers", "expected"),
    [
        (["reference"], ["gradcam"], ["a"], 1),
        (["reference", "predicted"], ["gradcam"], ["a"], 1),
        (["reference", "lesion"], ["gradcam", "hirescam"], ["a", "b"], 8),
        (["clear", "lesion"], ["gradcam", "rise"], ["a", "b"], 6),
    ],
)
def test_what_a_study_is_expected_to_need(tmp_path, targets, methods, layers, expected):
    config = load_config(plant(tmp_path, 1, explain={"targets": targets, "methods": methods}))
    assert expected_maps(config, layers) == expected


def test_nothing_is_counted_twice():
    told = Told()
    batch = BatchProgress(told, 6)
    for count in (4, 4, 4):
        batch.on_maps(count)
    assert told.calls == [(4, 0), (2, 0)]
    batch.finish(5)
    assert (told.done, told.more) == (6, 0)
    batch = BatchProgress(told := Told(), 6)
    batch.finish(8)
    assert told.calls == [(8, 2)]
