"""What a run keeps of a case for scrolling is the image's, and its counts are the audit's scores."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.conclusions.shown_cases.case_volume import cut_volume
from pipeline.conclusions.shown_cases.recounted import counted_otherwise
from pipeline.config import OverlapConfig
from pipeline.errors import OutputError
from pipeline.evidence.metrics.map_evidence import MarkedVoxels, RegionOverlap
from pipeline.evidence.metrics.registry import evidence_of, score_all
from pipeline.findings.pictures.volumes import VOLUME_SHARES, load_volume, save_volume
from pipeline.studies.geometry import Geometry
from pipeline.studies.volume import Mask, Volume
from tests.reports.viewer.example_run import CT, DX, imaged


@pytest.fixture(scope="module", params=[CT, DX])
def study(request):
    return imaged(request.param)


def cut(study, keep="crops"):
    return cut_volume(study.image, study.masks, study.maps, "S", keep)


def scores_of(study, mask, rule):
    evidence = evidence_of(study.maps["gradcam"].heatmap, OverlapConfig(), rule)
    scores = score_all(RegionOverlap(evidence, MarkedVoxels(mask.array, study.image.geometry)))
    return {score.name: score.value for score in scores}


def test_counts_give_the_metrics_at_every_threshold(study):
    kept = cut(study).maps["gradcam"]
    for mask in study.masks:
        counts = kept.readers[mask.reader]
        for place in (0, 19, 77, 198):
            scores = scores_of(study, mask, VOLUME_SHARES[place])
            common, region = counts.common[place], kept.region[place]
            assert 2 * common / (region + counts.mask) == scores["dice"]
            assert common / (region + counts.mask - common) == scores["iou"]
        drawn = scores_of(study, mask, "otsu")
        assert counts.drawn / (kept.drawn[1] + counts.mask - counts.drawn) == drawn["iou"]
        assert counts.total / kept.total == pytest.approx(drawn["energy_in_mask"], rel=1e-12)
        assert counts.at_maximum / kept.tied == drawn["hit_rate"]


def test_a_map_that_is_the_same_everywhere_has_no_counts(study):
    laid = study.maps["gradcam"]
    flat = replace(laid.heatmap, array=np.ones_like(laid.heatmap.array))
    maps = {"gradcam": replace(laid, heatmap=flat, evidence=evidence_of(flat, OverlapConfig(), "otsu"))}
    kept = cut_volume(study.image, study.masks, maps, "S", "crops").maps["gradcam"]
    assert (kept.region, kept.drawn, kept.tied) == ((), None, 0)
    assert kept.readers["A"].common == ()


def test_small_images_are_kept_whole_and_exactly(study):
    volume = cut(study)
    assert volume.small is None
    assert volume.image.error == 0
    assert np.array_equal(volume.image.offset + volume.image.scale * volume.image.values, study.image.array)


@pytest.mark.parametrize(("values", "error"), [([0.0, 0.5, 1e5], 1e5 / 65_535 / 2), ([-7e4, -6e4, -5e4], 0.0)])
def test_values_are_kept_to_the_error_that_is_said(values, error):
    array = np.resize(np.array(values, np.float32), (3, 3))
    volume = cut_volume(Volume(array, Geometry((3, 3), np.eye(4))), [], {}, "S", "crops")
    kept = volume.image.offset + volume.image.scale * volume.image.values.astype(np.float64)
    assert volume.image.error == pytest.approx(error)
    assert np.abs(kept - array).max() <= error * (1 + 1e-6)


@pytest.fixture(scope="module")
def large():
    """A volume of more voxels than are kept, with a mask in a corner."""
    grid = Geometry((160, 96, 48), np.diag([0.7, 0.7, 2.5, 1]))
    across, along, through = np.indices(grid.shape, dtype=np.float32)
    array = np.rint(900 * np.sin(across / 9) + 700 * np.cos(along / 7 + through / 5))
    mask = np.zeros(grid.shape, bool)
    mask[140:150, 80:90, 3:5] = True
    return Volume(array, grid), Mask(mask, grid, "nodule", "A")


def test_of_large_images_the_values_around_the_mask_are_kept(large):
    image, mask = large
    kept = cut_volume(image, [mask], {}, "S", "crops")
    box = tuple(
        slice(start, start + size) for start, size in zip(kept.image.origin, kept.image.values.shape, strict=True)
    )
    inside = np.zeros(mask.array.shape, bool)
    inside[box] = True
    assert inside[mask.array].all()
    assert 0.9 * 2**19 < kept.image.values.size <= 2**19
    assert np.array_equal(kept.image.values + kept.image.offset, image.array[box])
    assert kept.masks["A"].sum() == mask.array.sum()


def test_the_rest_is_a_sheet_of_reduced_planes(large):
    image, mask = large
    small = cut_volume(image, [mask], {}, "S", "crops").small
    assert small is not None
    sheet = np.asarray(Image.open(io.BytesIO(small.webp)).convert("L")).astype(float)
    rows, across, _ = small.shape
    generator = np.random.default_rng(0)
    shown, meant = [], []
    for _ in range(300):
        place = [int(generator.integers(size)) for size in small.shape]
        block = tuple(slice(at * step, (at + 1) * step) for at, step in zip(place, small.strides, strict=True))
        line, column = divmod(place[2], small.columns)
        shown.append(sheet[line * rows + place[0], column * across + place[1]])
        meant.append((image.array[block].mean() - small.low) / (small.high - small.low) * 255)
    assert np.corrcoef(shown, meant)[0, 1] > 0.95
    assert np.median(np.abs(np.array(shown) - np.clip(meant, 0, 255))) < 8
    assert len(small.webp) <= 350_000


def test_whole_means_all_of_it(large):
    image, mask = large
    kept = cut_volume(image, [mask], {}, "S", "whole")
    assert kept.small is None
    assert kept.image.values.shape == image.array.shape


def test_a_file_is_read_as_it_was_written_and_is_the_same_twice(tmp_path, study):
    volume = cut(study)
    for name in ("one", "two"):
        save_volume(volume, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    read = load_volume(tmp_path / "one")
    assert read.planes == volume.planes
    assert read.image.origin == volume.image.origin
    assert all(np.array_equal(read.masks[mask.reader], mask.array) for mask in study.masks)
    own, back = volume.maps["gradcam"], read.maps["gradcam"]
    assert (own.region, own.drawn, own.readers["B"].common) == (back.region, back.drawn, back.readers["B"].common)
    assert np.array_equal(own.step, back.step)


def test_what_is_no_such_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"PK\x03\x04 none")
    with pytest.raises(OutputError, match="volume cannot be read"):
        load_volume(tmp_path / "file")


def test_planes_are_turned_as_in_the_report(study):
    names = [plane.name for plane in cut(study).planes]
    assert names in (["axial", "coronal", "sagittal"], ["projection"])


def test_what_is_kept_is_what_its_values_count(study):
    assert list(counted_otherwise(cut(study))) == []


FORGED = {
    "region": lambda kept: replace(kept, region=(*kept.region[:9], kept.region[9] + 5, *kept.region[10:])),
    "tied": lambda kept: replace(kept, tied=kept.tied + 5),
    "maximum": lambda kept: replace(kept, maximum=kept.maximum * 1.001),
    "thresholds": lambda kept: replace(kept, thresholds=tuple(each * 1.01 for each in kept.thresholds)),
    "total": lambda kept: replace(kept, total=kept.total * 1.001),
    "counts of A": lambda kept: of_a(kept, common=tuple(each + 5 for each in kept.readers["A"].common)),
    "total of A": lambda kept: of_a(kept, total=kept.readers["A"].total * 2),
    "readers": lambda kept: replace(kept, readers={}),
}


def of_a(kept, **changes):
    return replace(kept, readers={**kept.readers, "A": replace(kept.readers["A"], **changes)})


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_count_does_not_follow_from_the_values(study, what):
    volume = cut(study)
    forged = replace(volume, maps={"gradcam": FORGED[what](volume.maps["gradcam"])})
    assert list(counted_otherwise(forged)) == [("gradcam", what)]
