"""Runs that earlier versions have left on disks are read, or refused in one sentence that names both versions."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from camaudit import AuditError, read_run
from pipeline.errors import OutputError
from pipeline.findings.results import SCHEMA_VERSION, load_results
from pipeline.findings.spec import SPEC_VERSION
from tests.old_runs.make import PRESENT

ROOT = Path(__file__).resolve().parents[2]
KEPT = sorted(path for path in Path(__file__).parent.iterdir() if path.is_dir() and path.name.startswith("run"))


def test_a_run_of_the_present_version_is_kept():
    assert PRESENT in KEPT, "run: python -m tests.old_runs.make"


def test_the_kept_run_of_the_present_version_is_read_whole():
    run = read_run(PRESENT)
    assert [verdict.answer for verdict in run.verdicts] == ["INCONCLUSIVE"] * 3
    assert (run.results.flow.found, len(run.studies)) == (3, 3)
    scores = [row for row in run.scores.to_pylist() if row["metric"] == "iou" and row["method"] == "gradcam"]
    assert len(scores) == 4
    assert all(0.2 < row["value"] <= 1 for row in scores)
    for row in scores:
        values = run.map(row["study"], "hirescam")
        assert values.array.shape == (24, 24, 24)
        assert values.affine.shape == (4, 4)
        assert np.ptp(values.array) > 0
    assert run.overlay(run.results.cases[0].study, "gradcam").array.size
    assert "INCONCLUSIVE" in run._repr_html_()


@pytest.mark.parametrize("folder", KEPT, ids=lambda path: path.name)
def test_a_kept_run_is_small_and_names_no_machine(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 400_000
    for path in files:
        content = path.read_bytes()
        assert not [
            word
            for word in (b"/tmp/", b"/home/", os.fsencode(f"{ROOT.parent}/"), b"patient0", b"study0")
            if word in content.replace(b"per_study", b"")
        ]


@pytest.mark.parametrize("folder", [folder for folder in KEPT if folder != PRESENT], ids=lambda path: path.name)
def test_a_kept_run_of_an_earlier_version_is_refused_by_both_versions(folder):
    stated = json.loads((folder / "run.json").read_text())["schema_version"]
    with pytest.raises(AuditError, match=f"is of schema {stated}, and this version of camaudit reads schema"):
        read_run(folder)


@pytest.mark.parametrize("version", [0, 99])
@pytest.mark.parametrize(("name", "reads"), [("run.json", SPEC_VERSION), ("results.json", SCHEMA_VERSION)])
def test_a_run_of_another_version_is_refused_by_both_versions(version, name, reads, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(PRESENT, folder)
    content = json.loads((folder / name).read_text())
    assert content["schema_version"] == reads
    (folder / name).write_text(json.dumps({**content, "schema_version": version}))
    with pytest.raises(AuditError) as caught:
        read_run(folder)
    said = str(caught.value).removeprefix(f"{folder / name}: ")
    assert said == f"is of schema {version}, and this version of camaudit reads schema {reads}"


def test_results_that_are_damaged_are_not_called_another_version(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps({"schema_version": SCHEMA_VERSION}))
    with pytest.raises(OutputError, match=f"is not of schema {SCHEMA_VERSION}, which this version reads: audit: Field"):
        load_results(tmp_path)
