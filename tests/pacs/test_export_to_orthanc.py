"""The liver study's findings in a real Orthanc, beside its images: stored by either way, fetched again, equal."""

import io
import os
import shutil

import pytest
import yaml
from pydicom import dcmread

from flows.commands.exporting.export import export_run
from flows.commands.exporting.request import ExportRequest
from flows.commands.render import render_again
from pipeline.studies.dicomweb.client import AUTHORIZATION_VARIABLE
from tests.pacs.orthanc import AUTHORIZATION, TITLE, asked, free_port, running_orthanc
from tests.pipeline.planted import plant, write_manifest
from tests.reports.exports.exported_run import audited

pytestmark = pytest.mark.pacs


@pytest.fixture(scope="module")
def liver(data, tmp_path_factory):
    """A finished run over the liver study: three slices of a CT, and one expert's segmentation of the liver."""
    folder = tmp_path_factory.mktemp("liver")
    config = plant(folder, 1)
    content = yaml.safe_load(config.read_text())
    content["model"]["labels"] = ["clear", "liver"]
    content["prepare"] = [
        {"_target_": "ScaleIntensityRange", "a_min": -100, "a_max": 300, "b_min": 0, "b_max": 1, "clip": True},
        {"_target_": "Resize", "spatial_size": [64, 64, 4]},
    ]
    config.write_text(yaml.safe_dump(content))
    images = folder / "archive" / "ct"
    images.mkdir()
    for number in (1, 2, 3):
        shutil.copy(data / "ct-liver-dicom" / f"0{number}.dcm", images)
    shutil.copy(data / "ct-liver-dicom" / "liver.dcm", folder / "archive")
    row = {"study": "ct", "patient": "p", "image": "ct", "mask:expert": "liver.dcm", "label": "liver"}
    write_manifest(folder / "archive", [row])
    run = audited(config)
    render_again(run, None)
    return run, images, os.environ["CAMAUDIT_REGISTER"]


@pytest.fixture(scope="module")
def pacs(tmp_path_factory):
    port = free_port()
    with running_orthanc(tmp_path_factory.mktemp("orthanc"), port) as url:
        yield url, f"127.0.0.1:{port},{TITLE}"


@pytest.fixture
def home(liver, monkeypatch):
    """Let the run be verified: its register is the module's."""
    monkeypatch.setenv("CAMAUDIT_REGISTER", liver[2])
    monkeypatch.setenv(AUTHORIZATION_VARIABLE, AUTHORIZATION)
    return liver[:2]


def stored(url):
    """Return every object that the archive holds by its SOP instance UID."""
    answers = [asked("GET", f"{url}/instances/{name}/file").content for name in asked("GET", f"{url}/instances").json()]
    objects = [dcmread(io.BytesIO(content)) for content in answers]
    return {item.SOPInstanceUID: item for item in objects}


@pytest.mark.parametrize("way", ["send", "stow"])
def test_the_liver_studys_objects_come_back_equal(way, home, pacs, tmp_path):
    (run, images), (url, provider) = home, pacs
    for name in asked("GET", f"{url}/studies").json():
        asked("DELETE", f"{url}/studies/{name}")
    for path in images.iterdir():
        assert asked("POST", f"{url}/instances", content=path.read_bytes()).json()["Status"] == "Success"
    (source,) = asked("GET", f"{url}/studies").json()
    before = {dcmread(path).SOPInstanceUID for path in images.iterdir()}
    where = {"send": provider} if way == "send" else {"stow": f"{url}/dicom-web"}
    account = export_run(ExportRequest(run, dicom=tmp_path / "out", identified=True, **where))
    written = {dcmread(path).SOPInstanceUID: dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")}
    assert (account.code, account.sent, account.not_sent) == (0, len(written), [])
    assert account.exported == 1
    assert len(written) >= 6
    fetched = {uid: item for uid, item in stored(url).items() if uid not in before}
    assert fetched.keys() == written.keys()
    for uid, item in written.items():
        assert fetched[uid] == item
    assert len(asked("GET", f"{url}/studies").json()) == 2, "the patient's own study, and that of the report"
    beside = asked("GET", f"{url}/studies/{source}").json()["Series"]
    assert len(beside) == len(written) - 1 + 1, "each object is a series of its own beside the images"
