"""An authority's time stamp is asked for, held against what it stamps, and never believed."""

import base64
import shutil
import socket
import threading
from datetime import UTC, datetime

import pytest
from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from pipeline.errors import ConfigError, OutputError
from pipeline.findings.custody import time_stamp
from pipeline.findings.custody.time_stamp import (
    Authority,
    TimeStampError,
    check_answer,
    open_authority,
    read_authorities,
)
from tests.pipeline.findings.custody.authority import Signer, make_signer, serving

STATEMENT = b"what a lock signs"


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    return make_signer(tmp_path_factory.mktemp("authority") / "first")


@pytest.fixture(scope="module")
def stamped(signer):
    with pytest.MonkeyPatch.context() as patch, serving(signer.reply) as url:
        patch.setenv("NO_PROXY", "127.0.0.1")
        return open_authority(url).stamp(STATEMENT)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_good_stamp_names_time_and_authority_and_holds_offline(stamped, signer):
    stamp, answer = stamped
    assert stamp.authority == "Example_Time"
    assert stamp.time.endswith("+00:00")
    assert check_answer(answer, STATEMENT) == stamp
    for file in (signer.root, signer.certificate):
        assert check_answer(answer, STATEMENT, read_authorities(file)) == stamp


def test_a_stamp_by_an_elliptic_curve_holds(tmp_path):
    signer = make_signer(tmp_path / "curve", kind="ec -pkeyopt ec_paramgen_curve:P-256")
    with serving(signer.reply) as url:
        stamp, answer = open_authority(url).stamp(STATEMENT)
    assert check_answer(answer, STATEMENT, read_authorities(signer.root)) == stamp


def test_a_stamp_of_something_else_is_none(stamped):
    with pytest.raises(TimeStampError, match="is a time stamp of something else"):
        check_answer(stamped[1], STATEMENT + b".")


def test_an_authority_of_the_same_name_is_not_the_trusted_one(stamped, tmp_path):
    other = make_signer(tmp_path / "other")
    for file in (other.root, other.certificate):
        with pytest.raises(TimeStampError, match="is by no authority that --trust-authority names"):
            check_answer(stamped[1], STATEMENT, read_authorities(file))


def test_no_altered_byte_of_what_is_stamped_passes(stamped):
    """Every byte of the stamp's own content and of its signature counts; the time is one of them."""
    content = base64.b64decode(stamped[1])
    start = content.index(bytes.fromhex("060b2a864886f70d0109100104"))  # id-ct-TSTInfo
    end = content.index(b"Z", start) + 1
    for place in [*range(start, end), *range(len(content) - 256, len(content))]:
        edited = bytearray(content)
        edited[place] ^= 1
        with pytest.raises(TimeStampError):
            check_answer(base64.b64encode(edited).decode(), STATEMENT)


def test_what_was_rejected_is_no_stamp(stamped):
    content = base64.b64decode(stamped[1])
    granted = bytes.fromhex("3003020100")
    assert content[4:9] == granted
    rejected = content[:8] + b"\x02" + content[9:]
    with pytest.raises(TimeStampError, match="not a time stamp as an authority signs it"):
        check_answer(base64.b64encode(rejected).decode(), STATEMENT)


def test_what_the_authority_signed_as_another_kind_of_content_is_no_stamp(stamped, signer):
    response = tsp.TimeStampResp.load(base64.b64decode(stamped[1])).copy()
    info = response["time_stamp_token"]["content"]["signer_infos"][0]
    kind = next(item for item in info["signed_attrs"] if item["type"].native == "content_type")
    key = load_pem_private_key((signer.folder / "authority.key").read_bytes(), None)

    def signed_as(content_type):
        kind["values"] = [content_type]
        info["signature"] = key.sign(info["signed_attrs"].untag().dump(force=True), PKCS1v15(), SHA256())
        return base64.b64encode(response.dump(force=True)).decode()

    assert check_answer(signed_as("tst_info"), STATEMENT).authority == "Example_Time"
    with pytest.raises(TimeStampError, match="not a time stamp as an authority signs it"):
        check_answer(signed_as("data"), STATEMENT)


def test_a_certificate_that_was_over_at_that_time_stamps_nothing(signer, tmp_path):
    folder = Signer(shutil.copytree(signer.folder, tmp_path / "expired"))
    old = x509.load_pem_x509_certificate(folder.certificate.read_bytes())
    key = load_pem_private_key((folder.folder / "root.key").read_bytes(), None)
    builder = x509.CertificateBuilder(old.issuer, old.subject, old.public_key(), old.serial_number)
    builder = builder.not_valid_before(datetime(2020, 1, 1, tzinfo=UTC)).not_valid_after(
        datetime(2021, 1, 1, tzinfo=UTC)
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    folder.certificate.write_bytes(builder.sign(key, SHA256()).public_bytes(Encoding.PEM))
    with (
        serving(folder.reply) as url,
        pytest.raises(OutputError, match="answered with what is not a time stamp as an authority signs it"),
    ):
        open_authority(url).stamp(STATEMENT)


def test_a_certificate_for_another_purpose_stamps_nothing(tmp_path, stamped, monkeypatch):
    monkeypatch.setattr(time_stamp.ExtendedKeyUsageOID, "TIME_STAMPING", time_stamp.ExtendedKeyUsageOID.CODE_SIGNING)
    with pytest.raises(TimeStampError, match="not a time stamp as an authority signs it"):
        check_answer(stamped[1], STATEMENT)


@pytest.mark.parametrize("answer", ["", "é", "AAAA", "%%%", base64.b64encode(b"\x30\x05\x30\x03\x02\x01\x02").decode()])
def test_what_is_no_stamp_is_refused(answer):
    with pytest.raises(TimeStampError, match="is no time stamp that can be read"):
        check_answer(answer, STATEMENT)


def test_an_answer_to_another_request_is_refused(signer):
    first = []

    def replayed(request):
        first.append(signer.reply(request))
        return first[0]

    with serving(replayed) as url:
        open_authority(url).stamp(STATEMENT)
        with pytest.raises(OutputError, match="answered with what is a time stamp of something else, so nothing was"):
            open_authority(url).stamp(STATEMENT)


@pytest.mark.parametrize(
    ("answer", "status", "says"),
    [
        (b"sorry", 500, "answered with status 500"),
        (b"", 302, "answered with status 302"),
        (b"<html>", 200, "answered with what is no time stamp that can be read"),
        (b"", 200, "answered with what is no time stamp that can be read"),
        (b"0" * 300_000, 200, "answered with more than 262144 bytes"),
    ],
)
def test_an_authority_that_fails_is_one_line(answer, status, says):
    with serving(lambda request: answer, status=status) as url, pytest.raises(OutputError) as caught:
        open_authority(url).stamp(STATEMENT)
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert "/stamp" not in str(caught.value), "a path can hold an account's token"


def test_an_authority_that_hangs_is_given_up():
    done = threading.Event()
    with serving(lambda request: b"late" if done.wait() else b"") as url:
        with pytest.raises(OutputError, match=r"did not answer in 0\.2 s, so nothing was locked"):
            Authority(url, patience=0.2).stamp(STATEMENT)
        done.set()


def test_an_authority_that_never_ends_its_answer_is_given_up(monkeypatch):
    clock = iter(range(0, 1000, 31))
    monkeypatch.setattr(time_stamp, "monotonic", lambda: next(clock))
    with (
        serving(lambda request: b"0" * 1000) as url,
        pytest.raises(OutputError, match="did not finish its answer in 30 s, so nothing was locked"),
    ):
        open_authority(url).stamp(STATEMENT)


def test_nobody_there_is_one_line():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        with pytest.raises(OutputError, match=r"cannot be reached \(ConnectError\), so nothing was locked"):
            Authority(url).stamp(STATEMENT)


@pytest.mark.parametrize(
    "url", ["", "ftp://a/b", "https://user:secret@a/b", "https://", "http://a b/", "a.example/tsa"]
)
def test_what_is_no_url_is_refused_and_no_secret_is_quoted(url):
    with pytest.raises(ConfigError, match="--timestamp: must be the URL") as caught:
        open_authority(url)
    assert "secret" not in str(caught.value)


def test_without_the_packages_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(time_stamp, "can_check", lambda: False)
    with pytest.raises(ConfigError, match=r"not installed: pip install 'camaudit\[timestamp\]'"):
        open_authority("https://a.example/")


def test_a_file_without_a_certificate_is_refused(tmp_path):
    for content, says in ((None, "cannot be read"), (b"", "holds none"), (b"-----BEGIN CERTIFICATE-----\n", "none")):
        file = tmp_path / "trusted.pem"
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(ConfigError, match=says):
            read_authorities(file)
