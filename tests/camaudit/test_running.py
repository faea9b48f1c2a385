"""Audits from Python: run, measured again, compared."""

import csv
import os
import subprocess
import sys

import pytest

import camaudit
from camaudit import AuditError, audit, compare, measure, read_run
from tests.pipeline.planted import plant, write_manifest, write_study


def test_an_audit_tells_its_progress_and_returns_the_run(tmp_path):
    told = []
    run = audit(
        plant(tmp_path, 6),
        overrides={"run.seed": 3, "explain.methods": ["gradcam"], "run.lost_at_most": 1e-5},
        on_progress=lambda done, expected: told.append((done, expected)),
    )
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1] > 0
    assert (run.methods, run.results.provenance.seed, run.results.lost_at_most) == (("gradcam",), 3, 1e-5)
    assert run.report.read_bytes().startswith(b"%PDF")
    assert run.results.provenance.engine == "local"


def test_an_audit_does_not_ask_for_prefect(tmp_path):
    config = plant(tmp_path, 3)
    code = f"import sys, camaudit; camaudit.audit({str(config)!r}); print([n for n in sys.modules if n == 'prefect'])"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["[]"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [({"run.sead": 3}, "unknown key 'run.sead'; did you mean 'seed'"), ({"explain.methods": ["gradcan"]}, "gradcam")],
)
def test_a_mistake_is_one_line(tmp_path, overrides, message):
    with pytest.raises(AuditError, match=message):
        audit(plant(tmp_path, 3), overrides=overrides)


def test_maps_are_scored_again_under_another_threshold(audited):
    _, run = audited
    again = measure(run, {"overlap.threshold": 0.5})
    assert again.folder != run.folder
    assert "0.5" in again.results.overlap_rule
    assert again.results.flow.maps_reused == again.results.flow.maps > 0
    study = run.results.cases[0].study
    assert (again.map(study, "gradcam").array == run.map(study, "gradcam").array).all()
    with pytest.raises(AuditError, match=r"--set model.threshold: changes what the model says"):
        measure(run.folder, {"model.threshold": 0.6})
    compared = compare(run, again)
    assert "the two runs cut a map's region by other rules" in compared.notes
    values = {(estimate.metric, estimate.method): estimate.value for estimate in compared.differences}
    assert values["energy_in_mask", "gradcam"] == 0, "no threshold is in it"
    assert values["iou", "gradcam"] != 0


def in_every_group(comparison):
    groups = (
        comparison.studies.paired,
        comparison.studies.only_in_a,
        comparison.studies.only_in_b,
        comparison.studies.changed,
        comparison.studies.not_analysed,
    )
    return [len(group) for group in groups]


def test_a_comparison_is_paired_and_counts_what_it_leaves_out(tmp_path):
    config = plant(tmp_path, 12, explain={"methods": ["gradcam", "hirescam"]})
    first = audit(config)
    archive = tmp_path / "archive"
    rows = list(csv.DictReader((archive / "manifest.csv").open()))
    rows[0]["mask:anna"] = rows[1]["mask:anna"]  # another mask: another reference
    (archive / rows[3]["image"]).write_bytes(b"no image")
    del rows[4]
    write_manifest(archive, [*rows, write_study(archive, 12, True), write_study(archive, 13, True)])
    second = audit(config, overrides={"explain.methods": ["gradcam", "layercam"]})
    compared = compare(first, second)
    assert (
        sum(in_every_group(compared))
        == len({*first.studies["study"].to_pylist(), *second.studies["study"].to_pylist()})
        == 14
    )
    assert in_every_group(compared) == [9, 1, 2, 2, 0]  # the damaged image has another hash
    assert {estimate.method for estimate in compared.differences} == {"classifier", "gradcam"}
    assert all(estimate.value == 0 for estimate in compared.differences if estimate.method == "gradcam")
    assert compared.notes[0].startswith("EXPLORATORY")
    assert compared.counts[0] == "9 studies are compared"
    assert "9 studies are compared" in compared._repr_html_()


def test_a_difference_is_the_mean_of_the_second_run_minus_the_first(audited):
    _, run = audited
    again = measure(run, {"overlap.threshold": 0.7})

    def means(of):
        """The mean over the readers, by study."""
        rows = [row for row in of.scores.to_pylist() if (row["method"], row["metric"]) == ("gradcam", "iou")]
        studies = {row["study"] for row in rows}
        return {study: sum(row["value"] for row in rows if row["study"] == study) / 2 for study in sorted(studies)}

    before, after = means(run), means(again)
    expected = sum(after[study] - before[study] for study in before) / 16
    compared = {(estimate.metric, estimate.method): estimate for estimate in compare(run, again).differences}
    estimate = compared["iou", "gradcam"]
    assert estimate.per_study == pytest.approx(expected)
    assert expected < -0.05
    assert estimate.studies == 16
    assert estimate.low <= estimate.value <= estimate.high
    reverse = next(e for e in compare(again, run).differences if (e.metric, e.method) == ("iou", "gradcam"))
    assert reverse.per_study == pytest.approx(-expected)


def test_runs_of_two_archives_are_not_compared(audited, tmp_path):
    other = audit(plant(tmp_path, 3))
    with pytest.raises(AuditError, match="shares no study with"):
        compare(audited[1], other)


def test_a_run_that_is_read_again_is_the_same(audited):
    _, run = audited
    assert read_run(run.folder).scores.equals(run.scores)
    assert isinstance(run, camaudit.FinishedRun)
