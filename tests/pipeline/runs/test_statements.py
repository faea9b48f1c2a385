"""Statements, the table of the cohort and the training data's hashes, from audit.yaml to the results and back."""

import hashlib

import pytest
import yaml

from camaudit import audit, measure
from flows.commands.verify import verified
from pipeline.verify.failure import FailureKind
from tests.pipeline.planted import plant

STATED = {"readers": ["two radiologists"], "responsible": "Dr A, physicist"}


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """An audit whose model was trained on two images of its archive, one of them twice on the list."""
    folder = tmp_path_factory.mktemp("stated")
    config = plant(folder, 6, explain={"methods": ["gradcam"]}, statements=STATED)
    images = [folder / "archive" / f"study{number:02}.nii.gz" for number in (0, 3)]
    lines = [f"{hashlib.sha256(image.read_bytes()).hexdigest()}  {image.name}" for image in (*images, images[0])]
    (folder / "training.sha256").write_text("\n".join([*lines, "0" * 64]))
    content = yaml.safe_load(config.read_text())
    content["model"]["training_hashes"] = "training.sha256"
    config.write_text(yaml.safe_dump(content))
    return config, audit(config)


def test_statements_are_kept_as_they_were_made(listed):
    assert listed[1].results.statements == {"responsible": ("Dr A, physicist",), "readers": ("two radiologists",)}


def test_the_studies_that_the_model_was_trained_on_are_named_by_pseudonym(listed):
    config, run = listed
    overlap = run.results.training_overlap
    content = (config.parent / "training.sha256").read_bytes()
    assert (overlap.hashes, overlap.checked, overlap.patients) == (3, 6, 2)
    assert overlap.list_sha256 == hashlib.sha256(content).hexdigest()
    assert len(overlap.studies) == 2
    assert set(overlap.studies) < {audit.study for audit in run.audits}
    assert "study0" not in run.results.model_dump_json()


def test_the_run_holds_and_its_table_counts_lesions(listed):
    run = listed[1]
    failures = verified(run.folder, None).failures  # the register is that of the module, not of this test
    assert [failure.sentence for failure in failures if failure.kind is not FailureKind.REGISTER] == []
    rows = {row.name: row for row in run.results.cohort_table}
    assert rows["Lesions in a study's mask: lesion"].median == 1
    assert rows["Largest lesion of a study: lesion"].unit == "mm3"
    assert rows["Largest lesion of a study: lesion"].median == pytest.approx(6**3 * 1.0 * 1.5 * 2.0, rel=1e-3)
    assert (rows["Voxel spacing, finest axis"].low, rows["Voxel spacing, coarsest axis"].high) == (1, 2)


def test_neither_statements_nor_hashes_change_a_number(listed):
    config, run = listed
    content = yaml.safe_load(config.read_text())
    content["statements"] = {"blinding": "to the model's output"}
    del content["model"]["training_hashes"]
    config.write_text(yaml.safe_dump(content))
    again = audit(config)
    assert again.results.flow.reused == 6
    assert again.results.training_overlap is None
    assert again.results.cohort_table == run.results.cohort_table


def test_masks_that_are_read_otherwise_change_lesions_and_no_map(listed):
    again = measure(listed[1], {"archive.consensus": "majority"})
    assert again.results.flow.maps_reused == again.results.flow.maps > 0
    assert again.results.training_overlap == listed[1].results.training_overlap
    rows = {row.name: row for row in again.results.cohort_table}
    assert rows["Lesions in a study's mask: lesion"].stated == 4
