"""One label's scores of a study's changed inputs, against the network asked by hand: voxels, numbers, named outputs."""

import pytest
import torch
from torch import nn

from pipeline.experiments.rescoring import rescored_by
from tests.pipeline.experiments.controls import SmallNet, bench_of
from tests.pipeline.experiments.test_sanity import VoxelNet, auditor, configured  # noqa: F401 - a fixture

STUDY = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(4))
SHIFTS = torch.tensor([0.0, 0.5, -2.0])


def scores(auditor, network, label, **model):  # noqa: F811
    """Return the label's scores of the study, brighter by each of three numbers."""
    bench = configured(bench_of(auditor, network, ("gradcam",)), **model)

    def build(rows):
        return STUDY + SHIFTS[rows].view(-1, 1, 1, 1)

    return rescored_by(bench.auditor, STUDY, label, torch.zeros(3, dtype=torch.long), build)


def changed():
    return STUDY + SHIFTS.view(-1, 1, 1, 1)


def test_a_segmentations_score_is_that_of_the_voxels_it_gives_the_label_in_the_study_as_it_is(auditor):  # noqa: F811
    network = VoxelNet().eval()
    labels = ("clear", "lesion")
    with torch.no_grad():
        called = network(STUDY).argmax(dim=1)[0] == 1
        assert 0 < called.sum() < called.numel()
        expected = network(changed())[:, 1][:, called].sum(dim=1)
        elsewhere = [network(each[None]).argmax(dim=1)[0] == 1 for each in changed()]
    assert not all(torch.equal(called, other) for other in elsewhere)
    torch.testing.assert_close(scores(auditor, network, "lesion", segmentation=True, labels=labels)[0], expected)


class Named(nn.Module):
    """Returns what the model says beside something else of the same form, which comes first."""

    def __init__(self):
        super().__init__()
        self.own = SmallNet()
        self.trunk = self.own.trunk

    def forward(self, x):
        logits = self.own(x)
        return {"logits": -7 * logits, "main": logits}


@pytest.mark.parametrize(("label", "number"), [("clear", 0), ("lesion", 1)])
def test_the_labels_logit_is_taken_from_the_output_that_the_configuration_names(auditor, label, number):  # noqa: F811
    network = Named().eval()
    with torch.no_grad():
        expected = network.own(changed())[:, number]
    rescored = scores(auditor, network, label, labels=("clear", "lesion"), output_name="main")
    torch.testing.assert_close(rescored[0], expected)


class OneNumber(Named):
    def forward(self, x):
        return self.own(x)[:, :1]


def test_a_regressions_only_number_is_its_score_and_not_its_negation(auditor):  # noqa: F811
    network = OneNumber().eval()
    with torch.no_grad():
        expected = network(changed())[:, 0]
    rescored = scores(auditor, network, "volume", output="regression", labels=("volume",))
    torch.testing.assert_close(rescored[0], expected)
