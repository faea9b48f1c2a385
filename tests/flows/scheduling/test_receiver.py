"""A receiver for what a PACS pushes: complete or refused with a reason, never replaced, nobody named."""

import hashlib
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless, SegmentationStorage, generate_uid
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from flows.scheduling import receiver as receiving_module
from flows.scheduling.receiver import Receiver, receiving
from pipeline.errors import ConfigError, OutputError
from pipeline.studies.index.arrivals import folder_listing
from tests.pipeline.studies.writers import dicom, dot


def image(uid=None, **attributes):
    """Return a small CT slice of a patient whose name must not be told."""
    made = dicom(CTImageStorage, dot((4, 6), (1, 2)))
    made.PatientName, made.SOPInstanceUID = "SECRET^NAME", uid or generate_uid()
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    for name, value in attributes.items():
        setattr(made, name, value)
    return made


class Taken:
    """A receiver on the loopback, and what it said of each association."""

    def __init__(self, folder, **settings):
        self.folder, self.said, self.ended = folder / "archive", [], threading.Semaphore(0)
        self._receiver = Receiver(self.folder, "AUDIT", "127.0.0.1", 0, **settings)

    def __enter__(self):
        self._block = receiving(self._receiver, self._note)
        self.port = self._block.__enter__()
        return self

    def __exit__(self, *_):
        self._block.__exit__(None, None, None)

    def _note(self, filed):
        self.said.append(str(filed))
        self.ended.release()

    def associated(self, called="AUDIT", calling="PACS", syntax=ExplicitVRLittleEndian):
        entity = AE(calling)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 30
        for kind in (CTImageStorage, SegmentationStorage):
            entity.add_requested_context(kind, syntax)
        entity.add_requested_context(Verification)
        return entity.associate("127.0.0.1", self.port, ae_title=called)

    def push(self, *images):
        """Push the images over one association and wait for its end; return the status of each."""
        association = self.associated()
        answers = [association.send_c_store(made) for made in images]
        association.release()
        assert self.ended.acquire(timeout=60)
        return [answer.get("Status") for answer in answers]

    def files(self):
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


def test_what_is_pushed_is_filed_as_it_came_under_a_name_that_tells_nothing(tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    images = [image(), image()]
    with Taken(tmp_path) as taken:
        assert taken.push(*images) == [0, 0]
        assert taken.said == ["2 stored"]
        assert {dcmread(path).SOPInstanceUID for path in taken.files()} == {made.SOPInstanceUID for made in images}
        assert {dcmread(path).PixelData for path in taken.files()} == {made.PixelData for made in images}
        for path in taken.files():
            expected = hashlib.sha256(dcmread(path).SOPInstanceUID.encode()).hexdigest()
            assert path.relative_to(taken.folder).as_posix() == f"{expected[:2]}/{expected[:32]}.dcm"
            assert path.stat().st_mode & 0o077 == 0
    told = caplog.text + "".join(capfd.readouterr())
    assert not [made.SOPInstanceUID for made in images if made.SOPInstanceUID in told]
    assert "SECRET" not in told


def test_pushed_again_it_is_the_same_file_and_no_arrival(tmp_path):
    again = image()
    with Taken(tmp_path) as taken:
        taken.push(again)
        before = folder_listing(taken.folder)
        assert taken.push(again) == [0]
        assert folder_listing(taken.folder) == before
    assert taken.said == ["1 stored", "1 here already"]


def test_another_object_under_a_known_uid_is_refused_and_replaces_nothing(tmp_path):
    first = image()
    with Taken(tmp_path) as taken:
        taken.push(first)
        kept = taken.files()[0].read_bytes()
        assert taken.push(image(first.SOPInstanceUID, PatientName="FORGED")) == [0xC001]
        assert [path.read_bytes() for path in taken.files()] == [kept]
    assert taken.said[-1] == "1 refused: another object has this UID"


def test_a_compressed_object_stays_as_it_is(tmp_path):
    packed = image()
    packed.compress(RLELossless, generate_instance_uid=False)
    packed.save_as(tmp_path / "packed.dcm", enforce_file_format=True)
    packed = dcmread(tmp_path / "packed.dcm")
    with Taken(tmp_path) as taken:
        association = taken.associated(syntax=RLELossless)
        assert association.send_c_store(packed).Status == 0
        association.release()
        (path,) = taken.files()
    assert dcmread(path).file_meta.TransferSyntaxUID == RLELossless
    assert dcmread(path).PixelData == packed.PixelData


@pytest.mark.parametrize(("called", "calling", "taken_in"), [("AUDIT", "PACS", True), ("AUDIT", "STRAY", False),
                                                             ("OTHER", "PACS", False)])  # fmt: skip
def test_only_who_is_named_may_push_and_only_by_the_right_title(tmp_path, called, calling, taken_in):
    with Taken(tmp_path, callers=("PACS",)) as taken:
        association = taken.associated(called, calling)
        assert association.is_established == taken_in
        if taken_in:
            assert association.send_c_echo().Status == 0
            association.release()


def test_a_uid_that_is_none_leads_nowhere(tmp_path):
    with Taken(tmp_path) as taken:
        assert receiving_module._file(taken.folder, "../../x", lambda: b"") == (0x0117, "refused: no UID")
        assert taken.files() == []


def test_a_full_disk_takes_nothing_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(receiving_module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    with Taken(tmp_path) as taken:
        assert taken.push(image()) == [0xA700]
        assert taken.files() == []
    assert taken.said == ["1 refused: the disk is full"]


def test_a_folder_that_cannot_be_written_is_out_of_resources(tmp_path, monkeypatch):
    def no_space(*_, **__):
        raise OutputError("no")

    monkeypatch.setattr(receiving_module, "written", no_space)
    with Taken(tmp_path) as taken:
        assert taken.push(image()) == [0xA700]
    assert taken.said == ["1 refused: cannot be written"]


def test_an_object_without_end_ends_its_association_and_nothing_is_filed(tmp_path):
    with Taken(tmp_path, object_cap=10_000) as taken:
        association = taken.associated()
        answer = association.send_c_store(image(ImageComments="x" * 60_000))
        assert "Status" not in answer
        assert taken.ended.acquire(timeout=60)
        assert taken.files() == []
        assert taken.said == ["1 too large, association ended"]
        assert taken.push(image()) == [0]  # the next one finds a receiver


def test_many_objects_of_one_association_have_a_cap_each(tmp_path):
    with Taken(tmp_path, object_cap=10_000) as taken:
        assert taken.push(*(image() for _ in range(30))) == [0] * 30


def test_two_receivers_do_not_share_a_folder(tmp_path):
    with Taken(tmp_path), pytest.raises(OutputError, match="another receiver files into it"), Taken(tmp_path):
        pass


def test_what_an_earlier_receiver_did_not_finish_is_removed_and_nothing_else(tmp_path):
    with Taken(tmp_path) as taken:
        taken.push(image())
        (whole,) = taken.files()
    half = whole.parent / f".{whole.name}.abcd1234"
    half.write_bytes(b"half")
    other = taken.folder / "notes.txt"
    other.write_text("mine")
    with Taken(tmp_path) as again:
        assert again.files() == sorted([whole, other])


def test_a_port_that_is_taken_is_one_line(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = Receiver(tmp_path / "archive", "AUDIT", "127.0.0.1", other.getsockname()[1])
        with pytest.raises(ConfigError, match="cannot be listened on"), receiving(settings, print):
            pass


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--listen", "0.0.0.0"), "anybody on that network could push; name who may, e.g. --from PACS"),
        (("--listen", "pacs"), "--listen: must be an IP address of this machine, not 'pacs'"),
        (("--title", "A TITLE THAT IS TOO LONG"), "--title: must be a title of 1 to 16 letters"),
        (("--from", "A\\B"), "--from: must be a title of 1 to 16 letters"),
    ],
)
def test_what_the_command_refuses(arguments, words, tmp_path, camaudit):
    code, _, err = camaudit("receive", tmp_path / "archive", *arguments)
    assert code == 2
    assert words in err
    assert not (tmp_path / "archive").exists()


def test_the_command_ends_by_a_signal_with_all_that_it_acknowledged(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "flows", "receive", tmp_path / "archive", "--port", str(port), "--title", "AUDIT"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert re.search(rf"listening on 127\.0\.0\.1:{port} until interrupted", process.stdout.readline())
        entity = AE("PACS")
        entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        association = entity.associate("127.0.0.1", port, ae_title="AUDIT")
        assert association.send_c_store(image()).Status == 0
        os.kill(process.pid, signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert out.endswith("UTC: 1 stored\n")
    assert err == ""
    assert len(list((tmp_path / "archive").rglob("*.dcm"))) == 1
