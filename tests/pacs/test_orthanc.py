"""A whole audit over a real Orthanc, against the same audit over the same files on a disk.

Orthanc listens on every interface of the machine, whatever it is told: it is started in a network namespace of its own
only, where there is nothing but the loopback (``make test-pacs``).
"""

import csv
import io
import json
import sys

import numpy as np
import pytest
import yaml
from pydicom import dcmread
from pydicom.uid import RLELossless, generate_uid

from flows import cli
from flows.commands.exporting.export import export_run
from flows.commands.exporting.request import ExportRequest
from flows.scheduling.receiver import Receiver, receiving
from pipeline.findings.results import load_results
from pipeline.findings.shards import load_map, read_shard
from pipeline.studies.dicomweb.arrivals import server_listing
from pipeline.studies.dicomweb.client import AUTHORIZATION_VARIABLE, open_server
from pipeline.studies.read_study import CONTENT_FACT
from pipeline.studies.untrusted.workers import WorkerPool
from tests.pacs.orthanc import AUTHORIZATION, asked, running_orthanc
from tests.pipeline.planted import plant
from tests.pipeline.steps import begin, finish, read_run, work
from tests.pipeline.studies.readers.masks.test_rtstruct import structure_set
from tests.pipeline.studies.writers import OBLIQUE, grid, segmentation, slices

pytestmark = pytest.mark.pacs

SHAPE = (24, 22, 10)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """The URL of a running Orthanc's root."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as url:
        yield url


def patient(number):
    """Return a patient's CT with a bright block, and the mask (slice, row, column, segment) of the block."""
    generator = np.random.default_rng(number)
    values, corner = np.zeros(SHAPE, np.int16), generator.integers(2, (14, 12, 4)) // 2 * 2
    values[tuple(slice(start, start + 6) for start in corner)] = number != 3
    affine = grid(OBLIQUE, (1.0, 1.5, 2.0), tuple(generator.integers(-80, 80, 3)))
    images = slices(values, affine)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    for one in images:
        one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = study, series, frame
        one.PatientID, one.SOPInstanceUID = f"SECRET{number}", generate_uid()
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    return images, values.transpose(2, 1, 0)[..., None].astype(np.uint8), affine


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    """CTs on a disk: two with segmentations (one in RLE), one with structures, one with nothing in it."""
    root = tmp_path_factory.mktemp("disk")
    for number in range(4):
        images, marked, affine = patient(number)
        folder = root / str(number)
        folder.mkdir()
        if number < 2:
            segmentation(folder / "mask.dcm", images, np.ascontiguousarray(marked), ["Liver"])
        elif number == 2:
            drawn = structure_set(folder / "mask.dcm", [("Liver", outlines(marked))], affine, frame=frame_of(images))
            about_series(drawn, images[0])
        if number == 1:
            for one in images:
                one.compress(RLELossless, generate_instance_uid=False)
        for one in images:  # by UID: the first name makes the pseudonym
            one.save_as(folder / f"{one.SOPInstanceUID}.dcm", enforce_file_format=True)
    return root


def frame_of(images):
    return images[0].FrameOfReferenceUID


def outlines(marked):
    """Return the corners of the block in voxel indices, half a voxel around its centres, slice by slice."""
    found = []
    for place in np.flatnonzero(marked.any(axis=(1, 2, 3))):
        rows, columns = np.nonzero(marked[place, :, :, 0])
        left, right, top, bottom = columns.min() - 0.5, columns.max() + 0.5, rows.min() - 0.5, rows.max() + 0.5
        found.append(np.array([(left, top, place), (right, top, place), (right, bottom, place), (left, bottom, place)]))
    return found


def about_series(path, image):
    dataset = dcmread(path)
    (study,) = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence
    study.RTReferencedSeriesSequence[0].SeriesInstanceUID = image.SeriesInstanceUID
    dataset.StudyInstanceUID, dataset.PatientID = image.StudyInstanceUID, image.PatientID
    dataset.SeriesInstanceUID = generate_uid()
    dataset.save_as(path)


def camaudit(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["camaudit", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    output = capsys.readouterr()
    assert (stopped.value.code, output.err) == (0, "")
    return json.loads(output.out)


def labelled(manifest):
    """Say of each study whether the label is present, as a user does after a scan."""
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    with manifest.open("w", newline="") as file:
        table = csv.DictWriter(file, [*rows[0], "label"])
        table.writeheader()
        table.writerows({**row, "label": "liver" if row["mask:expert:liver"] else ""} for row in rows)
    return len(rows)


def configured(folder, archive):
    config = plant(folder, 1)
    content = yaml.safe_load(config.read_text())
    content["archive"] = archive
    content["model"]["labels"] = ["clear", "liver"]
    config.write_text(yaml.safe_dump(content))
    return config


def audited(config):
    folder = begin(config, "camaudit run audit.yaml")
    for shard in range(read_run(folder)[0].shards):
        work(folder, shard)
    finish(folder)
    audits = [audit for path in sorted((folder / "shards").glob("*.parquet")) for audit in read_shard(path)]
    return folder, {audit.study: audit for audit in audits}


def plain(audit):
    """Return what must not depend on where the files came from."""
    facts = {name: fact for name, fact in audit.facts.items() if name != CONTENT_FACT}
    # the random map follows from the names that a study is read from: a server's are others
    scores = tuple(entry for entry in audit.map_scores if entry.method != "random_map")
    return audit.model_copy(update={"source_sha256": "", "facts": facts, "map_scores": scores})


def test_an_audit_over_orthanc_is_the_audit_over_its_files(orthanc, disk, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CAMAUDIT_KEY", "k" * 40)
    for path in sorted(disk.rglob("*.dcm")):
        assert asked("POST", f"{orthanc}/instances", content=path.read_bytes()).json()["Status"] == "Success"
    url = f"{orthanc}/dicom-web"
    monkeypatch.setenv(AUTHORIZATION_VARIABLE, AUTHORIZATION)
    served, local = tmp_path / "served.csv", tmp_path / "local.csv"
    told = camaudit(monkeypatch, capsys, "scan", url, "--json", "--write-manifest", served)
    expected = camaudit(monkeypatch, capsys, "scan", disk, "--json", "--write-manifest", local)
    assert {**told, "written": []} == {**expected, "written": []}
    assert (told["files"], told["usable"], told["masks_used"]) == (43, 4, 3)
    assert labelled(served) == labelled(local) == 4

    remote = configured(
        tmp_path / "remote", {"path": "cache", "dicomweb": url, "manifest": str(served), "cache_gib": 6e-5}
    )
    folder, found = audited(remote)
    other_folder, wanted = audited(configured(tmp_path / "local", {"path": str(disk), "manifest": str(local)}))
    assert {name: plain(one) for name, one in found.items()} == {name: plain(one) for name, one in wanted.items()}
    for one in found.values():
        for finding in (finding for finding in one.map_scores if finding.map):
            for array, other in zip(load_map(folder, finding), load_map(other_folder, finding), strict=True):
                np.testing.assert_array_equal(array, other)
    assert [one.status for one in found.values()] == ["analysed"] * 4
    assert {one.facts[CONTENT_FACT] for one in found.values()} == {one.source_sha256 for one in wanted.values()}
    assert load_results(folder).flow.analysed == 4
    assert sum(len(one.map_scores) for one in found.values()) > 9

    exported = export_run(ExportRequest(folder, nifti=tmp_path / "nifti"))
    assert (exported.exported, exported.code) == (4, 0), "what is needed is fetched again"

    cached = list((tmp_path / "remote" / "cache").rglob("*.dcm"))
    assert 0 < len(cached) < 43, "not all of it fits into the cache"
    again = begin(remote, "camaudit run audit.yaml")
    assert read_run(again)[0].shards == 0, "what was answered is carried over, fetched or not"


def test_a_schedule_sees_what_arrives_at_the_server_and_a_receiver_gets_what_it_pushes(
    orthanc, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv(AUTHORIZATION_VARIABLE, AUTHORIZATION)
    server, (images, *_) = open_server(f"{orthanc}/dicom-web"), patient(77)
    with WorkerPool() as pool:
        before = server_listing(server, pool)
        for number, sliced in enumerate(images, 1):
            content = io.BytesIO()
            sliced.save_as(content, enforce_file_format=True)
            instance = asked("POST", f"{orthanc}/instances", content=content.getvalue()).json()
            assert server_listing(server, pool) == {**before, sliced.StudyInstanceUID: (number, 0, 0)}
    archive, filed = tmp_path / "archive", []
    with receiving(Receiver(archive, "CAMAUDIT", "127.0.0.1", 0, ("ORTHANC",)), filed.append) as port:
        modality = {"AET": "CAMAUDIT", "Host": "127.0.0.1", "Port": port}
        assert asked("PUT", f"{orthanc}/modalities/audit", json=modality).status_code == 200
        pushed = asked("POST", f"{orthanc}/modalities/audit/store", json=[instance["ParentStudy"]])
    assert (pushed.status_code, pushed.json()["FailedInstancesCount"]) == (200, 0)
    assert [str(brought) for brought in filed] == [f"{len(images)} stored"]
    kept = {read.SOPInstanceUID: read.pixel_array.tolist() for read in map(dcmread, archive.rglob("*.dcm"))}
    assert kept == {sliced.SOPInstanceUID: sliced.pixel_array.tolist() for sliced in images}
    monkeypatch.chdir(tmp_path)  # the scan's catalogue lies in the working folder
    told = camaudit(monkeypatch, capsys, "scan", archive, "--json")
    assert (told["files"], told["usable"]) == (len(images), 1)
