"""What Python users get of a finished run, from its folder alone."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import nibabel
import numpy as np
import pyarrow as pa
import pytest

import camaudit
from camaudit import AuditError, read_run
from pipeline.findings.facts import Amendment
from pipeline.findings.shards import read_shard
from pipeline.studies.geometry import Geometry


def test_scores_hold_every_score_once(audited):
    _, run = audited
    scores = run.scores
    assert isinstance(scores, pa.Table)
    # 16 positive studies x (3 methods + 2 baselines) x 2 readers x 5 metrics
    assert len(scores) == 16 * 5 * 2 * len(run.results.metrics)
    keys = ("study", "target", "method", "layer", "reader", "metric")
    assert len({tuple(row[key] for key in keys) for row in scores.to_pylist()}) == len(scores)
    audits = {audit.study: audit for path in (run.folder / "shards").iterdir() for audit in read_shard(path)}
    row = next(row for row in scores.to_pylist() if row["method"] == "gradcam" and row["metric"] == "iou")
    entry = next(
        entry for entry in audits[row["study"]].map_scores if (entry.method, entry.reader) == ("gradcam", row["reader"])
    )
    assert row["value"] == next(score.value for score in entry.scores if score.name == "iou")
    assert row["in_reference"] is True
    assert set(scores["stratum_site"].to_pylist()) == {"a", "b"}


def test_an_undefined_score_is_null_with_its_reason(audited):
    for row in audited[1].scores.to_pylist():
        assert (row["value"] is None) == (row["reason"] is not None)


def test_studies_are_all_there_in_the_archives_order(audited):
    _, run = audited
    rows = run.studies.to_pylist()
    assert [row["study"] for row in rows] == [
        member["study"] for member in json.loads((run.folder / "cohort.json").read_text())
    ]
    assert len(rows) == run.results.flow.found == 24
    assert run.study(rows[3]["study"]).patient == rows[3]["patient"]


def test_a_map_is_saved_where_it_lies(audited, tmp_path):
    _, run = audited
    study = run.results.cases[0].study
    values = run.map(study, "hirescam")
    assert (values.method, values.target, values.array.dtype) == ("hirescam", "lesion", np.float32)
    with pytest.raises(ValueError, match="read-only"):
        values.array[0, 0, 0] = 1
    image = nibabel.load(values.save(tmp_path / "map.nii.gz"))
    np.testing.assert_array_equal(np.asarray(image.dataobj), values.array)
    np.testing.assert_allclose(image.affine, values.affine, rtol=1e-6)  # NIfTI keeps affines in float32
    assert image.header.get_xyzt_units()[0] == "mm"
    assert values.save(tmp_path / "again.nii.gz").read_bytes() == (tmp_path / "map.nii.gz").read_bytes()
    with pytest.raises(AuditError, match=r"saved as \.nii\.gz, \.nii, \.nrrd, not as 'map.png'"):
        values.save(tmp_path / "map.png")


def test_a_map_of_two_axes_is_saved_too(tmp_path):
    grid = Geometry((4, 5), np.diag([2.0, 3, 1, 1]))
    values = camaudit.PlacedMap(
        array=np.ones((4, 5), np.float32), grid=grid, method="cam", target="lesion", layer="4", study="S-1"
    )
    assert nibabel.load(values.save(tmp_path / "map.nii")).shape == (4, 5, 1)


def test_the_overlay_shows_map_and_image(audited, tmp_path):
    _, run = audited
    study = run.results.cases[0].study
    picture = run.overlay(study, "gradcam")
    assert picture.array.dtype == np.uint8
    assert picture.array.shape[2] == 3
    assert int(np.ptp(picture.array.reshape(-1, 3), axis=1).max()) > 60, "a map in colours lies over the grey image"
    assert picture.save(tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert "gradcam for lesion" in picture.caption
    assert run.case(study).study == study


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run, study: run.map(study, "gradcan"), r"has no method 'gradcan'; did you mean 'gradcam'\?"),
        (lambda run, study: run.map(study[:-1], "gradcam"), r"has no study 'S-\w+'; did you mean 'S-\w+'\?"),
        (lambda run, _: run.study("nodule"), r"has no study 'nodule'; known: .* and 12 more"),
        (lambda run, study: run.map(study, "centre_prior"), "known: gradcam, hirescam, layercam"),
        (lambda run, study: run.map(study, "gradcam", target="lesson"), r"no target 'lesson'; did you mean 'lesion'\?"),
        (lambda run, study: run.overlay(study, "grad-cam"), r"shows no 'grad-cam'; did you mean 'gradcam'\?"),
        (lambda run, study: run.overlay(study, "gradcam", view=7), "not 7"),
        (lambda run, _: run.table("dicee"), r"has no metric 'dicee'; did you mean 'dice'\?"),
    ],
)
def test_a_wrong_name_is_told_in_one_sentence(audited, call, message):
    _, run = audited
    with pytest.raises(AuditError, match=message) as caught:
        call(run, run.results.cases[0].study)
    assert "\n" not in str(caught.value)


def test_a_study_that_has_no_map_or_is_not_shown_says_so(audited):
    _, run = audited
    without = next(audit.study for audit in run.audits if not audit.map_scores)
    with pytest.raises(AuditError, match="has no map: there was no target to explain"):
        run.map(without, "gradcam")
    with pytest.raises(AuditError, match=f"the report does not show {without}; it shows"):
        run.case(without)


def test_the_newest_finished_run_of_an_audit_is_read(audited, tmp_path):
    _, run = audited
    shutil.copytree(run.folder, tmp_path / "20000101")
    shutil.copytree(run.folder, tmp_path / run.folder.name)
    shutil.copytree(run.folder, tmp_path / "99990101", ignore=shutil.ignore_patterns("results.json"))
    assert read_run(tmp_path).folder == tmp_path / run.folder.name
    with pytest.raises(AuditError, match="is not finished"):
        read_run(tmp_path / "99990101")
    with pytest.raises(AuditError, match="holds no finished run"):
        read_run(tmp_path / "20000101" / "maps")
    with pytest.raises(AuditError, match="there is no such folder"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("results.json", lambda run: run.verdicts),
        ("run.json", lambda run: run.verdicts),
        ("cohort.json", lambda run: run.studies),
        ("shards/0000.parquet", lambda run: run.scores),
        ("report.pdf", lambda run: run.report),
        ("cases", lambda run: run.case(run.results.cases[0].study)),
        ("maps", lambda run: [run.map(row["study"], "gradcam") for row in run.scores.to_pylist()]),
    ],
)
def test_a_file_that_is_not_the_one_written_is_refused(audited, tmp_path, name, read):
    folder = tmp_path / "run"
    shutil.copytree(audited[1].folder, folder)
    assert read(read_run(folder)) is not None
    chosen = folder / name
    for path in [*chosen.iterdir()] if chosen.is_dir() else [chosen]:
        content = bytearray(path.read_bytes())
        place = len(content) // 2
        content[place] ^= 1
        path.write_bytes(content)
    with pytest.raises(AuditError, match=r"altered|damaged|not JSON|is not "):
        read(read_run(folder))


def test_a_shard_that_was_taken_away_is_missed(audited, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(audited[1].folder, folder)
    (folder / "shards/0001.parquet").unlink()
    with pytest.raises(AuditError, match="cannot be read"):
        _ = read_run(folder).scores


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_a_notebook_shows_answers_and_why_the_run_is_exploratory(audited):
    _, run = audited
    page = Page(run._repr_html_())
    assert page.text.count("MET") == 3
    assert "EXPLORATORYnothing was locked" in page.text
    assert "24 studies: 24 analysed, 0 excluded or failed; 12 patients" in page.text
    assert {tag for tag, _ in page.tags} <= {
        "div",
        "p",
        "b",
        "br",
        "ul",
        "li",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert not any({"src", "href", "onclick"} & set(attributes) for _, attributes in page.tags)
    table = Page(run.table("iou")._repr_html_())
    assert "Grad-CAM" in table.text
    assert "IoU (higher is better)" in str(run.table("iou"))


def test_what_others_say_is_escaped_wherever_it_stands(audited):
    from camaudit.views import estimate_table, run_html

    hostile = "<script src='https://example.org/x.js'>alert(1)</script>"
    results = audited[1].results
    amendment = Amendment(
        amended_at="2026-01-01", reason=hostile, previous="", previous_locked_at="", changed=(), seen=()
    )
    verdicts = [verdict.model_copy(update={"reason": hostile, "rule": hostile}) for verdict in results.verdicts]
    changes = {
        "title": hostile,
        "audit": hostile,
        "verdicts": tuple(verdicts),
        "lock": results.lock.model_copy(update={"exploratory": (hostile,), "amendments": (amendment,)}),
        "methods": tuple(facts.model_copy(update={"title": hostile}) for facts in results.methods),
        "metrics": tuple(facts.model_copy(update={"title": hostile}) for facts in results.metrics),
    }
    changed = results.model_copy(update=changes)
    same = camaudit.compare(audited[1], audited[1])
    compared = replace(same, change=same.change.model_copy(update={"run_a": hostile}), _notes=(hostile,))
    for text in (run_html(changed), estimate_table(changed, "iou")._repr_html_(), compared._repr_html_()):
        assert "<script" not in text
        assert hostile in Page(text).text
    assert f"AMENDED on 2026-01-01: {hostile}" in Page(run_html(changed)).text


def test_reading_a_run_loads_no_torch(audited):
    code = (
        f"import sys, camaudit; run = camaudit.read_run({str(audited[1].folder)!r});"
        "study = run.results.cases[0].study;"
        "run.scores, run.studies, run.map(study, 'gradcam'), run.overlay(study, 'gradcam'), run._repr_html_();"
        "print(camaudit.compare(run, run).counts[0]);"
        "print(*[name for name in ('torch', 'monai', 'prefect') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["24 studies are compared", ""]


def test_every_public_name_is_there():
    assert set(camaudit._HOMES) == set(camaudit.__all__)
    for name in camaudit.__all__:
        assert getattr(camaudit, name).__class__.__name__ != "module", name
    with pytest.raises(AttributeError, match="module 'camaudit' has no attribute 'lock_everything'"):
        _ = camaudit.lock_everything
    assert set(camaudit.__all__) <= set(dir(camaudit))


def test_the_page_for_python_users_names_what_is_there(audited):
    page = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
    of_a_run = set(re.findall(r"finished\.(\w+)", page))
    assert {name for name in of_a_run if not hasattr(audited[1], name)} == set()
    assert of_a_run >= {"verdicts", "scores", "studies", "study", "map", "case", "overlay", "table", "report"}
    groups = {"methods", "metrics", "readers", "sections", "testing"}
    assert set(re.findall(r"camaudit\.([a-zA-Z_]+)", page)) <= {*camaudit.__all__, *groups}
