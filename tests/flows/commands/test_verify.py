"""``camaudit verify`` and ``camaudit report``: sound is 0, each kind of failure its own code, nothing a traceback."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pikepdf
import pytest

from flows.commands.verify import verified, verified_with_archive
from pipeline.findings.custody.site_key import load_site_key
from pipeline.verify.failure import FailureKind
from pipeline.verify.verify import verify_run
from reports.page.read_back import read_report
from reports.viewer import build
from tests.falsify.finished import copy_of, finished_world
from tests.falsify.world import edit_json, flip
from tests.pipeline.planted import plant, write_manifest, write_study
from tests.pipeline.steps import begin, lock, work

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with finished_world(tmp_path_factory.mktemp("verify")) as made:
        yield made


@pytest.fixture
def copy(world, tmp_path):
    with copy_of(world, tmp_path) as made:
        yield made


def codes(path, **options):
    return [failure.kind.code for failure in verified(path, options.get("key")).failures]


def quick_codes(run, name):
    """Verify without rendering the report again, but where the report itself is at stake."""
    return codes(run) if name == "report.pdf" else [failure.kind.code for failure in verify_run(run).failures]


def test_a_finished_run_is_sound_and_so_is_one_that_refers_to_its_maps(copy, camaudit):
    for run in (copy.run, copy.other):
        code, out, err = camaudit("verify", run)
        assert (code, err) == (0, "")
        assert out.rstrip().endswith(f"{run}: sound")
        assert f"key: {load_site_key().fingerprint}, this site's own" in out


def test_it_needs_neither_torch_nor_the_archive_nor_the_key(copy, tmp_path):
    shutil.rmtree(copy.root / "audit" / "archive")
    shutil.rmtree(copy.run / "private")
    words = (
        "import socket, sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'monai', 'prefect', 'captum'): raise ImportError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "def refuse(*given): raise AssertionError('it must not ask the network')\n"
        "socket.socket.connect = refuse\n"
        f"sys.argv = ['camaudit', 'verify', {str(copy.run)!r}]\n"
        "from flows.cli import main\n"
        "main()"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "CAMAUDIT_STATE": str(tmp_path / "nobody")}
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=False, env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert "this site has no key of its own" in done.stdout
    assert "private/sources.json is not here" in done.stdout
    assert not (tmp_path / "nobody").exists(), "verifying makes no key"


def amended(copy):
    copy.change(overlap={"threshold": 0.4})
    lock(copy.config, amend="Otsu's threshold was a mistake")


def opened(copy):
    lock(copy.config, cohort_open=True)
    archive = copy.root / "audit" / "archive"
    write_manifest(archive, [write_study(archive, number, number % 3 != 2) for number in range(8)])


def damaged(copy):
    archive = copy.root / "audit" / "archive"
    (archive / "study00.nii.gz").write_bytes(b"no image")
    (archive / "study01_anna.nii.gz").write_bytes(b"no mask")


OTHER_RUNS = {
    "nothing locked": lambda copy: copy.config.with_name("audit.lock.yaml").unlink(),
    "amended": amended,
    "studies added": opened,
    "files damaged": damaged,
    "a method more": lambda copy: copy.change(explain={"methods": ["gradcam", "scorecam", "hirescam"]}),
    "nothing new": lambda copy: None,
}


@pytest.mark.parametrize("name", OTHER_RUNS)
def test_runs_of_every_kind_are_sound_also_against_their_archive(copy, name):
    OTHER_RUNS[name](copy)
    run = copy.audit()
    assert verified_with_archive(run, None, deep=True, recompute=1).failures == ()


def test_a_measured_run_is_sound(copy, camaudit):
    assert camaudit("measure", copy.audit(), "--set", "overlap.threshold=0.3", "--json")[0] == 0
    assert len(copy.runs) == 4
    assert verified_with_archive(copy.runs[-1], None, deep=True, recompute=1).failures == ()


def files_of(run):
    return sorted(path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())


@pytest.mark.parametrize("place", [0, 0.37, 1])
def test_every_flipped_bit_is_noticed(copy, place):
    for name in files_of(copy.run):
        sound = (copy.run / name).read_bytes()
        flip(copy.run / name, place)
        assert quick_codes(copy.run, name), name
        (copy.run / name).write_bytes(sound)
    assert codes(copy.run) == []


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\0" * 64, b"[" * 100_000, b"{}", b"null", b'{"schema_version": 2}', b"\xff\xfe%PDF-1.7\n1 0 obj", b"a,b\n"],
    ids=["empty", "zeros", "deep", "object", "null", "version", "pdf", "csv"],
)
def test_garbage_in_the_place_of_any_file_is_a_failure_and_no_traceback(copy, garbage):
    for name in files_of(copy.run):
        sound = (copy.run / name).read_bytes()
        (copy.run / name).write_bytes(garbage)
        assert quick_codes(copy.run, name), name
        (copy.run / name).write_bytes(sound)


def test_what_is_not_readable_is_said_to_be_so(copy):
    for name in ("run.json", "cohort.json", "results.json"):
        sound = (copy.run / name).read_bytes()
        (copy.run / name).write_bytes(b"[")
        assert FailureKind.UNREADABLE.code in quick_codes(copy.run, name), name
        (copy.run / name).write_bytes(sound)


def test_a_report_alone_prints_the_hash_of_all_that_it_carries(copy, camaudit, tmp_path):
    alone = tmp_path / "alone.pdf"
    with pikepdf.open(copy.run / "report.pdf") as pdf:
        table = pdf.attachments["per_study.csv"].get_file().read_bytes()
        pdf.attachments["per_study.csv"] = pikepdf.AttachedFileSpec(pdf, table + b"\n", filename="per_study.csv")
        pdf.save(alone)
    code, out, _ = camaudit("verify", alone)
    assert code
    assert "the pages do not print the hash of the per_study.csv that is carried" in out


def test_the_first_code_of_the_table_ends_the_command_and_all_failures_are_said(copy, camaudit):
    flip(copy.run / "per_study.csv")
    (copy.run / "a name that nobody should print in a report").write_text("")
    code, out, _ = camaudit("verify", copy.run)
    assert code == FailureKind.FILE_ALTERED.code
    assert "FAILED 30 file_altered: per_study.csv is not the file that the run wrote" in out
    assert "FAILED 32 file_unknown" in out
    code, out, _ = camaudit("verify", copy.run, "--json")
    said = json.loads(out)
    assert (code, said["code"], said["sound"]) == (30, 30, False)
    assert [failure["code"] for failure in said["failures"]] == sorted(f["code"] for f in said["failures"])
    assert said["key"] == {"fingerprint": load_site_key().fingerprint, "own": True}


def test_a_run_whose_end_is_not_in_its_ledger_is_unfinished(tmp_path):
    folder = begin(plant(tmp_path, 2))
    work(folder, 0)
    (failure,) = verify_run(folder).failures
    assert (failure.kind, "tells of no results" in failure.sentence) == (FailureKind.UNFINISHED, True)


def test_another_key_than_the_wanted_one(copy, camaudit):
    own = load_site_key().fingerprint
    assert camaudit("verify", copy.run, "--key", own.lower().replace(" ", ""))[0] == 0
    code, out, _ = camaudit("verify", copy.run, "--key", "0" * 32)
    assert code == FailureKind.OTHER_KEY.code
    assert f"signed with the key {own}, not with 0000" in out
    code, _, err = camaudit("verify", copy.run, "--key", "21FE")
    assert (code, "a fingerprint has 32 hex digits" in err) == (2, True)


@pytest.mark.parametrize("path", ["nowhere", "archive", "audit.yaml"])
def test_what_is_no_run_is_bad_input_or_no_report(copy, camaudit, path):
    code, out, err = camaudit("verify", copy.root / "audit" / path)
    assert code == (FailureKind.PDF_UNREADABLE.code if path == "audit.yaml" else 2)
    assert "Traceback" not in out + err


def test_a_report_without_its_folder_says_what_could_not_be_checked(copy, camaudit, tmp_path):
    alone = tmp_path / "alone.pdf"
    shutil.copy(copy.run / "report.pdf", alone)
    code, out, _ = camaudit("verify", alone)
    assert code == 0
    assert "nothing is wrong in what could be checked without the run's folder" in out
    assert "the ledger and its signatures are in the run's folder" in out
    assert load_site_key().fingerprint in out
    assert camaudit("verify", alone, "--key", "0" * 32)[0] == FailureKind.OTHER_KEY.code
    assert camaudit("verify", alone, "--deep")[0] == 2


def test_a_run_that_does_not_hold_is_rendered_as_altered_only(copy, camaudit, tmp_path):
    own = (copy.run / "report.pdf").read_bytes()
    edit_json(copy.run / "results.json", lambda results: results["verdicts"][0].update(answer="MET", reason="so be it"))
    code, out, err = camaudit("report", copy.run)
    assert code == FailureKind.FILE_ALTERED.code
    assert "ALTERED: results.json is not the file that the run wrote" in err
    path = Path(out.strip())
    assert path == copy.run / "report-altered.pdf"
    report = read_report(path)
    assert all("ALTERED" in page for page in report.pages)
    assert "results.jsonisnotthefilethattherunwrote" in report.pages[0]
    assert (copy.run / "report.pdf").read_bytes() == own, "the run's own report stays as it was"
    assert not any("ALTERED" in page for page in read_report(copy.other / "report.pdf").pages)


def test_both_stamps_stand_on_every_page_of_an_altered_exploratory_run(copy, camaudit):
    flip(copy.other / "per_study.csv")
    report = read_report(Path(camaudit("report", copy.other)[1].strip()))
    assert all("ALTERED" in page and "EXPLORATORY" in page for page in report.pages)


def test_a_report_that_is_lost_or_damaged_is_rendered_again_and_holds(copy, camaudit):
    flip(copy.run / "report.pdf")
    assert codes(copy.run)[0] == FailureKind.FILE_ALTERED.code
    assert camaudit("report", copy.run)[0] == 0
    assert codes(copy.run) == []


@pytest.mark.parametrize("untold", [1, 2])  # the attestation; the report as well
def test_what_the_ledger_does_not_know_yet_is_told_to_it(copy, camaudit, untold):
    path = copy.run / "ledger.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-untold]))
    assert codes(copy.run) == [FailureKind.FILE_UNKNOWN.code] * untold
    assert camaudit("report", copy.run)[0] == 0
    assert codes(copy.run) == []


def test_the_page_and_its_whole_volumes_are_held_by_the_record(copy, camaudit, monkeypatch):
    monkeypatch.setattr(build, "CROP_VOXELS", 1)
    copy.change(report={"volumes": "whole"})
    run = copy.audit()
    code, out, err = camaudit("report", run, "--html")
    assert (code, err) == (0, "")
    case, *_ = files = sorted((run / "report-cases").iterdir())
    assert out.splitlines()[0] == str(run / "report.html")
    assert f"{len(files)} whole volumes in {run / 'report-cases'}" in out
    assert codes(run) == []
    sound = case.read_bytes()
    flip(case)
    (failure,) = verify_run(run).failures
    assert (failure.kind, failure.file) == (FailureKind.FILE_ALTERED, f"report-cases/{case.name}")
    assert camaudit("report", run, "--html")[0] == 0, "it is made again with its page"
    assert (case.read_bytes(), codes(run)) == (sound, [])
    case.unlink()
    assert codes(run) == [FailureKind.FILE_MISSING.code]
    (run / "report-cases" / "S-OTHER.case.html").write_text("")
    assert codes(run) == [FailureKind.FILE_MISSING.code, FailureKind.FILE_UNKNOWN.code]


def test_the_archive_and_the_model_prove_the_run_again(copy, camaudit):
    code, out, _ = camaudit("verify", copy.run, "--deep", "--recompute", "2")
    assert (code, "not checked" in out) == (0, False)


def test_a_file_that_was_replaced_since_is_named_by_deep(world, tmp_path, camaudit):
    with copy_of(world, tmp_path) as copy:
        private = copy.run / "private" / "sources.json"  # where the studies lie is where the first world lies
        manifest = world.root / "audit" / "archive" / "study00.nii.gz"
        assert str(manifest.parent.parent) in private.read_text()
        sound = manifest.read_bytes()
        flip(manifest)
        try:
            code, out, _ = camaudit("verify", copy.run, "--deep")
        finally:
            manifest.write_bytes(sound)
    assert code == FailureKind.ARCHIVE.code
    assert len(re.findall("FAILED 80 archive: the files of study S-", out)) == 1


def test_every_kind_stands_in_the_documents_and_in_the_help_with_its_code(camaudit):
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (.+) \|$", (ROOT / "docs" / "trust.md").read_text(), re.MULTILINE)
    assert rows == [(str(kind.code), kind.label, kind.meaning) for kind in FailureKind]
    assert [kind.code for kind in FailureKind] == sorted({kind.code for kind in FailureKind})
    shown = " ".join(camaudit("verify", "--help")[1].split())
    assert all(f"{kind.code}: " in shown for kind in FailureKind)
