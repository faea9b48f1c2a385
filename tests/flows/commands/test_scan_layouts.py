"""``camaudit scan`` of small copies of public data sets gives a manifest that an audit takes as it is."""

import json

import pytest
import yaml

from pipeline.findings.results import load_results
from tests.field.layouts.copies import brats, luna, orthanc, tcia, total_segmentator, xnat
from tests.pipeline.planted import FACTORY

CASES = {
    "totalsegmentator": (
        total_segmentator,
        "liver",
        (),
        3,
        "layout: TotalSegmentator, 3 subjects, 3 studies, 3 structures",
    ),
    "brats": (
        lambda root: brats(root, [f"BraTS20_Training_00{number}" for number in range(3)]),
        "whole tumor",
        ("--modality", "t1ce", "--modality", "t2f"),
        6,
        "layout: BraTS, 3 subjects, 6 studies, 3 structures",
    ),
    "luna16": (luna, "nodule", (), 3, "layout: LUNA16, 3 subjects, 3 studies, 3 structures"),
}


def configuration(folder, label, archive):
    (folder / "tiny_network.py").write_text(FACTORY)
    content = {
        "name": "layout",
        "archive": {"path": "archive", **archive},
        "model": {"name": "tiny", "factory": "tiny_network:build", "labels": ["clear", label], "output": "sigmoid"},
        "prepare": [{"_target_": "ResizeWithPadOrCrop", "spatial_size": [16, 16, 8]}],
        "explain": {"methods": ["gradcam"], "targets": [label]},
        "run": {"engine": "local", "device": "cpu", "workers": 0, "replicates": 200, "lost_at_most": 1.0},
    }
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def audited(camaudit, config):
    """Run an audit from the command line, and return its results."""
    code, out, err = camaudit("run", config, "--json")
    assert code == 0, err
    return load_results(config.parent / "runs" / "layout" / json.loads(out)["run"])


@pytest.mark.parametrize(("make", "label", "options", "studies", "line"), CASES.values(), ids=CASES)
def test_scanned_listed_and_audited(tmp_path, camaudit, make, label, options, studies, line):
    make(tmp_path / "archive")
    manifest = tmp_path / "manifest.csv"
    code, out, err = camaudit("scan", tmp_path / "archive", "--write-manifest", manifest, "--workers", 0, *options)
    assert code == 0, err
    assert line in out.splitlines()
    results = audited(camaudit, configuration(tmp_path, label, {"manifest": "manifest.csv"}))
    assert (results.flow.found, results.flow.analysed, results.flow.failed) == (studies, studies, {})
    assert set(results.flow.mask_faults) <= {"unknown_label"}
    straight = audited(camaudit, configuration(tmp_path, label, {"label": label, **_modalities(options)}))
    assert (straight.flow.found, straight.flow.analysed) == (studies, studies)
    assert (straight.flow.mask_faults, straight.flow.without_mask) == ({}, 0)


@pytest.mark.parametrize("make", [tcia, xnat, orthanc])
def test_a_folder_of_dicom_is_audited_straight(tmp_path, camaudit, make):
    make(tmp_path / "archive")
    config = configuration(tmp_path, "liver", {"label": "liver"})
    results = audited(camaudit, config)
    assert (results.flow.found, results.flow.analysed, results.flow.patients) == (2, 2, 2)
    assert (results.flow.mask_faults, results.flow.without_mask) == ({}, 0)
    code, _, err = camaudit("link", config)
    assert code == 0, err
    links = (tmp_path / "runs" / "links.csv").read_text()
    assert "SECRET0" in links
    assert "SECRET1" in links
    run = next((tmp_path / "runs" / "layout").glob("*/results.json"))
    assert "SECRET" not in run.read_text()


def _modalities(options):
    names = [name for name in options if not name.startswith("--")]
    return {"modalities": names} if names else {}


def test_an_archive_of_two_layouts_says_what_to_do(tmp_path, camaudit):
    brats(total_segmentator(tmp_path / "archive"), ["BraTS2021_00000"])
    manifest, index = tmp_path / "m.csv", tmp_path / "i.sqlite"
    code, out, err = camaudit("scan", tmp_path / "archive", "--write-manifest", manifest, "--workers", 0)
    assert code != 0
    assert "name the one that is meant by archive.layout" in err
    code, out, _ = camaudit("scan", tmp_path / "archive", "--index", index, "--workers", 0, "--layout", "brats")
    assert "layout: BraTS, 1 subjects, 4 studies, 3 structures" in out
    code, out, _ = camaudit("scan", tmp_path / "archive", "--index", index, "--workers", 0)
    assert code == 0
    assert "layout: not decided" in out
