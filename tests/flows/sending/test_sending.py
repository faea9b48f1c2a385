"""Objects to a storage provider and to a DICOMweb server of our own, which take some, refuse some and break off."""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage
from pynetdicom import AE, evt

from flows.sending.association import StorageProvider, provider_of, store_below
from flows.sending.sent import Sent, objects_below
from flows.sending.stow import stow_below
from pipeline.errors import ConfigError
from pipeline.studies.dicomweb.client import AUTHORIZATION_VARIABLE, open_server
from tests.pipeline.studies.writers import dicom, dot

NAMES = ("report.dcm", "S-1/map-01.dcm", "S-1/segmentation.dcm", "S-1/measurements.dcm", "S-1/key-note.dcm")


@pytest.fixture
def folder(tmp_path):
    """Five small objects, of classes of their own where that matters."""
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        kind = SegmentationStorage if "segmentation" in name else "1.2.840.10008.5.1.4.1.1.2"
        image = dicom(kind, dot((4, 6), (1, 2)))
        image.SeriesDescription = name
        image.save_as(path, enforce_file_format=True)
    return tmp_path


class Provider:
    """A storage provider on the loopback that answers by an object's name."""

    def __init__(self, answers=None, kinds=None):
        self.stored, self.answers = [], answers or {}
        entity = AE("ARCHIVE")
        for kind in kinds or ("1.2.840.10008.5.1.4.1.1.2", SegmentationStorage):
            entity.add_supported_context(kind, ExplicitVRLittleEndian)
        entity.require_called_aet = True
        self._server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._take)])
        self.address = StorageProvider("127.0.0.1", self._server.server_address[1], "ARCHIVE")

    def _take(self, event):
        name = event.dataset.SeriesDescription
        answer = self.answers.get(name, 0)
        if answer == "abort":
            event.assoc.abort()
            return 0
        if answer == 0:
            self.stored.append(name)
        return answer

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()


def test_what_others_refer_to_is_sent_first(folder):
    assert [name for name, _ in objects_below(folder)] == list(NAMES)


def test_every_object_is_stored_in_the_order_of_their_references(folder, caplog):
    caplog.set_level(logging.DEBUG)
    with Provider() as provider:
        assert store_below(folder, provider.address) == [Sent(name) for name in NAMES]
    assert provider.stored == list(NAMES)
    assert [record for record in caplog.records if record.name.startswith("pynetdicom.acse")] == []


def test_each_object_that_is_refused_is_named_with_its_reason(folder):
    answers = {NAMES[1]: 0xA700, NAMES[2]: 0xB000, NAMES[3]: 0x0122}
    with Provider(answers) as provider:
        outcome = store_below(folder, provider.address)
    assert [(sent.reason, sent.remark) for sent in outcome] == [
        (None, None),
        ("status A700: out of resources", None),
        (None, "stored with warning B000"),
        ("status 0122: refused", None),
        (None, None),
    ]


def test_a_kind_that_the_archive_does_not_take_is_named(folder):
    with Provider(kinds=("1.2.840.10008.5.1.4.1.1.2",)) as provider:
        outcome = {sent.name: sent.reason for sent in store_below(folder, provider.address)}
    assert outcome.pop("S-1/segmentation.dcm") == (
        "the archive takes no object of this kind, or not in this transfer syntax"
    )
    assert set(outcome.values()) == {None}


def test_after_a_broken_association_the_rest_is_not_lost_in_silence(folder):
    with Provider({NAMES[1]: "abort"}) as provider:
        outcome = store_below(folder, provider.address)
    assert [sent.name for sent in outcome] == list(NAMES)
    assert outcome[0].reason is None
    assert all(sent.reason and "broken off" in sent.reason for sent in outcome[1:])


def test_a_provider_that_is_not_there_or_is_called_otherwise_takes_nothing(folder):
    with Provider() as provider:
        where = provider.address
        other = StorageProvider(where.host, where.port, "OTHER")
        assert {sent.reason for sent in store_below(folder, other)} == {
            f"127.0.0.1:{where.port} rejects the association; does it know CAMAUDIT, and is it called OTHER?"
        }
    reasons = {sent.reason for sent in store_below(folder, where)}
    assert reasons == {f"127.0.0.1:{where.port} cannot be reached, or broke the association off"}


@pytest.mark.parametrize(
    "text", ["host", "host:104", "host:0,A", "host:99999,A", "host:1,", "a b:1,A", "h:1,A" + "B" * 16]
)
def test_an_address_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="--send: must be HOST:PORT,TITLE"):
        provider_of(text)
    assert provider_of("[::1]:104,MY PACS") == StorageProvider("::1", 104, "MY PACS")


class Server(ThreadingHTTPServer):
    """A DICOMweb server on the loopback that answers by an object's name; (status, answer)."""

    def __init__(self, answers):
        self.answers, self.stored = answers, {}
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/dicom-web"

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        boundary = self.headers["Content-Type"].rpartition("boundary=")[2].encode()
        head, _, rest = body.partition(b"\r\n\r\n")
        assert head == b"--" + boundary + b"\r\nContent-Type: application/dicom"
        content = rest.removesuffix(b"\r\n--" + boundary + b"--\r\n")
        name = next(name for name in NAMES if name.encode() in content)
        stored = {"00081199": {"vr": "SQ", "Value": [{}]}}
        status, answer = self.server.answers.get(name, (200, stored))
        if status is None:
            self.close_connection = True
            return
        if status == 200:
            self.server.stored[name] = (content, self.headers["Authorization"], self.path)
        answer = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def test_a_server_gets_every_file_as_it_is(folder, monkeypatch):
    monkeypatch.setenv(AUTHORIZATION_VARIABLE, "Bearer word")
    with Server({}) as server:
        assert stow_below(folder, open_server(server.url)) == [Sent(name) for name in NAMES]
    for name in NAMES:
        content, authorization, place = server.stored[name]
        assert content == (folder / name).read_bytes()
        assert (authorization, place) == ("Bearer word", "/dicom-web/studies")


def test_what_a_server_does_not_say_it_stored_was_not_stored(folder):
    refused = {"00081198": {"Value": [{"00081197": {"Value": [0x0122]}}]}}
    answers = {
        NAMES[0]: (200, b"no json"),
        NAMES[1]: (202, refused),
        NAMES[2]: (409, b"[]"),
        NAMES[3]: (None, None),
        NAMES[4]: (401, {}),
    }
    with Server(answers) as server:
        reasons = [sent.reason for sent in stow_below(folder, open_server(server.url))]
        host = server.url.split("/")[2]
    assert reasons[:3] == [
        "the server answered 200, and does not say that it stored the object",
        "the server refused it: reason 0122",
        "the server refused it: reason not stated",
    ]
    assert reasons[3].startswith(f"{host} cannot be reached, or broke off: ")
    assert reasons[4] == f"the server answered 401; is {AUTHORIZATION_VARIABLE} right?"
    uids = {str(dcmread(folder / name).SOPInstanceUID) for name in NAMES}
    assert not any(uid in reason for uid in uids for reason in reasons)


def test_who_is_not_let_in_does_not_knock_for_every_object(folder):
    with Server({NAMES[0]: (401, {})}) as server:
        outcome = stow_below(folder, open_server(server.url))
        assert len(server.stored) <= 1
    assert {sent.reason for sent in outcome} == {f"the server answered 401; is {AUTHORIZATION_VARIABLE} right?"}
    assert [sent.name for sent in outcome] == list(NAMES)


def test_where_there_is_nothing_to_send_nobody_is_asked(tmp_path):
    assert store_below(tmp_path, StorageProvider("127.0.0.1", 1, "NOBODY")) == []
    assert stow_below(tmp_path, open_server("http://127.0.0.1:1/dicom-web")) == []
