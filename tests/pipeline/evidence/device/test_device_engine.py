"""The torch back end against the NumPy one: every metric, on every scene, in 2D and 3D; here on the processor."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.config import OverlapConfig
from pipeline.evidence.baselines import CentrePriors
from pipeline.evidence.device import evidence
from pipeline.evidence.device.engine import DeviceEngine, engine_for
from pipeline.evidence.device.evidence import DeviceOverlap
from pipeline.evidence.device.resampling import DeviceResampling
from pipeline.evidence.engine import MapNames, NumpyEngine
from pipeline.evidence.metrics.invariances import odd_scenes, scenes
from pipeline.evidence.metrics.registry import METRICS, score_all
from pipeline.studies.geometry import Geometry, GeometryError, Resampling, cells, plan
from pipeline.studies.volume import Heatmap, Mask

CPU = torch.device("cpu")
ENGINES = (NumpyEngine(), DeviceEngine(CPU))
RULES = ("otsu", 0.5, 0.01, 0.99, "percentile-95", "percentile-0", "otsu-chexlocalize")
ON_DEVICE = {
    "iou",
    "dice",
    "hit_rate",
    "energy_in_mask",
    "average_precision",
    "voxel_precision",
    "voxel_recall",
    "voxel_specificity",
    "voxel_auroc",
    "rank_accuracy",
    "top_percent",
    "inside_outside",
    "hit_within",
    "centre_distance",
    "mass_centre_distance",
}
"""Metrics that need nothing of a map's size from the device; the docs name the others."""


def tied(scene):
    return replace(scene, about=f"{scene.about}, tied", values=np.round(scene.values * 3))


def flat(scene):
    nearly = 1 + np.float32(1e-6) * (scene.values > 0.5)
    return replace(scene, about=f"{scene.about}, nearly constant", values=nearly.astype(np.float32))


def huge(scene):
    scale = np.float32(3e38) / np.abs(scene.values).max()
    return replace(scene, about=f"{scene.about}, huge", values=scene.values * scale)


def hidden(scene):
    seen = scene.seen.copy()
    seen[: len(seen) // 3] = False
    return replace(scene, about=f"{scene.about}, partly seen", seen=seen)


def everywhere(scene):
    return replace(scene, about=f"{scene.about}, mask everywhere", mask=np.ones_like(scene.mask))


ORDINARY = list(scenes())
SCENES = [
    *ORDINARY,
    *(change(scene) for change in (tied, flat, huge, hidden, everywhere) for scene in ORDINARY[::4]),
    *odd_scenes(),
]


def overlap_by(engine, scene, rule):
    affine = np.diag([*scene.spacing, *([1.0] * (4 - len(scene.spacing)))])
    grid = Geometry(scene.values.shape, affine, scaled=scene.scaled)
    config = OverlapConfig(threshold=rule, tolerance_mm=2.0)
    heatmap = Heatmap(scene.values.copy(), grid, scene.seen.copy(), "method", "layer", "target")
    marked = engine.marked(Mask(scene.mask, grid, "target", "anna"))
    return engine.overlap(engine.evidence(heatmap, config), marked)


def assert_same(ours, theirs, about, tolerance=1e-12):
    for first, second in zip(ours, theirs, strict=True):
        assert (first.name, first.reason) == (second.name, second.reason), (about, first, second)
        for one_value, other in ((first.value, second.value), (first.chance, second.chance)):
            same = one_value == other if other is None else one_value == pytest.approx(other, tolerance, tolerance)
            assert same, (about, first, second)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.about)
def test_every_metric_is_the_same_on_the_same_values(scene, rule):
    reference, scored = (overlap_by(engine, scene, rule) for engine in ENGINES)
    assert_same(score_all(scored, METRICS.values()), score_all(reference, METRICS.values()), scene.about)
    assert scored.evidence.threshold == reference.evidence.threshold
    assert scored.evidence.degenerate == reference.evidence.degenerate
    for name in ("positive", "ordered", "extremes", *(["maxima"] if reference.evidence.seen_voxels else [])):
        np.testing.assert_array_equal(getattr(scored.evidence, name), getattr(reference.evidence, name))
    for ours, theirs in zip(scored.evidence.profiles, reference.evidence.profiles, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-14)
    np.testing.assert_array_equal(scored.visible_values, reference.visible_values)
    if rule != "otsu-chexlocalize" or scene.mask.ndim == 2:
        np.testing.assert_array_equal(scored.evidence.region, reference.evidence.region)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_that_stays_on_the_device_brings_no_array_over(name, monkeypatch):
    bring, sizes = evidence._array, []
    monkeypatch.setattr(evidence, "_array", lambda values: sizes.append(values.numel()) or bring(values))
    for scene in (ORDINARY[0], ORDINARY[-1]):
        sizes.clear()
        METRICS[name](overlap_by(ENGINES[1], scene, "otsu"))
        assert (max(sizes, default=0) < scene.mask.size / 4) == (name in ON_DEVICE)


def turned(degrees):
    along, across = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    affine = np.eye(4)
    affine[:2, :2] = [[along, -across], [across, along]]
    return affine


GRIDS = {
    "2D": ((7, 7), Geometry((48, 40), np.diag([0.7, 0.8, 1, 1]))),
    "3D": ((5, 6, 4), Geometry((30, 24, 20), np.diag([0.7, 0.8, 2.5, 1]))),
    "one cell deep": ((5, 1, 4), Geometry((30, 3, 20), np.diag([0.7, 0.8, 2.5, 1]))),
}


def plans(name):
    """Yield a plan of cells that tile the grid, one of permuted and flipped axes, an oblique and a partial one."""
    shape, grid = GRIDS[name]
    source = cells(grid, shape)
    yield grid, plan(source, grid)
    if len(shape) == 3:
        turn = np.zeros((4, 4))
        turn[0, 1], turn[1, 2], turn[2, 0], turn[3, 3] = 1, -1, 1, 1
        turn[1, 3] = shape[2] - 1
        other = Geometry((shape[2], shape[0], shape[1]), source.affine @ np.linalg.inv(turn))
        yield grid, plan(other, grid)
    yield grid, plan(Geometry(source.shape, source.affine @ turned(20)), grid)
    moved = source.affine.copy()
    moved[:3, 3] += 4
    moved[2, 3] -= 4 * (len(shape) == 2)
    yield grid, plan(Geometry(source.shape, moved), grid)


@pytest.mark.parametrize("name", GRIDS)
def test_a_map_is_carried_as_numpy_carries_it_but_for_rounding(name):
    general = 0
    for grid, resampling in plans(name):
        values = np.random.default_rng(3).normal(size=resampling.source_shape).astype(np.float32)
        carried = DeviceResampling(resampling, CPU).apply(values)
        expected = resampling.apply(values)
        assert carried.dtype == torch.float32
        assert carried.shape == grid.shape
        np.testing.assert_allclose(carried.numpy(), expected, rtol=0, atol=4 * np.spacing(np.abs(values).max()))
        assert not carried.numpy()[~resampling.seen].any()
        general += resampling.separable is None
    assert general == 1


@pytest.mark.parametrize("name", GRIDS)
def test_scores_of_a_carried_map_are_those_of_numpy_but_for_rounding(name):
    for number, (grid, resampling) in enumerate(plans(name)):
        generator = np.random.default_rng(number)
        values = generator.normal(size=resampling.source_shape).astype(np.float32)
        mask = Mask(generator.random(grid.shape) < 0.2, grid, "target", "anna")
        scores = []
        for engine in ENGINES:
            carried = engine.carrier(resampling).evidence(values, grid, MapNames("m", "l", "target"), OverlapConfig())
            assert (carried.heatmap.method, carried.heatmap.layer) == ("m", "l")
            scores.append(score_all(engine.overlap(carried, engine.marked(mask)), METRICS.values()))
        assert_same(*scores, (name, number), tolerance=1e-3)


def test_values_that_are_not_finite_or_of_another_shape_are_refused():
    grid = Geometry((6, 6), np.eye(4))
    resampling = DeviceResampling(plan(cells(grid, (3, 3)), grid), CPU)
    with pytest.raises(GeometryError, match="NaN or infinity"):
        resampling.apply(np.full((3, 3), np.nan, np.float32))
    with pytest.raises(GeometryError, match="source shape"):
        resampling.apply(np.zeros((3, 4), np.float32))
    large = np.full((3, 3), 3e38, np.float32)
    assert torch.isfinite(resampling.apply(large)).all()  # though their sum is infinite


def test_the_prior_is_kept_by_either_back_end():
    grid = Geometry((12, 10), np.eye(4))
    seen, priors = np.ones(grid.shape, bool), CentrePriors()
    for engine in ENGINES:
        priors = CentrePriors()
        kept = priors.evidence(grid, seen, lambda heatmap, engine=engine: engine.evidence(heatmap, OverlapConfig()))
        assert priors.evidence(grid, seen, lambda _: None) is kept


def test_parts_of_two_back_ends_are_not_mixed():
    reference = overlap_by(ENGINES[0], ORDINARY[0], "otsu")
    with pytest.raises(TypeError, match="of this back end"):
        ENGINES[1].overlap(reference.evidence, reference.marked)


def test_the_back_end_is_chosen_by_configuration_and_device():
    cuda, mps = torch.device("cuda:0"), torch.device("mps")
    assert engine_for("auto", cuda) == DeviceEngine(cuda)
    assert engine_for("auto", CPU) == engine_for("auto", mps) == engine_for("numpy", cuda) == NumpyEngine()
    assert engine_for("torch", CPU) == DeviceEngine(CPU)
    assert NumpyEngine().identity is None
    assert DeviceEngine(cuda).identity == "torch on cuda"


def test_a_carrier_knows_what_was_seen():
    grid = Geometry((6, 6), np.eye(4))
    resampling: Resampling = plan(cells(grid, (3, 3)), grid)
    for engine in ENGINES:
        assert engine.carrier(resampling).seen is resampling.seen
    assert isinstance(overlap_by(ENGINES[1], ORDINARY[0], "otsu"), DeviceOverlap)


@pytest.mark.gpu
@pytest.mark.parametrize("scene", SCENES[:40], ids=lambda scene: scene.about)
def test_a_cuda_device_counts_as_numpy_does(scene):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    engine = DeviceEngine(torch.device("cuda"))
    with engine.at_work():
        scored = score_all(overlap_by(engine, scene, "otsu"), METRICS.values())
    assert_same(scored, score_all(overlap_by(ENGINES[0], scene, "otsu"), METRICS.values()), scene.about)
