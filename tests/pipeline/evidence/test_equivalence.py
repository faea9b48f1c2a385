"""Maps that are one piece of evidence get one score and are told as one; maps that are not, are not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from cam import METHODS, explain, same_evidence
from pipeline.evidence.equivalence import agree, equivalent_methods
from pipeline.evidence.metrics.map_evidence import MarkedVoxels, MaskedEvidence, RegionOverlap
from pipeline.evidence.metrics.registry import score_all
from pipeline.studies.geometry import Geometry, cells, plan
from pipeline.studies.volume import Heatmap

ROW = np.float32([0.0, 1.0, -2.0, 3.0])
NOTHING = np.float32([0.0, 0, 0, 0])
AGAINST = np.float32([0.0, -1, 0, -3])


def groups(*studies, names=("a", "b", "c")):
    """Return the groups of maps given as one mapping from a name to a map a study, of one target."""
    shown = [name for name in names if any(name in study for study in studies)]
    return equivalent_methods(shown, [{(name, "t"): values for name, values in study.items()} for study in studies])


@pytest.mark.parametrize(
    ("studies", "expected"),
    [
        ([{"a": ROW, "b": 5 * ROW}], (("a", "b"),)),
        ([{"a": ROW, "b": np.maximum(ROW, 0)}], (("a", "b"),)),
        ([{"a": ROW, "b": -ROW}], ()),
        ([{"a": ROW, "b": ROW, "c": 2 * ROW}], (("a", "b", "c"),)),
        ([{"a": ROW, "b": ROW, "c": -ROW}], (("a", "b"),)),
        ([{"a": ROW, "b": ROW}, {"a": ROW, "b": np.roll(ROW, 1)}], ()),
        ([{"a": ROW, "b": ROW}, {"a": NOTHING, "b": AGAINST}], (("a", "b"),)),
        ([{"a": NOTHING, "b": NOTHING}, {"a": AGAINST, "b": NOTHING}], ()),  # silence is no sameness
        ([{"a": ROW, "b": ROW}, {"a": NOTHING, "b": ROW}], ()),
        ([{"a": ROW, "b": ROW}, {"a": ROW}], ()),
        ([{"a": ROW, "b": ROW[:3]}], ()),
        ([], ()),
    ],
)
def test_what_counts_as_one_piece_of_evidence(studies, expected):
    assert groups(*studies) == expected


def pairs_of_maps():
    """Yield pairs that are equal, nearly equal, apart, empty, against, and large terms of which little is left."""
    generator = np.random.default_rng(8)
    for number in range(300):
        first = generator.normal(size=(3, 4)).astype(np.float32)
        error = 10.0 ** generator.uniform(-7, -1) * generator.normal(size=(3, 4))
        second = (10.0 ** generator.uniform(-6, 6) * (first + error)).astype(np.float32)
        second = np.maximum(second, 0) if number % 3 == 0 else second
        yield (first - 10.0 ** generator.uniform(-1, 4) * (number % 5 == 0)).astype(np.float32), second
    for first, second in ((ROW, ROW), (ROW, NOTHING), (NOTHING, AGAINST), (AGAINST, AGAINST), (ROW, ROW[:3])):
        yield first, second
        yield second, first


def test_the_rule_is_that_of_cam():
    """Two writings of one rule: that of the maps of a batch, and that of a run's results."""
    said = []
    for first, second in pairs_of_maps():
        expected = same_evidence(torch.from_numpy(first)[None], torch.from_numpy(second)[None])
        assert agree(first, second) is expected
        said.append(expected)
    assert {True, False, None} == set(said)
    assert 30 < said.count(True) < 250


@pytest.mark.parametrize(
    ("against", "apart", "same"),
    [
        (0, 0.9e-4, True),
        (0, 1.2e-4, False),
        (1e3, 1.0e-3, True),
        (1e3, 1.3e-3, False),
        (1e6, 9e-3, True),
        (1e6, 0.012, False),
    ],
)
def test_how_far_apart_two_maps_of_one_evidence_may_be(against, apart, same):
    """Of the largest evidence; more where large terms of the other sign show that little is left of them."""
    first, second = np.float32([1, 0.5, -against]), np.float32([1, 0.5 + apart, -against])
    assert agree(first, second) is same_evidence(*(torch.from_numpy(m)[None] for m in (first, second))) is same


@pytest.mark.parametrize("same", ["s", "t"])
def test_every_target_counts(same):
    study = {(name, target): ROW if name == "a" or target == same else -ROW for target in "st" for name in "ab"}
    assert equivalent_methods(["a", "b"], [study]) == ()


def test_no_more_maps_are_read_than_are_needed():
    def studies():
        yield {("a", "t"): ROW, ("b", "t"): -ROW}
        raise AssertionError("no pair is left, and yet more is read")

    assert equivalent_methods(["a", "b"], studies()) == ()
    assert equivalent_methods(["a"], studies()) == ()


def network(axes, head):
    """Return signed features (16 channels on a grid of 5 x 6 (x 4) for ``images``) behind which ``head`` stands."""
    torch.manual_seed(4)
    convolution, pool = {2: (nn.Conv2d, nn.AdaptiveAvgPool2d), 3: (nn.Conv3d, nn.AdaptiveAvgPool3d)}[axes]
    tail = [nn.Linear(16, 3)] if head == "linear" else [nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)]
    if head == "spatial":
        tail = [nn.Linear(16 * (5 * 6 * (4 if axes == 3 else 1)), 3)]
    pooled = [nn.Identity()] if head == "spatial" else [pool(1)]
    return nn.Sequential(convolution(1, 16, 3, stride=3), *pooled, nn.Flatten(), *tail).eval()


def images(axes):
    return torch.randn(4, 1, *(15, 18, 12)[:axes], generator=torch.Generator().manual_seed(0))


def grids(axes):
    """Return the input's grid and three of masks: its own, a finer one by no whole number, and an oblique one."""
    generator = np.random.default_rng(6)
    turn = np.eye(4)
    turn[:axes, :axes] = np.linalg.qr(np.eye(axes) + 0.15 * generator.normal(size=(axes, axes)))[0]
    own = Geometry((15, 18, 12)[:axes], np.eye(4))
    fine = replace(own, shape=(41, 37, 29)[:axes], affine=np.diag([0.37, 0.47, 0.43, 1]))
    return own, {"own": own, "finer": fine, "oblique": replace(fine, affine=turn @ fine.affine)}


def measured(model, axes, methods):
    """Return every map's scores over samples, targets and grids, and the maps, as an audit makes and measures them."""
    own, targets = grids(axes)
    raw = explain(model, images(axes), [0, 1, 2], methods=methods, layers=["0"], rectify=False)
    scores = {name: [] for name in methods}
    for (name, layer, target), maps in raw:
        for values in maps.numpy():
            for grid in targets.values():
                resampling = plan(cells(own, values.shape), grid)
                marked = np.random.default_rng(9).random(grid.shape) < 0.1
                heatmap = Heatmap(resampling.apply(values), grid, resampling.seen, name, layer, str(target))
                scores[name] += score_all(RegionOverlap(MaskedEvidence(heatmap, "otsu"), MarkedVoxels(marked, grid)))
    studies = [{(name, str(target)): maps[sample].numpy() for (name, _, target), maps in raw} for sample in range(4)]
    return scores, studies


@pytest.mark.parametrize("axes", [2, 3])
def test_behind_pooling_two_names_of_one_map_have_one_score(axes):
    """Rectified at the layer's grid, Grad-CAM differs from HiResCAM wherever a voxel lies beside a change of sign."""
    scores, studies = measured(network(axes, "linear"), axes, ["gradcam", "hirescam"])
    assert scores["gradcam"] == scores["hirescam"]
    assert any(score.value not in (None, 0, 1) for score in scores["gradcam"])
    assert equivalent_methods(["gradcam", "hirescam"], studies) == (("gradcam", "hirescam"),)


@pytest.mark.parametrize("axes", [2, 3])
def test_behind_pooling_the_whole_family_is_one_piece_of_evidence(axes):
    family = ["gradcam", "hirescam", "cam", "xgradcam"]
    scores, studies = measured(network(axes, "linear"), axes, [*family, "layercam", "gradcampp"])
    assert equivalent_methods([*family, "layercam", "gradcampp"], studies) == (tuple(family),)
    for name in ("cam", "xgradcam"):  # equal up to a factor and its rounding
        for score, other in zip(scores[name], scores["gradcam"], strict=True):
            assert score.reason == other.reason
            assert score.value == pytest.approx(other.value, abs=2e-3)


@pytest.mark.parametrize("axes", [2, 3])
def test_behind_a_perceptron_the_pooled_maps_are_one_and_behind_a_spatial_head_two(axes):
    """A perceptron behind pooling leaves the gradient constant in space; weights for each place do not."""
    methods = ["gradcam", "hirescam"]
    pooled, studies = measured(network(axes, "perceptron"), axes, methods)
    assert pooled["gradcam"] == pooled["hirescam"]
    assert equivalent_methods(methods, studies) == (tuple(methods),)
    spatial, studies = measured(network(axes, "spatial"), axes, methods)
    assert spatial["gradcam"] != spatial["hirescam"]
    assert equivalent_methods(methods, studies) == ()


def test_a_perceptron_behind_pooling_is_no_linear_head_for_every_method():
    """Ablation-CAM asks what a channel is worth, which behind a perceptron is no gradient times activation."""
    _, studies = measured(network(2, "perceptron"), 2, ["gradcam", "ablationcam"])
    assert equivalent_methods(["gradcam", "ablationcam"], studies) == ()
    assert METHODS["ablationcam"].rectified
