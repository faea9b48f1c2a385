"""The trial of whole networks (``python -m tests.zoo``) on three of them, and that it can fail."""

import pytest
import torch
from torch import nn

from cam import find_layer
from tests.cam.networks import vit
from tests.cam.test_cuts import CUTS, image
from tests.cam.test_cuts import past as past_by_one_label
from tests.zoo import document, monai_networks
from tests.zoo.candidate import Candidate
from tests.zoo.trial import Row, examine, judged, past

NETWORKS = {candidate.name: candidate for candidate in monai_networks.candidates()}
BRANCH = "a branch beside the residual path"


@pytest.mark.parametrize(("name", "layer", "cells"), [
    ("DenseNet121 2D", "class_layers.relu", (2, 2)),
    ("Regressor 3D", "net", (12, 12, 12)),
    ("UNet with residual units 2D", "model.2.0", (32, 32)),
])  # fmt: skip
def test_the_layer_of_a_network_of_monai_is_right(name, layer, cells):
    row = examine(NETWORKS[name])
    assert (row.verdict, row.layer, row.cells, row.past, row.sentence) == ("right", layer, cells, 0.0, "")


def test_a_refusal_is_kept_with_its_sentence():
    row = examine(NETWORKS["Discriminator 2D"])
    assert (row.verdict, row.layer) == ("refused", "net")
    assert row.sentence.startswith("the model ends in a sigmoid")


@pytest.mark.parametrize("fault", [RuntimeError("no"), ValueError("no")])
def test_a_network_that_does_not_run_has_crashed_and_is_not_refused(fault):
    def make():
        raise fault

    assert examine(Candidate("group", "name", make, (1, 8, 8))).verdict == "crashed"


def verdict_on(model, x, layer, cells):
    return judged(
        Candidate("group", "name", nn.Identity, (1,)), model.float(), x.float(), layer, torch.zeros(1, *cells)
    )


@pytest.mark.parametrize(("kind", "layer", "sentence"), [
    (BRANCH, "branch", "evidence goes past it"),
    ("a gate for each channel", "features", ""),
    ("the gate of an attention pooling", "gate", "evidence goes past it"),
])  # fmt: skip
def test_a_layer_that_evidence_goes_past_is_wrong(kind, layer, sentence):
    row = verdict_on(CUTS[kind][0](), image(1), layer, (8, 8))
    assert (row.verdict, row.sentence) == ("wrong" if sentence else "right", sentence)


def test_the_first_of_many_layers_and_the_output_itself_are_wrong():
    deep = nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1) for _ in range(4)]).eval()
    assert "75% of the layers with weights lie behind" in verdict_on(deep, image(1), "0", (16, 16)).sentence
    assert verdict_on(deep, image(1), "3", (16, 16)).sentence == "it is the output"


@pytest.mark.parametrize(("layer", "sentence"), [
    ("network.blocks.1.norm1", ""),
    ("network.blocks.0.norm1", "evidence of the patches that it reads goes past it"),
    ("network.blocks.1", "none of the evidence is at its cells"),
])  # fmt: skip
def test_only_what_the_last_attention_reads_is_right_beside_a_class_token(layer, sentence):
    row = verdict_on(vit((16, 16), 4), image(1), layer, (4, 4))
    assert row.sentence == sentence


def test_the_share_beside_a_class_token_is_what_that_token_carries():
    model, x = vit((16, 16), 4).float(), image(1).float()
    choice = find_layer(model, x)
    assert choice.past > 0.05
    assert verdict_on(model, x, choice.name, (4, 4)).past == pytest.approx(choice.past, rel=1e-4)


def test_a_network_without_a_gradient_and_a_map_that_is_not_finite_are_wrong():
    model = CUTS["pooling"][0]()
    candidate, x = Candidate("group", "name", nn.Identity, (1,)), image(1).float()
    row = judged(candidate, model.float(), x, "features", torch.full((1, 8, 8), torch.inf))
    assert (row.verdict, row.sentence) == ("wrong", "its map is not finite")
    nn.init.zeros_(model.head.weight)
    row = verdict_on(model, x, "features", (8, 8))
    assert (row.verdict, row.sentence) == ("wrong", "no gradient reaches the image, so nothing is measured")


def test_the_share_is_that_of_a_second_writing():
    model, x = CUTS[BRANCH][0]().float(), image(1).float()
    model.head = nn.Linear(8, 2)
    with torch.no_grad():  # the weighted sum of the logits is then the second label's
        model.head.weight[0], model.head.bias[0] = 0, 0
    assert 0.05 < past(model, x, "branch") < 0.95
    assert past(model, x, "branch") == pytest.approx(past_by_one_label(model, x, "branch"), rel=1e-5)


def row_of(group, name, verdict):
    return Row(Candidate(group, name, nn.Identity, (1,)), verdict)


def test_the_table_is_renewed_for_the_groups_that_were_tried_and_keeps_the_others():
    old = [row_of("one", "a", "right"), row_of("other", "b", "refused")]
    empty = f"before\n{document.BEGIN}| head |\n|---|\n{document.END}behind\n"
    versions = {"one": "one 1", "other": "other 1"}
    first = document.renewed(empty, old, versions)
    assert "| one | one 1 | 1 | 1 | 0 | 0 |\n| other | other 1 | 1 | 0 | 1 (b) | 0 |\n" in first
    new = [row_of("one", "a", "wrong"), row_of("one", "c", "crashed"), row_of("one", "d", "right")]
    second = document.renewed(first, new, {"one": "one 2"})
    assert "| one | one 2 | 3 | 1 | 0 | 2 (a, c) |\n| other | other 1 | 1 | 0 | 1 (b) | 0 |\n" in second
    assert second.startswith("before\n")
    assert second.endswith("behind\n")
    with pytest.raises(ValueError, match=r"must hold .* once"):
        document.renewed("no table", new, {"one": "one 2"})
