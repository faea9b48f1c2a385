"""A whole audit over an archive full of planted names, with failures in it: nothing of them may come out anywhere."""

import base64
import csv
import gzip
import logging
import re
import sys
import zipfile
from pathlib import Path

import numpy as np
import pikepdf
import pyarrow.parquet as pq
import pytest
import yaml
from prefect.client.orchestration import get_client
from pydicom import Dataset, dcmread
from pydicom.datadict import DicomDictionary

from flows import cli
from pipeline.findings.custody.ledger import read_ledger
from pipeline.findings.custody.recorded_files import recorded_files
from tests.pipeline.planted import plant, write_manifest
from tests.pipeline.studies.writers import SERIES, STUDY, grid, save, segmentation, slices

SECRET = "secret"
_TEXT = ("PN", "LO", "SH", "ST", "LT", "UT", "UC")
_GROUPS = (0x0008, 0x0010, 0x0018, 0x0020, 0x0032, 0x0038, 0x0040, 0x0088, 0x0400, 0x4000)
_BIRTH, _DAY = "19170304", "19231105"
_SERIAL = "918273645546372819"
"""Digits that no hash or measure will contain by chance: every planted UID ends in them."""


def plant_names(dataset: Dataset) -> int:
    """Put a secret into every attribute of free text that DICOM knows, dates, UIDs, overlays and private tags."""
    keywords = [
        keyword
        for tag, (kind, _, _, _, keyword) in DicomDictionary.items()
        if kind in _TEXT and tag >> 16 in _GROUPS and keyword and keyword != "RescaleType"
    ]
    for number, keyword in enumerate(keywords):
        setattr(dataset, keyword, f"SECRET{number}^NAME")
    dataset.PatientBirthDate = _BIRTH
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = _DAY
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{STUDY[:40]}.{_SERIAL}", f"{SERIES[:40]}.{_SERIAL}"
    dataset.FrameOfReferenceUID = f"2.25.{_SERIAL}"
    block = dataset.private_block(0x0009, "SECRET CREATOR", create=True)
    block.add_new(0x01, "LO", "SECRET PRIVATE")
    block.add_new(0x02, "OB", b"SECRET BYTES")
    dataset.add_new(0x60001500, "LO", "SECRET OVERLAY")
    return len(keywords)


def write_patient(archive: Path) -> list[dict[str, str]]:
    """Write Mr Secret's studies: a sound one, one cut short, one whose fault a library quotes, one that is no image."""
    values = np.zeros((24, 22, 10), np.int16)
    values[6:12, 8:14, 3:7] = 1
    images = slices(values, grid(np.diag([1, 1, 1]), (1.0, 1.5, 2.0), (0, 0, 0)))
    assert plant_names(images[0]) > 300
    for image in images[1:]:
        plant_names(image)
    images[0].RescaleSlope = "0.125000"
    folder = save(archive / "SECRETPATIENT" / "SECRETSTUDY", images)
    masks = np.ascontiguousarray(values.transpose(2, 1, 0)[..., None]).astype(np.uint8)
    read = [dcmread(path) for path in sorted(folder.iterdir())]
    segmentation(archive / "SECRETPATIENT" / "SECRETMASK.dcm", read, masks, ["SECRET LABEL"])
    short = save(archive / "SECRETPATIENT" / "SECRETSHORT", images)
    one = short / "SECRET003.dcm"
    one.write_bytes(one.read_bytes()[:-100])
    quoted = save(archive / "SECRETPATIENT" / "SECRETQUOTED", images[:1]) / "SECRET000.dcm"
    quoted.write_bytes(quoted.read_bytes().replace(b"0.125000", b"SECRET00"))  # float() quotes what it cannot convert
    (archive / "SECRETPATIENT" / "SECRET.dcm").write_bytes(b"SECRET" * 100)
    row = {"patient": "SECRET^PETER", "mask:anna": "", "mask:ben": "", "site": "a"}
    names = {"SECRET1": "SECRETSTUDY", "SECRET2": "SECRETSHORT", "SECRET3": "SECRET.dcm", "SECRET4": "SECRETGONE.nii",
             "SECRET5": "SECRETQUOTED"}  # fmt: skip
    rows = [{**row, "study": study, "image": f"SECRETPATIENT/{name}", "label": ""} for study, name in names.items()]
    rows[0] |= {"mask:anna": "SECRETPATIENT/SECRETMASK.dcm", "label": "lesion"}
    return rows


def unpacked(path: Path) -> str:
    """Return all that a file says, compressed or not."""
    parts = [path.read_bytes()]
    if path.suffix == ".npz":
        with zipfile.ZipFile(path) as file:
            parts += [name.encode() + file.read(name) for name in file.namelist()]
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        parts += [str(table.to_pylist()).encode(), str(table.schema).encode()]
    if path.suffix == ".html":
        blocks = re.findall(rb'id="case-\d+">([^<]+)<', path.read_bytes())
        parts += [gzip.decompress(base64.b64decode(block)) for block in blocks]
    if path.suffix == ".pdf":
        with pikepdf.open(path) as document:
            parts += [
                str(document.docinfo).encode(),
                *(one.get_file().read_bytes() for one in document.attachments.values()),
            ]
            streams = (one for one in document.objects if isinstance(one, pikepdf.Stream))
            parts += [one.read_bytes() for one in streams if one.get("/Subtype") != "/Image"]
    return b"\n".join(parts).decode("latin-1").lower()


def found_in(text: str) -> list[str]:
    text = text.lower()
    return [name for name in (SECRET, _BIRTH, _DAY, _SERIAL) if name in text]


def told_to_prefect() -> str:
    """Return every flow run, task run and log record that the server holds."""
    with get_client(sync_client=True) as client:
        held = [*client.read_flow_runs(), *client.read_task_runs(), *client.read_artifacts()]
        logs = client.request("POST", "/logs/filter", json={"limit": 200}).json()
    return "\n".join([*(one.model_dump_json() for one in held), *map(str, logs)])


def render_page_soundly(monkeypatch, run: Path) -> None:
    """Write a run's page for a browser into its folder, which stays sound: the ledger tells of it."""
    for words in (["report", str(run), "--html"], ["verify", str(run)]):
        monkeypatch.setattr(sys, "argv", ["camaudit", *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert stopped.value.code == 0
    assert "report.html" in recorded_files(read_ledger(run / "ledger.jsonl"))
    assert list(run.glob("cases/*.volume.npz"))


@pytest.mark.usefixtures("prefect")
def test_nothing_that_identifies_a_patient_comes_out(tmp_path, monkeypatch, capfd, caplog):
    config = plant(tmp_path, 3)
    with (tmp_path / "archive" / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    write_manifest(tmp_path / "archive", [*rows, *write_patient(tmp_path / "archive")])
    content = yaml.safe_load(config.read_text())
    content["report"]["cases"] = "all"
    content["report"]["volumes"] = "crops"
    content.setdefault("run", {})["cache"] = "runs/prepared"
    config.write_text(yaml.safe_dump(content))
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(sys, "argv", ["camaudit", "run", str(config)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 0
    output = capfd.readouterr()
    assert "8 studies = 4 analysed + 0 excluded + 4 failed" in output.out
    render_page_soundly(monkeypatch, next((tmp_path / "runs").rglob("results.json")).parent)

    # private/ tells a run where its studies lie, mode 0600: it is left out of a folder that is handed on
    files = [path for path in (tmp_path / "runs").rglob("*") if path.is_file() and path.parent.name != "private"]
    assert {path.suffix for path in files} >= {".pdf", ".html", ".json", ".jsonl", ".csv", ".npz", ".parquet"}
    identity = next(iter((tmp_path / "runs").rglob("cases/*.npz"))).name.partition(".")[0].lower()
    told = {path.suffix for path in files if identity in unpacked(path)}
    assert told >= {".pdf", ".html", ".json", ".csv", ".npz", ".parquet"}, "what is searched must be legible"
    assert {
        str(path): found_in(path.name + unpacked(path)) for path in files if found_in(path.name + unpacked(path))
    } == {}
    assert found_in(output.out + output.err) == []
    assert found_in(caplog.text) == []
    server = told_to_prefect()
    assert "audit-planted" in server
    assert found_in(server) == []
