"""Masks of what must not be leaned on: never a finding, in no lesion's score, and a share of the evidence each."""

import csv
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from pipeline.checks.config_checks import checked_config
from pipeline.config import Criterion
from pipeline.errors import ArchiveError, ConfigError
from pipeline.evidence.metrics.avoided import NO_REGION, avoided_metric, avoided_region
from pipeline.evidence.metrics.map_evidence import MarkedVoxels, MaskedEvidence, RegionOverlap
from pipeline.runs.private_sources import read_sources
from pipeline.runs.reuse import run_answers
from pipeline.studies.content_digest import source_digest
from pipeline.studies.geometry import Geometry
from pipeline.studies.listing.manifest import read_manifest
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import ReadOptions, read_study
from pipeline.studies.volume import Heatmap
from pipeline.vocabulary import AVOID
from tests.pipeline.planted import SHAPE, affine_of, plant, write_manifest
from tests.pipeline.runs.test_run import complete
from tests.pipeline.steps import read_run

PSEUDONYMS = Pseudonyms(b"k" * 32)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("CAMAUDIT_KEY", "k" * 32)


def rows_of(config):
    return list(csv.DictReader((config.parent / "archive" / "manifest.csv").open()))


def with_regions(config, of=lambda number, row: "whole", column="avoid:tube"):
    """Give every study a region to avoid: ``whole`` its own lesion's file, ``corner``, ``empty``, or a file's name."""
    archive, rows = config.parent / "archive", rows_of(config)
    for number, row in enumerate(rows):
        kind = of(number, row)
        if kind == "whole":
            row[column] = row["mask:anna"]
        elif kind in ("corner", "empty"):
            mask = np.zeros(SHAPE, np.uint8)
            mask[:3, :3, :3] = kind == "corner"
            row[column] = f"{row['study']}_{kind}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(mask, affine_of(number)), archive / row[column])
        else:
            row[column] = kind or ""
    write_manifest(archive, rows)
    return config


def audits_of(folder):
    return list(run_answers(folder, read_run(folder)[1]).values())


def test_a_marks_column_leaves_every_score_of_a_lesion_as_it_was(tmp_path):
    """Marks as a reader's masks halved the lesion's score, and evidence in them passed for praise."""
    plain, results = complete(plant(tmp_path / "plain", 9))
    marked, others = complete(with_regions(plant(tmp_path / "marked", 9), lambda *_: "corner"))
    for one, other in zip(audits_of(plain), audits_of(marked), strict=True):
        assert (one.masks, one.mask_faults, one.agreement, one.mask_shapes) == (
            other.masks, other.mask_faults, other.agreement, other.mask_shapes,
        )  # fmt: skip
        for entry, its in zip(one.map_scores, other.map_scores, strict=True):
            said, now = (each.model_dump(exclude={"avoided", "shares", "map"}) for each in (entry, its))
            assert said == now or entry.method == "random_map"  # noise follows from all that a study is read from
            assert [region.name for region in its.avoided] == ["tube"]
            assert not entry.avoided
    own, its = ([each for each in said.estimates if "random" not in each.method] for said in (results, others))
    assert own == its
    assert results.classification == others.classification
    assert results.flow.mask_faults == others.flow.mask_faults == {}
    assert [one.answer for one in results.verdicts] == [one.answer for one in others.verdicts]
    assert not results.avoided
    assert {shares.region for shares in others.avoided} == {"tube"}


def test_a_regions_share_is_that_of_the_evidence_in_its_voxels(tmp_path):
    """A region that is the lesion itself has the lesion's energy, and the mask's area for chance."""
    folder, results = complete(with_regions(plant(tmp_path, 6)))
    seen = 0
    for audit in audits_of(folder):
        for entry in audit.map_scores:
            if entry.reader == "anna":
                (energy,) = [score for score in entry.scores if score.name == "energy_in_mask"]
                (region,) = entry.avoided
                assert region.evidence == energy.value
                assert region.area == energy.chance == entry.mask_share
                seen += 1
    assert seen
    shares = next(shares for shares in results.avoided if shares.method == "gradcam")
    assert (shares.studies, shares.patients, shares.above) == (4, 3, 3)
    assert 0 < shares.area < shares.evidence <= 1
    assert shares.without_region == shares.unknown == 0  # studies without a finding have no map


def test_evidence_in_a_region_to_avoid_is_a_region_of_its_own_in_the_shares(tmp_path):
    _, results = complete(plant(tmp_path / "plain", 6))
    _, others = complete(with_regions(plant(tmp_path / "marked", 6), lambda *_: "corner"))
    for one, other in zip(results.region_shares, others.region_shares, strict=True):
        assert "avoided" not in one.evidence
        assert other.evidence["lesion"] == one.evidence["lesion"]
        assert other.voxels["avoided"] == pytest.approx(27 / np.prod(SHAPE), rel=0.05)


@pytest.mark.parametrize(("bound", "answer"), [(0.02, "NOT MET"), (0.95, "MET")])
def test_little_evidence_can_be_claimed(tmp_path, bound, answer):
    claim = {"metric": "avoid:tube", "method": "gradcam", "at_most": bound}
    config = with_regions(plant(tmp_path, 30, criteria=[claim]))
    _, results = complete(config)
    (verdict,) = results.verdicts
    assert verdict.answer == answer
    assert verdict.criterion == f"avoid:tube of gradcam among reference_positive: at most {bound}"
    (facts,) = [facts for facts in results.metrics if facts.name == "avoid:tube"]
    assert facts.better == "lower"
    assert [facts.name for facts in results.metrics][-1] == "avoid:tube"
    assert results.case_rule  # cases are ranked by a metric of the lesion, not by it


def test_studies_without_the_region_are_not_spoken_of_and_a_lost_mask_counts_against(tmp_path):
    claim = {"metric": "avoid:tube", "method": "gradcam", "at_most": 0.9, "missing_at_most": 0.5}
    kinds = {0: "", 1: "empty", 3: "gone.nii.gz"}
    config = with_regions(plant(tmp_path, 12, criteria=[claim]), lambda number, _: kinds.get(number, "whole"))
    folder, results = complete(config)
    (verdict,) = results.verdicts
    assert verdict.estimate.studies == 5  # of the eight with a finding three have no share
    assert verdict.estimate.missing_studies == 1
    assert verdict.estimate.undefined == {"missing_file": 1, NO_REGION: 2}
    shares = next(shares for shares in results.avoided if shares.method == "gradcam")
    assert (shares.studies, shares.without_region, shares.unknown) == (5, 2, 1)
    assert results.flow.mask_faults == {}  # no expert's mask is lost
    faults = [audit.avoid_faults for audit in audits_of(folder) if audit.avoid_faults]
    assert [(fault.label, fault.reason) for (fault,) in faults] == [("tube", "missing_file")]


@pytest.mark.parametrize(
    "claim",
    [
        {"better_than": ["random"]},
        {"better_than": ["random"], "wins": 0.5},
        {"at_least": 0.5},
        {"at_least": 0.5, "reversed": True},
        {"not_worse_than": "readers", "margin": 0.1},
        {"equivalent_to": "hirescam", "margin": 0.1},
    ],
)
def test_no_claim_makes_a_merit_of_evidence_in_a_region_to_avoid(claim):
    with pytest.raises(ValidationError, match=r"is no merit, so .* claims nothing: write at_most"):
        Criterion(metric="avoid:tube", method="gradcam", **claim)


def test_a_share_of_evidence_needs_a_map():
    with pytest.raises(ValidationError, match="add method, the map to judge"):
        Criterion(metric="avoid:tube", at_most=0.1)


def test_a_region_that_is_not_marked_or_is_a_label_is_refused(tmp_path):
    claim = {"metric": "avoid:tubes", "method": "gradcam", "at_most": 0.1}
    config = with_regions(plant(tmp_path / "a", 6, criteria=[claim]))
    with pytest.raises(ConfigError, match="no study of a manifest marks the region 'tubes'; did you mean 'avoid:tube'"):
        checked_config(config)
    with pytest.raises(ConfigError, match="masks of it stand in the manifest's column 'avoid:tubes'"):
        checked_config(plant(tmp_path / "b", 6, criteria=[claim]))
    config = with_regions(plant(tmp_path / "c", 6), column="avoid:lesion")
    with pytest.raises(ConfigError, match="column 'avoid:lesion' names a label of the model"):
        checked_config(config)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (["avoid:"], r"column 'avoid:' must be avoid:<region>"),
        (["avoid:tube:lesion"], r"column 'avoid:tube:lesion' must be avoid:<region>"),
        (["avoid:tube=0"], r"column 'avoid:tube=0' must be avoid:<region>"),
        (["avoid tube"], r"column 'avoid tube' is unknown; masks stand in mask:<reader>, and of what must not"),
        (["forbidden"], r"column 'forbidden' is unknown"),
        (["avoid:tube", "avoid:tube=1"], r"mask columns of the region 'tube' to avoid contradict each other"),
    ],
)
def test_a_wrong_column_is_told(tmp_path, columns, says):
    row = {"study": "s", "patient": "p", "image": "i.nii", **dict.fromkeys(columns, "m.nii")}
    write_manifest(tmp_path, [row])
    with pytest.raises(ArchiveError, match=says):
        read_manifest(tmp_path, tmp_path / "manifest.csv")


def test_a_label_map_may_show_findings_and_regions_to_avoid_by_their_numbers(tmp_path):
    affine = affine_of(0)
    values = np.zeros(SHAPE, np.uint8)
    values[2:5], values[8:10, :4], values[8:10, 4:6] = 1, 2, 3
    for name, array in (("i", np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)), ("m", values)):
        nibabel.save(nibabel.Nifti1Image(array, affine), tmp_path / f"{name}.nii.gz")
    row = {"study": "s", "patient": "p", "image": "i.nii.gz", "mask:anna:lesion=1": "m.nii.gz",
           "avoid:tube=2": "m.nii.gz", "avoid:tube=3": "m.nii.gz", "label": "lesion"}  # fmt: skip
    write_manifest(tmp_path, [row])
    (listed,) = read_manifest(tmp_path, tmp_path / "manifest.csv")
    study = read_study(listed, PSEUDONYMS, ReadOptions(labels=("clear", "lesion")))
    (mask,), (region,) = study.masks, study.avoid
    np.testing.assert_array_equal(mask.array, values == 1)
    np.testing.assert_array_equal(region.array, values >= 2)
    assert (region.label, mask.label) == ("tube", "lesion")
    assert not study.mask_faults
    assert not study.avoid_faults


def test_a_region_counts_in_the_studys_digest_and_survives_the_run_and_the_cache(tmp_path):
    config = with_regions(
        plant(tmp_path, 3, criteria=[], run={"cache": str(tmp_path / "cache"), "device": "cpu"}), lambda *_: "corner"
    )
    rows = read_manifest(tmp_path / "archive", tmp_path / "archive" / "manifest.csv")
    assert source_digest(rows[0]) != source_digest(replace(rows[0], avoid=()))
    folder, results = complete(config)
    sources = read_sources(folder).studies.values()
    assert {mask.label for source in sources for mask in source.row.avoid} == {"tube"}
    assert {mask.reader for source in sources for mask in source.row.avoid} == {AVOID}
    content = yaml.safe_load(config.read_text())
    content["explain"]["methods"] = ["xgradcam"]
    config.write_text(yaml.safe_dump(content))
    _, again = complete(config)  # studies come out of the cache
    own = {shares.method: shares.area for shares in results.avoided}
    assert {shares.method: shares.area for shares in again.avoided} == {"xgradcam": own["gradcam"]}


def test_a_region_that_nobody_saw_or_marked_and_a_constant_map_have_no_share():
    values = np.zeros((4, 4), np.float32)
    values[0, 0], values[2, 2] = 1.0, 3.0
    seen = np.ones((4, 4), bool)
    seen[3] = False
    geometry = Geometry((4, 4), np.eye(4))

    def share(marked, array=values):
        heatmap = Heatmap(array, geometry, seen, "", "", "")
        return avoided_region("tube", RegionOverlap(MaskedEvidence(heatmap, "otsu"), MarkedVoxels(marked, geometry)))

    corner = np.zeros((4, 4), bool)
    corner[:2, :2] = True
    assert (share(corner).evidence, share(corner).area) == (0.25, 4 / 12)
    column = np.zeros((4, 4), bool)
    column[:, 0] = True  # the model did not see its last voxel
    assert (share(column).evidence, share(column).area) == (0.25, 3 / 12)
    assert share(np.zeros((4, 4), bool)).reason == NO_REGION
    assert share(~seen).reason == "region_not_seen"
    assert share(corner, np.ones((4, 4), np.float32)).reason == "constant_map"
    assert avoided_metric("avoid:tube").better == "lower"
