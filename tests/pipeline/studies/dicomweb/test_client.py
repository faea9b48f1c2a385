"""Archives on a DICOMweb server: scanned, fetched, read as from a disk, with everything that may go wrong between."""

import json
import logging
import shutil
import ssl
import stat
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml
from pydicom import dcmread
from pydicom.uid import generate_uid

from flows import cli
from pipeline.config import AuditConfig
from pipeline.config_file import load_config
from pipeline.errors import ArchiveError, ConfigError, Reason, StudyError
from pipeline.files import written
from pipeline.findings.shards import read_shard
from pipeline.studies.dicomweb import cache as dicomweb_cache
from pipeline.studies.dicomweb import client as dicomweb
from pipeline.studies.dicomweb.cache import Cache, instance_names, read_fetched, served_digest
from pipeline.studies.dicomweb.client import DicomWebServer, RetryPolicy, open_server
from pipeline.studies.dicomweb.multipart import IncompleteError, only_part
from pipeline.studies.dicomweb.scan import scan_server, server_root
from pipeline.studies.index.catalogue import open_catalogue
from pipeline.studies.index.headers import describe, describe_json
from pipeline.studies.index.scan import scan, summary
from pipeline.studies.list_studies import list_studies
from pipeline.studies.listing.write_manifest import write_manifest
from pipeline.studies.pseudonyms import Pseudonyms
from pipeline.studies.read_study import CONTENT_FACT, read_study, source_digest
from pipeline.studies.untrusted.workers import DECODING, WorkerPool, isolated_map
from pipeline.walk.reading import read_studies
from pipeline.walk.sources import find_sources
from tests.pipeline.planted import plant
from tests.pipeline.steps import begin, open_auditor, read_run, work
from tests.pipeline.studies.dicomweb.web import (
    BOUNDARY,
    cut,
    described,
    hung_up,
    multipart,
    serving,
    status,
    stored,
    unclosed,
)
from tests.pipeline.studies.readers.masks.test_rtstruct import circle, structure_set
from tests.pipeline.studies.writers import OBLIQUE, dicom, grid, projection, segmentation, slices

NAMES = Pseudonyms(b"0123456789abcdef0123456789abcdef")
AFFINE = grid(OBLIQUE, (0.7, 0.9, 2.5), (40.0, -12.5, 100.25))
SHAPE = (18, 15, 6)
HASTY = RetryPolicy(pause=0.0, longest_pause=0.0, silence=600.0)
MIB = 1024**2


def series(study=None, **attributes):
    """Return the slices of a series of noise in a study of its own."""
    made = slices(np.random.default_rng(3).integers(-900, 900, SHAPE).astype(np.int16), AFFINE)
    study, uid = study or generate_uid(), generate_uid()
    for one in made:
        one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID = study, uid, generate_uid()
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        for name, value in attributes.items():
            setattr(one, name, value)
    return made


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    """A CT with a segmentation, the same CT with structures in another study, a radiograph, a report."""
    folder = tmp_path_factory.mktemp("objects")
    marked = np.zeros((SHAPE[2], SHAPE[1], SHAPE[0], 1), np.uint8)
    marked[2, 4:9, 5:11] = 1
    first, second = series(), series(FrameOfReferenceUID=generate_uid())
    mask = dcmread(segmentation(folder / "seg.dcm", first, marked, ["Liver"]))
    outlines = structure_set(
        folder / "rt.dcm", [("Kidney", [circle(8, 7, 3, 4.2)])], AFFINE, frame=second[0].FrameOfReferenceUID
    )
    structures = dcmread(outlines)
    structures.StudyInstanceUID = second[0].StudyInstanceUID
    (drawn_in,) = structures.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence
    drawn_in.RTReferencedSeriesSequence[0].SeriesInstanceUID = second[0].SeriesInstanceUID
    flat = dcmread(
        projection(folder / "cr.dcm", np.arange(70, dtype=np.uint16).reshape(7, 10), PixelSpacing=[0.5, 0.5])
    )
    flat.StudyInstanceUID, flat.SeriesInstanceUID = generate_uid(), generate_uid()
    report = dicom("1.2.840.10008.5.1.4.1.1.88.11", np.zeros((1, 1), np.uint8))
    report.StudyInstanceUID, report.SeriesInstanceUID = flat.StudyInstanceUID, generate_uid()
    return [*first, mask, *second, structures, flat, report]


@pytest.fixture
def web(objects):
    with serving(*objects) as server:
        yield server


@pytest.fixture
def lone(objects):
    """A server with the radiograph alone: one request is one study."""
    with serving(objects[-2]) as server:
        yield server


def hasty(web, **changes):
    return DicomWebServer(web.url, patience=replace(HASTY, **changes))


def catalogued(server, folder, workers=0):
    """Scan a server; return the summary, the files' outcomes, and the manifest's path (None without images)."""
    root, manifest = server_root(server), folder / "m.csv"
    with open_catalogue(folder / "index.sqlite", root) as catalogue:
        scan_server(server, catalogue, workers=workers, on_files=lambda _: None)
        found = summary(root, catalogue)
        rows = {row["path"]: row["outcome"] for row in catalogue.select("SELECT path, outcome FROM files")}
        if found.usable:
            write_manifest(root, catalogue, manifest, NAMES, written)
    assert found.files == len(rows) == found.used + sum(found.excluded.values())
    return found, rows, manifest


def opened(web, folder, limit=64 * MIB, **changes):
    """Scan, and return the cache and the rows of the manifest."""
    server = hasty(web, **changes)
    _, _, manifest = catalogued(server, folder)
    (folder / "cache").mkdir(exist_ok=True)
    return Cache(server, folder / "cache", limit), list_studies(folder / "cache", manifest)


def read_all(cache, rows):
    def read(handed):
        return isolated_map(partial(_read, folder=cache.folder), handed, workers=0, limits=DECODING)

    return list(cache.through(rows, read))


def _read(row, folder):
    named = partial(instance_names, folder=folder)
    return read_fetched(row, partial(read_study, pseudonyms=NAMES, named=named))


def place(one):
    return f"studies/{one.StudyInstanceUID}/series/{one.SeriesInstanceUID}/instances/{one.SOPInstanceUID}"


def fetched(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def nothing_told(text, web):
    """Assert that a text tells no UID and no path of the server's."""
    parts = {part for name in web.objects for part in name.split("/") if "." in part}
    assert not [part for part in parts if part in text]
    assert "dicom-web" not in text


# Scanning.


@pytest.mark.parametrize("workers", [0, 2])
def test_a_server_is_scanned_and_read_as_the_same_files_on_a_disk(web, objects, tmp_path, workers):
    root = tmp_path / "disk"
    for one in objects:
        folder = root / one.StudyInstanceUID / one.SeriesInstanceUID
        folder.mkdir(parents=True, exist_ok=True)
        one.save_as(folder / f"{one.SOPInstanceUID}.dcm", enforce_file_format=True)
    with open_catalogue(tmp_path / "disk.sqlite", root) as catalogue:
        scan(root, catalogue, workers=0, on_files=lambda _: None)
        write_manifest(root, catalogue, tmp_path / "disk.csv", NAMES, written)
        on_disk = summary(root, catalogue)
    found, _, manifest = catalogued(hasty(web), tmp_path, workers)
    assert found == on_disk
    assert (found.usable, found.masks_used, found.excluded) == (3, 2, {"not_an_image": 1})
    (tmp_path / "cache").mkdir()
    cache = Cache(hasty(web), tmp_path / "cache", 64 * MIB)
    rows, local = list_studies(tmp_path / "cache", manifest), list_studies(root, tmp_path / "disk.csv")
    assert [row.study for row in rows] == [row.study for row in local]
    before = [served_digest(row, tmp_path / "cache") for row in rows]
    assert fetched(tmp_path / "cache") == []
    studies = read_all(cache, rows)
    assert {mask.label for study in studies for mask in study.masks} == {"liver", "kidney"}
    for study, row in zip(studies, local, strict=True):
        expected = read_study(row, NAMES)
        np.testing.assert_array_equal(study.image.array, expected.image.array)
        np.testing.assert_array_equal(study.image.geometry.affine, expected.image.geometry.affine)
        for one, other in zip(study.masks, expected.masks, strict=True):
            assert one.array.any()
            np.testing.assert_array_equal(one.array, other.array)
        assert study.header == {**expected.header, CONTENT_FACT: source_digest(row)}
        assert study.header[CONTENT_FACT] == expected.source_sha256
        assert (study.identity, study.patient) == (expected.identity, expected.patient)
    assert [served_digest(row, tmp_path / "cache") for row in rows] == before
    assert [study.source_sha256 for study in studies] == before
    assert len({*before}) == 3
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in (tmp_path / "cache").rglob("*.dcm"))
    asked = len(web.asked)
    assert [study.header for study in read_all(cache, rows)] == [study.header for study in studies]
    assert len(web.asked) == asked, "what was fetched is not fetched again"


def test_metadata_tells_what_the_file_tells(objects, tmp_path):
    for one in objects:
        (tmp_path / "one.dcm").write_bytes(stored(one))
        with (tmp_path / "one.dcm").open("rb") as file:
            from_file = describe(file, (tmp_path / "one.dcm").stat().st_size)
        from_json = describe_json(described(one))
        assert {name for name, value in from_json.items() if value} <= from_file.keys()
        for name, value in from_file.items():
            if name != "transfer_syntax":
                assert numbers(from_json[name]) == numbers(value), name


def numbers(value):
    try:
        return [float(part) for part in str(value).split("\\")]
    except ValueError:
        return value


@pytest.mark.parametrize("knows_pages", [True, False])
def test_all_pages_are_asked_for(web, tmp_path, monkeypatch, knows_pages):
    monkeypatch.setattr(dicomweb, "PAGE", 2)
    web.knows_pages = knows_pages
    found, _, _ = catalogued(hasty(web), tmp_path)
    assert found.studies == 3
    assert web.asked.count("studies") == (3 if knows_pages else 2)


def test_a_second_scan_finds_what_came_and_what_went(web, tmp_path):
    catalogued(hasty(web), tmp_path)
    gone = next(iter(web.objects.values())).StudyInstanceUID
    web.objects = {name: one for name, one in web.objects.items() if one.StudyInstanceUID != gone}
    web.store(*series())
    found, rows, _ = catalogued(hasty(web), tmp_path)
    assert found.usable == 3
    assert not any(path.startswith(gone) for path in rows)


@pytest.mark.parametrize("uid", ["../../x", "..", "1.2/3", "1" * 65, "1.2.3?x", "1..2", "", "1.2\n", "\u0661"])
def test_what_is_no_uid_gets_into_no_path_and_no_url(web, tmp_path, uid):
    one = next(iter(web.objects.values()))
    bad = {"0020000E": {"vr": "UI", "Value": [one.SeriesInstanceUID]}, "00080018": {"vr": "UI", "Value": [uid]}}
    study = place(one).split("/series")[0]
    web.faults["studies"].append(
        lambda handler, _: handler.send(
            200,
            json.dumps([{"0020000D": {"vr": "UI", "Value": [name]}} for name in (uid, one.StudyInstanceUID)]).encode(),
        )
    )
    web.faults[f"{study}/metadata"].append(
        lambda handler, body: handler.send(200, json.dumps([bad, *json.loads(body)]).encode())
    )
    web.knows_pages = False
    _, rows, manifest = catalogued(hasty(web), tmp_path)
    invalid = [path for path in rows if "invalid/" in path]
    assert len(invalid) == 2
    assert {rows[path] for path in invalid} == {"not_readable"}
    assert not any(uid in path.split("/") for path in rows if uid)
    assert all(part.replace(".", "").isalnum() for name in web.asked for part in name.split("/"))
    assert manifest.exists()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"{}", "not_readable"),
        (b"[" * 200_000, "not_readable"),
        (b"[1]", "not_readable"),
        (b"<html>", "not_readable"),
        (b'[{"0020000E": 3}]', "not_readable"),
        (b" " * 3000, "too_large"),
    ],
)
def test_metadata_that_is_none_excludes_its_study_alone(web, tmp_path, monkeypatch, answer, reason):
    one = next(iter(web.objects.values()))
    if reason == "too_large":
        monkeypatch.setattr(dicomweb, "METADATA_CAP", 2000)
        web.objects = {name: other for name, other in web.objects.items() if other is one}
    web.faults[f"studies/{one.StudyInstanceUID}/metadata"].append(lambda handler, _: handler.send(200, answer))
    found, rows, _ = catalogued(hasty(web), tmp_path)
    assert rows[one.StudyInstanceUID] == reason
    assert found.usable == (0 if reason == "too_large" else 2)


def test_of_an_instance_that_is_named_twice_the_first_counts(lone, tmp_path):
    one = next(iter(lone.objects.values()))

    def twice(handler, body):
        (item,) = json.loads(body)
        handler.send(200, json.dumps([item, {**item, "00280010": {"vr": "US", "Value": [0]}}]).encode())

    lone.faults[f"studies/{one.StudyInstanceUID}/metadata"].append(twice)
    found, rows, _ = catalogued(hasty(lone), tmp_path)
    assert (len(rows), found.usable) == (1, 1)


def test_an_instance_with_odd_attributes_is_excluded_alone(web, tmp_path):
    one = next(iter(web.objects.values()))

    def odd(handler, body):
        items = json.loads(body)
        items[0]["00280010"] = {"vr": "US", "Value": ["many"]}
        handler.send(200, json.dumps(items).encode())

    web.faults[f"studies/{one.StudyInstanceUID}/metadata"].append(odd)
    _, rows, _ = catalogued(hasty(web), tmp_path)
    assert [outcome for path, outcome in rows.items() if path.startswith(one.StudyInstanceUID)].count(
        "not_readable"
    ) == 1


# Fetching.


@pytest.mark.parametrize(
    "fault",
    [status(503), status(429, Retry_After="7"), status(500), cut, unclosed, hung_up],
    ids=["503", "429", "500", "cut", "unclosed", "hung up"],
)
def test_a_failure_that_passes_costs_a_second_request(lone, tmp_path, fault):
    cache, rows = opened(lone, tmp_path)
    one = next(iter(lone.objects.values()))
    lone.faults[place(one)].append(fault)
    assert not [study for study in read_all(cache, rows) if isinstance(study, StudyError)]
    assert lone.asked.count(place(one)) == 2
    path = tmp_path / "cache" / one.StudyInstanceUID / one.SeriesInstanceUID / f"{one.SOPInstanceUID}.dcm"
    assert path.read_bytes() == stored(one)


def test_a_server_that_keeps_failing_is_asked_a_few_times_with_growing_pauses(lone, tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr(dicomweb, "sleep", waited.append)
    cache, rows = opened(lone, tmp_path, pause=1.0, longest_pause=8.0)
    one = next(iter(lone.objects.values()))
    lone.faults[place(one)].extend([status(503), status(503), status(503, Retry_After="6"), status(503)])
    faults = [study for study in read_all(cache, rows) if isinstance(study, StudyError)]
    assert [(fault.reason, fault.stage, fault.excluded) for fault in faults] == [(Reason.NOT_FETCHED, "read", False)]
    assert lone.asked.count(place(one)) == 4
    assert 0.5 <= waited[0] <= 1.5
    assert 1 <= waited[1] <= 3
    assert waited[2] == 6
    assert "127.0.0.1" in str(faults[0])
    assert "503" in str(faults[0])


@pytest.mark.parametrize(
    ("asked", "waited"),
    [("9999", 5.0), ("Wed, 21 Oct 2037 07:28:00 GMT", 5.0), ("soon", 0.0), ("-3", 0.0), ("²", 0.0)],
)
def test_what_a_server_may_ask_for_is_bounded(lone, tmp_path, monkeypatch, asked, waited):
    pauses = []
    monkeypatch.setattr(dicomweb, "sleep", pauses.append)
    cache, rows = opened(lone, tmp_path, longest_pause=5.0)
    one = next(iter(lone.objects.values()))
    lone.faults[place(one)].append(status(503, Retry_After=asked))
    assert not [study for study in read_all(cache, rows) if isinstance(study, StudyError)]
    assert pauses == [waited]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (status(404), "404"),
        (status(401), "401; is CAMAUDIT_DICOMWEB_AUTHORIZATION right?"),
        (status(302, Location="/dicom-web/elsewhere"), "302; redirects are not followed"),
        (lambda handler, body: handler.send(200, body, Content_Encoding="gzip"), "packs its answers"),
    ],
    ids=["404", "401", "redirect", "packed"],
)
def test_what_will_not_pass_is_not_asked_again(lone, tmp_path, fault, said):
    cache, rows = opened(lone, tmp_path)
    lone.asked.clear()
    one = next(iter(lone.objects.values()))
    lone.faults[place(one)].append(fault)
    faults = [study for study in read_all(cache, rows) if isinstance(study, StudyError)]
    assert [fault.reason for fault in faults] == [Reason.NOT_FETCHED]
    assert said in str(faults[0])
    nothing_told(str(faults[0]), lone)
    assert lone.asked.count(place(one)) == 1
    assert "elsewhere" not in lone.asked
    assert not [name for name in fetched(tmp_path / "cache") if one.SOPInstanceUID in name or "/." in name]
    assert not [study for study in read_all(cache, rows) if isinstance(study, StudyError)], "the next run tries again"


def test_an_answer_of_one_part_may_be_the_instance(lone, tmp_path):
    cache, rows = opened(lone, tmp_path)
    one = next(iter(lone.objects.values()))
    lone.faults[place(one)].append(lambda handler, _: handler.send(200, stored(one), "application/dicom"))
    assert not [study for study in read_all(cache, rows) if isinstance(study, StudyError)]
    assert lone.asked.count(place(one)) == 1


def test_an_instance_whose_end_nothing_tells_is_not_taken(lone, tmp_path):
    def endless(handler, _):
        handler.send(200, stored(one)[:-40], "application/dicom", Content_Length="")
        handler.close_connection = True

    cache, rows = opened(lone, tmp_path)
    one = next(iter(lone.objects.values()))
    lone.faults[place(one)].append(endless)
    assert not [study for study in read_all(cache, rows) if isinstance(study, StudyError)]
    assert lone.asked.count(place(one)) == 2


def test_an_oversize_instance_is_cut_off_and_not_kept(lone, tmp_path, monkeypatch):
    cache, rows = opened(lone, tmp_path)
    one = next(iter(lone.objects.values()))
    lone.faults[place(one)].append(
        lambda handler, _: handler.send(200, multipart(bytes(MIB)), handler.kind(place(one)))
    )
    monkeypatch.setattr(dicomweb, "INSTANCE_CAP", 64 * 1024)
    faults = [study for study in read_all(cache, rows) if isinstance(study, StudyError)]
    assert [fault.reason for fault in faults] == [Reason.TOO_LARGE]
    assert not [name for name in fetched(tmp_path / "cache") if one.SOPInstanceUID in name or "/." in name]


def test_a_silent_server_is_not_waited_for(lone, tmp_path):
    cache, rows = opened(lone, tmp_path)
    cache._server = replace(cache._server, patience=replace(HASTY, silence=0.05, tries=2))
    lone.always = lambda *_: lone.hold.wait()
    (fault,) = read_all(cache, rows[:1])
    assert (fault.reason, "ReadTimeout" in str(fault)) == (Reason.NOT_FETCHED, True)


def test_an_answer_that_trickles_is_cut_off(web, tmp_path):
    cache, rows = opened(web, tmp_path)
    cache._server = replace(cache._server, patience=replace(HASTY, whole=-1.0))
    faults = read_all(cache, rows)
    assert {fault.reason for fault in faults} == {Reason.NOT_FETCHED}
    assert "too long" in str(faults[0])


def test_a_server_that_is_away_fails_every_study_and_is_asked_once_each_in_the_end(lone, tmp_path, monkeypatch):
    monkeypatch.setattr(dicomweb_cache, "_MOST_FAILED_IN_A_ROW", 2)
    cache, rows = opened(lone, tmp_path)
    lone.asked.clear()
    lone.always = status(503)
    faults = read_all(cache, [*rows] * 4)
    assert [fault.reason for fault in faults] == [Reason.NOT_FETCHED] * 4
    assert len(lone.asked) == 4 + 4 + 1 + 1
    lone.always = None
    assert not [study for study in read_all(cache, rows) if isinstance(study, StudyError)]
    assert cache._failed_in_a_row == 0


def test_the_authorization_is_sent_and_never_shown(lone, tmp_path, monkeypatch):
    monkeypatch.setenv(dicomweb.AUTHORIZATION_VARIABLE, "Bearer SECRET")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # not to be gone through
    monkeypatch.delenv("NO_PROXY", raising=False)
    server = replace(open_server(lone.url + "/"), patience=HASTY)
    assert "SECRET" not in repr(server)
    catalogued(server, tmp_path)
    assert {headers["Authorization"] for headers in lone.headers} == {"Bearer SECRET"}
    assert {headers["Accept-Encoding"] for headers in lone.headers} == {"identity"}
    monkeypatch.setenv(dicomweb.AUTHORIZATION_VARIABLE, "Bearer SECRET\nX: y")
    with pytest.raises(ArchiveError, match="one line of printable ASCII") as caught:
        open_server(lone.url)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://SECRET:word@pacs/dicom-web",
        "https://SECRET@pacs",
        "ftp://pacs/SECRET",
        "file:///SECRET",
        "https://pacs/dicom-web?token=SECRET",
        "https://pacs/#SECRET",
        "https://pa cs/SECRET",
        "https:///SECRET",
    ],
)
def test_only_a_plain_url_is_taken_and_none_is_quoted(url):
    with pytest.raises(ArchiveError, match="without user, password") as caught:
        open_server(url)
    assert "SECRET" not in str(caught.value)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")
def test_a_certificate_that_nobody_vouches_for_is_not_taken(lone, tmp_path, monkeypatch):
    made = [tmp_path / "key.pem", tmp_path / "certificate.pem"]
    kind = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=pacs"
    command = ["openssl", *kind.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", made[0], "-out", made[1]]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made[1], made[0])
    lone.socket = context.wrap_socket(lone.socket, server_side=True)
    server = DicomWebServer(lone.url.replace("http:", "https:"), patience=HASTY)
    with pytest.raises(ArchiveError, match="CERTIFICATE_VERIFY_FAILED"):
        catalogued(server, tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made[1]))
    assert catalogued(server, tmp_path)[0].usable == 1


def test_nothing_is_logged_of_our_requests_and_all_of_others(web, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    cache, rows = opened(web, tmp_path)
    web.faults[place(next(iter(web.objects.values())))].extend(
        [status(503, Content_Location=place(rows and series()[0]))]
    )
    read_all(cache, rows)
    nothing_told(caplog.text, web)
    assert "503" not in caplog.text
    httpx.get(web.url + "/studies?limit=1&offset=0", trust_env=False)
    assert "dicom-web/studies" in caplog.text


# The folder of fetched files.


def sizes(folder):
    return {path.name: sum(file.stat().st_size for file in path.rglob("*.dcm")) for path in folder.iterdir()}


def test_the_least_recently_used_studies_give_way(tmp_path):
    made = [series() for _ in range(4)]
    one = max(sum(len(stored(image)) for image in images) for images in made)  # their identifiers differ in length
    with serving(*(image for images in made for image in images)) as web:
        cache, rows = opened(web, tmp_path, limit=int(1.5 * one))
        own = tmp_path / "cache" / "mine" / "mask.nii.gz"
        own.parent.mkdir()
        own.write_bytes(bytes(3 * one))
        uid = {row.study: json.loads(row.image.read_text())[0][0].split("/")[0] for row in rows}
        a, b, c, _ = rows
        read_all(cache, [a])
        read_all(cache, [b])
        read_all(cache, [a])  # used again: b is now the one to go
        read_all(cache, [c])
        assert {*sizes(tmp_path / "cache")} == {uid[a.study], uid[c.study], "mine"}
        read_all(cache, [a])
        reopened = Cache(hasty(web), tmp_path / "cache", int(1.5 * one))
        read_all(reopened, [b])
        assert {*sizes(tmp_path / "cache")} == {uid[a.study], uid[b.study], "mine"}
        assert own.exists()


def test_a_study_that_is_being_read_is_not_evicted(tmp_path):
    made = [series() for _ in range(5)]
    one = max(sum(len(stored(image)) for image in images) for images in made)  # their identifiers differ in length
    with serving(*(image for images in made for image in images)) as web:
        cache, rows = opened(web, tmp_path, limit=one)

        def read_late(handed):
            waiting = []
            for row in handed:
                waiting.append(row)
                if len(waiting) == 3:
                    yield _read(waiting.pop(0), cache.folder)
            yield from (_read(row, cache.folder) for row in waiting)

        studies = list(cache.through(rows, read_late))
        assert [study.identity for study in studies] == [NAMES.study(row.patient, row.study) for row in rows]
        assert sum(sizes(tmp_path / "cache").values()) <= 4 * one
        read_all(cache, rows[:1])
        read_all(cache, rows[1:2])
        assert sum(sizes(tmp_path / "cache").values()) <= 2 * one
        assert not +cache._held


def test_a_study_larger_than_the_cache_is_refused(web, tmp_path):
    cache, rows = opened(web, tmp_path, limit=3000)
    reasons = [study.reason for study in read_all(cache, rows) if isinstance(study, StudyError)]
    assert reasons == [Reason.TOO_LARGE] * 2


def test_a_folder_that_cannot_be_written_fails_the_study(web, tmp_path):
    cache, rows = opened(web, tmp_path)
    for row in rows:
        text = row.image.read_text() if row.image.suffix == ".files" else None
        study = json.loads(text)[0][0].split("/")[0] if text else row.image.parts[-3]
        (tmp_path / "cache" / study).write_text("in the way")
    faults = read_all(cache, rows)
    assert [fault.reason for fault in faults] == [Reason.NOT_FETCHED] * 3
    nothing_told(str(faults[0]), web)


def test_the_users_own_masks_may_lie_in_the_folder(web, tmp_path):
    cache, rows = opened(web, tmp_path)
    row = next(row for row in rows if row.image.suffix == ".files")
    own = tmp_path / "cache" / "mine.png"
    source = replace(row.masks[0], path=own)
    digests = {served_digest(replace(row, masks=(source,)), tmp_path / "cache")}
    own.write_bytes(b"1")
    digests.add(served_digest(replace(row, masks=(source,)), tmp_path / "cache"))
    assert len(digests) == 2, "what is no instance counts by its content"
    part = replace(row, image=tmp_path / "cache" / place(next(iter(web.objects.values()))).split("/")[1])
    mixed = tmp_path / "mixed.files"
    mixed.write_text(json.dumps([*json.loads(row.image.read_text()), ["mine.png"]]))
    faults = read_all(cache, [part, replace(row, image=mixed)])
    assert [fault.reason for fault in faults] == [Reason.MISSING_FILE] * 2
    assert fetched(tmp_path / "cache") == ["mine.png"]
    before = served_digest(part, tmp_path / "cache")
    read_all(cache, rows)
    assert served_digest(part, tmp_path / "cache") == before


# The body of an answer.


@pytest.mark.parametrize("size", [1, 2, 3, 7, 11, 64, 10_000])
def test_a_part_is_found_whatever_the_chunks(size):
    content = b"\r\n--1a2b3\r\n\r\n" + bytes(range(256)) * 3 + b"\r\n--1a2b" + b"\r\n-\r\n--"
    body = b"preamble" + multipart(content) + b"\r\nepilogue"
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    assert b"".join(only_part(iter(chunks), BOUNDARY)) == content


@pytest.mark.parametrize(
    "body",
    [
        b"",
        multipart(b"abc")[:-1],
        multipart(b"abc")[:-3],
        multipart(b"abc")[:-2] + b"\r\nX: y\r\n\r\nmore\r\n--1a2b3c--",
        b"\r\n--1a2b3c" + b"x" * 100_000,
    ],
)
def test_what_is_not_one_whole_part_is_incomplete(body):
    with pytest.raises(IncompleteError):
        list(only_part(iter([body[:9], body[9:]]), BOUNDARY))
    with pytest.raises(IncompleteError):
        list(only_part(iter([b"--\r\n\r\nabc\r\n----"]), b""))


def test_headers_without_end_are_not_kept():
    chunks = iter([b"--1a2b3c\r\n", *[b"X: " + b"y" * 10_000] * 100])
    with pytest.raises(IncompleteError):
        next(only_part(chunks, BOUNDARY))
    assert len(list(chunks)) > 90


# The command line and a whole audit.


def camaudit(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["camaudit", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    output = capsys.readouterr()
    return stopped.value.code, output.out, output.err


def test_the_command_line_takes_a_url(web, tmp_path, monkeypatch, capsys):
    manifest, export = tmp_path / "m.csv", tmp_path / "e.parquet"
    code, out, err = camaudit(
        monkeypatch, capsys, "scan", web.url, "--json", "--write-manifest", manifest, "--export", export, "--workers", 1
    )
    assert (code, err) == (0, "")
    answer = json.loads(out)
    assert (answer["usable"], answer["masks_used"]) == (3, 2)
    nothing_told(out.replace(str(tmp_path), ""), web)
    assert stat.S_IMODE(manifest.stat().st_mode) == 0o600


@pytest.mark.parametrize("fault", ["away", "refused", "credentials", "nothing"])
def test_a_server_that_cannot_be_scanned_is_one_line(web, tmp_path, monkeypatch, capsys, fault):
    monkeypatch.setattr(dicomweb, "sleep", lambda _: None)
    url = web.url.replace("http://", "http://SECRET@") if fault == "credentials" else web.url
    url = "http://127.0.0.1:9" if fault == "away" else url
    web.faults["studies"].extend([status(403)] if fault == "refused" else [])
    web.objects = {} if fault == "nothing" else web.objects
    arguments = ["scan", url, "--json", "--workers", 0, "--index", tmp_path / "i", "--write-manifest", tmp_path / "m"]
    code, out, err = camaudit(monkeypatch, capsys, *arguments)
    (line,) = err.splitlines()
    said = {"away": "cannot be reached", "refused": "answered 403", "credentials": "without user", "nothing": "usable"}
    assert (code, out, said[fault] in line) == (2, "", True)
    assert "SECRET" not in line


def planted(folder, web, **archive):
    """Return a configuration of the planted audit over a server's studies."""
    _, _, manifest = catalogued(hasty(web), folder)
    config = plant(folder / "planted", 1, run={"device": "cpu", "replicates": 200, "workers": 1, "shard_size": 2})
    content = yaml.safe_load(config.read_text())
    content["archive"] = {"path": "cache", "dicomweb": web.url, "manifest": str(manifest), **archive}
    content["prepare"] = [{"_target_": "ResizeWithPadOrCrop", "spatial_size": [16, 16, 8]}]
    content["model"]["labels"] = ["liver", "kidney"]
    content |= {"criteria": [], "explain": {"methods": ["gradcam"], "targets": ["kidney"]}}
    config.write_text(yaml.safe_dump(content))
    return config


def test_an_audit_fetches_what_it_reads(web, tmp_path):
    config = planted(tmp_path, web)
    auditor = open_auditor(config)
    sources = find_sources(auditor.config, auditor.pseudonyms)
    folder = tmp_path / "planted" / "cache"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert fetched(folder) == []
    studies = list(read_studies(auditor, [source.row for source in sources]))
    assert [study.identity for study in studies] == [source.study for source in sources]
    assert len(fetched(folder)) == len(web.objects) - 1


def test_a_study_that_is_not_fetched_is_a_row_and_is_tried_again(tmp_path):
    sound, missing = series(), series()
    with serving(*sound, *missing) as web:
        config = planted(tmp_path, web)
        away = place(missing[2])
        web.objects[f"{away}/away"] = web.objects.pop(away)
        for expected in ({"analysed", "failed"}, {"analysed"}):
            with WorkerPool() as pool:
                folder = begin(config, "camaudit run", pool=pool)
                for shard in range(read_run(folder)[0].shards):
                    work(folder, shard, pool=pool)
            audits = [audit for path in (folder / "shards").glob("*.parquet") for audit in read_shard(path)]
            assert {audit.status for audit in audits} == expected
            assert {audit.reason for audit in audits if audit.reason} <= {"not_fetched"}
            assert all(CONTENT_FACT in audit.facts for audit in audits if audit.status == "analysed")
            told = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
            nothing_told(told.decode("latin-1").replace(web.url, ""), web)
            web.objects.setdefault(away, missing[2])


def test_a_server_needs_a_manifest_and_changes_no_recipe(web, tmp_path):
    config = planted(tmp_path, web)
    content = yaml.safe_load(config.read_text())
    served = load_config(config)
    plain = {**content, "archive": {"path": "other", "manifest": content["archive"]["manifest"]}}
    assert AuditConfig.model_validate(plain).recipe() == served.recipe()
    config.write_text(yaml.safe_dump({**content, "archive": {"path": "cache", "dicomweb": web.url}}))
    with pytest.raises(ConfigError, match="camaudit scan URL --write-manifest"):
        load_config(config)


def test_credentials_in_the_url_stop_a_run_before_anything_is_written(web, tmp_path):
    config = planted(tmp_path, web, dicomweb=web.url.replace("http://", "http://SECRET:x@"))
    with pytest.raises(ArchiveError, match="without user"):
        begin(config, "camaudit run")
    assert not list(Path(tmp_path / "planted").rglob("audit.lock.yaml"))
