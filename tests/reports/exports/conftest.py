"""Two finished runs with their exports, made once: what is tested is what they left behind."""

import pytest
from pydicom import dcmread

from flows.commands.exporting.export import export_run
from flows.commands.exporting.request import ExportRequest
from flows.commands.render import render_again
from pipeline.findings.spec import read_members
from pipeline.findings.stored_audits import StoredAudits
from tests.reports.exports.exported_run import radiographs, volumes


class ExportedRun:
    """A finished run with its exports: ``pseudonyms``, the same ``again``, by ``names``, and as arrays."""

    def __init__(self, folder, make, ways):
        self.archive, self.register = folder / "archive", str(folder / "register")
        with pytest.MonkeyPatch.context() as patch:  # the session's own, whichever module asks first
            patch.setenv("CAMAUDIT_REGISTER", self.register)
            self.run = make(folder)
            self._export(folder, ways)
        self.audits = list(StoredAudits(self.run, read_members(self.run)))

    def _export(self, folder, ways):
        render_again(self.run, None)
        self.folders = {name: folder / name for name in ("pseudonyms", "again", "names", "nifti", "nrrd", "bids")}
        arrays = {name: self.folders[name] for name in ("nifti", "nrrd", "bids")}
        more = {"pseudonyms": arrays, "again": {}, "names": {"identified": True}}
        requests = {way: ExportRequest(self.run, dicom=self.folders[way], **more[way]) for way in ways}
        self.accounts = {way: export_run(request) for way, request in requests.items()}

    def objects(self, kind, name="pseudonyms"):
        read = [dcmread(path) for path in sorted(self.folders[name].rglob("*.dcm"))]
        return [dataset for dataset in read if dataset.SOPClassUID == kind]

    def path(self, study, part):
        return self.folders["pseudonyms"] / study / f"{part}.dcm"


@pytest.fixture(scope="session")
def ct(tmp_path_factory):
    return ExportedRun(tmp_path_factory.mktemp("volumes"), volumes, ("pseudonyms", "again", "names"))


@pytest.fixture(scope="session")
def film(tmp_path_factory):
    return ExportedRun(tmp_path_factory.mktemp("radiographs"), radiographs, ("pseudonyms",))


@pytest.fixture
def known(ct, monkeypatch):
    """The run over volumes where its register of looks is."""
    monkeypatch.setenv("CAMAUDIT_REGISTER", ct.register)
    return ct
