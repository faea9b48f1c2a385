"""``camaudit scan`` from the command line."""

import json
import os
import stat

import numpy as np
import pytest

from pipeline.studies.list_studies import list_studies
from tests.pipeline.studies.writers import SECRET, dot, grid, nifti, save, segmentation, slices

AFFINE = grid(np.diag([-1, -1, 1]), (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))


@pytest.fixture
def archive(tmp_path):
    root = tmp_path / "archive"
    images = slices(dot((7, 5, 4), (5, 1, 0)), AFFINE)
    save(root / "ct", images)
    masks = np.zeros((4, 5, 7, 1), dtype=np.uint8)
    masks[1, 2, 3] = 1
    segmentation(root / "seg.dcm", images, masks, ["Liver"])
    nifti(root / "SECRET.nii", dot((7, 5, 4), (5, 1, 0)), None)
    (root / "README").write_text("SECRET")
    (root / "pipe").symlink_to("/")
    return root


def test_the_table_adds_up_and_names_nobody(archive, camaudit, tmp_path):
    code, out, _ = camaudit("scan", archive, "--index", tmp_path / "i.sqlite", "--workers", 0)
    assert code == 0
    assert SECRET not in out
    rows = [[cell.strip() for cell in line.strip("│┃").split("│")] for line in out.splitlines() if "│" in line]
    counts = {row[0]: row[1:] for row in rows if row[0]}
    assert counts["CT"][:5] == ["1", "1", "1", "1", "0"]
    assert counts["NIFTI"][:5] == ["1", "1", "1", "0", "1"]
    assert counts["all"] == ["8"]
    excluded = {name: int(value[0]) for name, value in counts.items() if name.startswith("excluded: ")}
    assert excluded == {"excluded: leads_out": 1, "excluded: no_geometry": 1, "excluded: not_an_image": 1}
    assert int(counts["used"][0]) + sum(excluded.values()) == 8
    assert "1 masks found, 1 on a usable image" in out


def test_json_manifest_and_export(archive, camaudit, tmp_path):
    manifest, export = tmp_path / "out" / "m.csv", tmp_path / "out" / "e.parquet"
    code, out, err = camaudit(
        "scan", archive, "--json", "--write-manifest", manifest, "--export", export, "--workers", 0
    )
    answer = json.loads(out)
    assert (code, err) == (0, "")
    assert answer["written"] == [str(manifest), str(export)]
    assert answer["files"] == answer["used"] + sum(answer["excluded"].values()) == 8
    assert answer["images"] == answer["usable"] + sum(sum(one["excluded"].values()) for one in answer["modalities"])
    (row,) = list_studies(archive, manifest)
    assert [(mask.reader, mask.label) for mask in row.masks] == [("expert", "liver")]
    made = {path.name.split("-")[0]: path for path in manifest.parent.iterdir()}
    assert set(made) == {"m.csv", "e.parquet", "camaudit", "pseudonym.key"} | {
        name for name in made if ".lists" in name
    }
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in made.values())


def test_the_users_umask_is_as_before(archive, camaudit, tmp_path):
    before = os.umask(0o022)
    try:
        camaudit("scan", archive, "--json", "--index", tmp_path / "i.sqlite", "--workers", 0)
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none"], "must name a folder or a DICOMweb server's URL"),
        (["archive/README"], "must name a folder or a DICOMweb server's URL"),
        (["archive", "--index", "archive/README"], "index"),
        (["empty", "--write-manifest", "m.csv"], "holds no usable image"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(archive, camaudit, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    code, out, err = camaudit("scan", *arguments, "--json", "--workers", 0)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert words in line
