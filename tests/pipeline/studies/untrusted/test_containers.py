"""Hostile zips and tars: each refusal by its reason, and nothing else is lost."""

import io
import struct
import tarfile
import zipfile
import zlib

import pytest

from pipeline.errors import Reason
from pipeline.studies.untrusted import containers
from pipeline.studies.untrusted.containers import PackedFile, members, opened_members
from tests.pipeline.studies.writers import refusal


def contents(path):
    """Return each entry's reason, or what its stream holds."""
    return {member.name: member.reason or stream.read() for member, stream in members(path)}


def zipped(path, entries, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as container:
        for name, data in entries:
            container.writestr(name, data)
    return path


def tarred(path, entries, mode="w"):
    """Write a tar of (TarInfo or name, data)."""
    with tarfile.open(path, mode) as container:
        for entry, data in entries:
            info = tarfile.TarInfo(entry) if isinstance(entry, str) else entry
            info.size = len(data)
            container.addfile(info, io.BytesIO(data))
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


EVIL = ["../up", "/root", "a/../../up", "C:\\windows", "..\\up", "\\\\server\\share"]


@pytest.mark.parametrize("name", EVIL)
def test_names_that_lead_out_are_refused(tmp_path, name):
    zip_info = zipfile.ZipInfo("x")
    zip_info.filename = name
    assert contents(zipped(tmp_path / "a.zip", [(zip_info, b"x"), ("fine", b"y")])) == {name: "leads_out", "fine": b"y"}
    assert contents(tarred(tmp_path / "a.tar", [(name, b"x"), ("fine", b"y")])) == {name: "leads_out", "fine": b"y"}


def test_folders_are_passed_over_and_members_read(tmp_path):
    assert contents(zipped(tmp_path / "a.zip", [("d/", b""), ("d/f", b"x")])) == {"d/f": b"x"}
    folder = special("d", tarfile.DIRTYPE)
    for mode in ("w", "w:gz"):
        assert contents(tarred(tmp_path / "a.tar", [(folder, b""), ("d/f", b"x"), ("g", b"y")], mode)) == {
            "d/f": b"x",
            "g": b"y",
        }


def test_links_and_devices_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    assert contents(zipped(tmp_path / "a.zip", [(link, b"/etc/passwd")])) == {"link": "leads_out"}
    entries = [
        (special("soft", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (special("hard", tarfile.LNKTYPE, "fine"), b""),
        (special("pipe", tarfile.FIFOTYPE), b""),
        (special("device", tarfile.CHRTYPE), b""),
        ("fine", b"x"),
    ]
    assert contents(tarred(tmp_path / "a.tar", entries)) == {
        "soft": "leads_out", "hard": "leads_out", "pipe": "not_regular", "device": "not_regular", "fine": b"x",
    }  # fmt: skip


def test_a_dense_member_is_refused_before_it_is_inflated(tmp_path):
    path = zipped(tmp_path / "a.zip", [("bomb", bytes(8 * 2**20)), ("slice", bytes(2**19)), ("fine", b"x" * 50)])
    found = contents(path)
    assert found["bomb"] == "too_large"
    assert (len(found["slice"]), found["fine"]) == (2**19, b"x" * 50)


def test_a_tar_that_grows_too_much_is_refused_as_a_whole(tmp_path, monkeypatch):
    path = tarred(tmp_path / "a.tar.gz", [("bomb", bytes(8 * 2**20))], "w:gz")
    assert contents(path) == {"bomb": bytes(8 * 2**20)}
    monkeypatch.setattr(containers, "_GROWTH_FROM", 2**20)
    refusal(Reason.TOO_LARGE, lambda: contents(path))


def test_an_oversize_member_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "MEMBER_CAP", 10)
    entries = [("big", b"x" * 11), ("fits", b"x" * 10)]
    expected = {"big": "too_large", "fits": b"x" * 10}
    assert contents(zipped(tmp_path / "a.zip", entries)) == expected
    assert contents(tarred(tmp_path / "a.tar", entries)) == expected


def test_a_container_of_too_many_members_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "MOST_MEMBERS", 3)
    entries = [(str(number), b"") for number in range(3)]
    assert len(contents(zipped(tmp_path / "a.zip", entries))) == 3
    refusal(Reason.TOO_LARGE, lambda: contents(zipped(tmp_path / "b.zip", [*entries, ("3", b"")])))


def test_an_encrypted_a_damaged_and_an_unknown_member_cost_no_other(tmp_path):
    path = zipped(tmp_path / "a.zip", [("secret", b"x"), ("damaged", b"y"), ("unknown", b"z"), ("fine", b"w")])
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as container:
        damaged = container.getinfo("damaged").header_offset
    data[damaged : damaged + 4] = b"XXXX"
    for name, offset, value in [(b"secret", 8, 1), (b"unknown", 10, 99)]:  # flags, method in the central directory
        entry = data.rindex(name) - 46
        data[entry + offset : entry + offset + 2] = struct.pack("<H", value)
    path.write_bytes(data)
    assert contents(path) == {
        "secret": "not_readable",
        "damaged": "not_readable",
        "unknown": "not_readable",
        "fine": b"w",
    }


def test_a_name_that_comes_twice_counts_twice_and_is_read_once(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        path = zipped(tmp_path / "a.zip", [("a", b"1"), ("a", b"2")])
    assert [(member.name, member.reason) for member, _ in members(path)] == [("a", None), ("a\0001", "duplicate")]
    path = tarred(tmp_path / "a.tar", [("a", b"1"), ("a", b"2")])
    assert [member.reason for member, _ in members(path)] == [None, "duplicate"]


def test_a_name_cut_by_a_zero_is_refused(tmp_path):
    path = zipped(tmp_path / "a.zip", [("fine.dcmXevil", b"x")])
    path.write_bytes(path.read_bytes().replace(b"fine.dcmXevil", b"fine.dcm\0evil"))
    assert [member.reason for member, _ in members(path)] == ["leads_out"]


def test_sizes_and_names_are_told(tmp_path):
    assert [member for member, _ in members(zipped(tmp_path / "a.zip", [("a/b", b"123")]))] == [
        PackedFile("a/b", 3, None)
    ]


def test_only_the_named_members_are_opened(tmp_path):
    path = zipped(tmp_path / "a.zip", [("a", b"1"), ("b", b"2"), ("../c", b"3")])
    with opened_members(path, frozenset({"b", "../c"})) as streams:
        assert [(name, stream.read()) for name, stream in streams] == [("b", b"2")]


def test_what_is_no_container_is_an_error(tmp_path):
    (tmp_path / "a.zip").write_bytes(zlib.compress(b"x" * 1000))
    with pytest.raises(tarfile.ReadError):
        contents(tmp_path / "a.zip")
