"""A time stamp of a signature by an authority of the test: whom it is by decides what it is worth."""

from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import keys
from asn1crypto import x509 as asn1
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore

from pipeline.errors import OutputError
from pipeline.findings.custody.time_stamp import Authority, read_authorities
from pipeline.findings.signed.signatures import Statement, Trust
from reports.pdf import render
from reports.signing.credentials import opened_credentials
from reports.signing.sign import sign_report, stamper
from reports.signing.signatures import read_signatures
from tests.pipeline.findings.custody.authority import make_signer, serving
from tests.reports import example
from tests.reports.signing.people import person, write_pem


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stamped")
    example.write_run(folder)
    return render(folder)


def stamping(authority, time):
    der = authority.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    own, above = (
        asn1.Certificate.load(each.public_bytes(Encoding.DER)) for each in (authority.certificate, authority.issuer)
    )
    store = SimpleCertificateStore()
    store.register_multiple([own, above])
    return DummyTimeStamper(own, keys.PrivateKeyInfo.load(der), store, fixed_dt=time)


def signed(report, who, target, stamps=None):
    with opened_credentials(str(write_pem(who, target.with_suffix(".pem"))), lambda: b"") as credentials:
        statement = Statement("Ada", "physicist", "approval", "2026-11-29T12:00:00+00:00")
        sign_report(report, target, credentials, statement, stamps)
    return target


def test_an_ended_certificate_is_trusted_where_a_trusted_stamp_is_older(report, tmp_path):
    authority, stamps = person("CA"), person("Stamps CA")
    ended = person("Ada", authority, days=(-30, -3))
    time = datetime.now(UTC).replace(microsecond=0) - timedelta(days=10)
    file = signed(report, ended, tmp_path / "a.pdf", stamping(person("TSA", stamps, days=(-40, 9), stamps=True), time))
    (signature,) = read_signatures(file, [authority.certificate, stamps.certificate]).signatures
    assert (signature.fault, signature.stamped_at, signature.stamp_authority) == ("", time.isoformat(), "TSA")
    assert signature.certificate_trust == signature.stamp_trust == Trust(True)
    (signature,) = read_signatures(file, [authority.certificate]).signatures
    assert (signature.certificate_trust.trusted, signature.stamp_trust.trusted) == (False, False)
    (signature,) = read_signatures(file).signatures
    assert signature.certificate_trust == signature.stamp_trust == Trust(None)


def test_a_self_signed_certificate_is_trusted_where_it_is_named_itself(report, tmp_path):
    own, other = person("Ada"), person("Ada")
    file = signed(report, own, tmp_path / "a.pdf")
    assert read_signatures(file, [own.certificate]).signatures[0].certificate_trust == Trust(True)
    trust = read_signatures(file, [other.certificate]).signatures[0].certificate_trust
    assert (trust.trusted, trust.reason) == (False, "is by none whom --trust names")


@pytest.fixture(scope="module")
def openssl(tmp_path_factory):
    return make_signer(tmp_path_factory.mktemp("authority") / "first")


def test_an_authority_is_asked_over_http_and_named(report, tmp_path, openssl, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    asked = []

    def reply(request):
        asked.append(request)
        return openssl.reply(request)

    with serving(reply) as url:
        file = signed(report, person("Ada"), tmp_path / "a.pdf", stamper(Authority(url)))
    assert len(asked) == 2, "pyHanko asks once to see how long an answer is"
    assert report.read_bytes()[:300] not in b"".join(asked), "a hash is all that is sent"
    assert max(map(len, asked)) < 100
    (signature,) = read_signatures(file, read_authorities(openssl.root)).signatures
    assert (signature.fault, signature.stamp_fault, signature.stamp_authority) == ("", "", "Example_Time")
    assert signature.stamp_trust == Trust(True)
    assert read_signatures(file, [person("Stamps CA").certificate]).signatures[0].stamp_trust.trusted is False


def test_an_authority_that_misbehaves_is_one_line_and_nothing_is_written(report, tmp_path, openssl, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    of_something_else = []

    def earlier(request):
        """Answer with the stamp of the first request, whatever is asked."""
        of_something_else.append(openssl.reply(request))
        return of_something_else[0]

    who, target = person("Ada"), tmp_path / "a.pdf"
    for reply, status, words in (
        (lambda _: b"<html>sign in</html>", 200, "answered with what is no time stamp that can be read"),
        (
            lambda _: bytes.fromhex("30053003020102"),
            200,  # "rejection"
            "answered with what is no time stamp that can be read",
        ),
        (earlier, 200, "answered with what is a time stamp of something else"),
        (openssl.reply, 503, "answered with status 503"),
    ):
        with serving(reply, status=status) as url, pytest.raises(OutputError) as refused:
            signed(report, who, target, stamper(Authority(url, option="--timestamp-url", undone="nothing was signed")))
        said = str(refused.value)
        assert (said.startswith("--timestamp-url: the authority 127.0.0.1:"), words in said) == (True, True), said
        assert "\n" not in said
        assert not target.exists()


def test_a_signature_with_the_stamp_of_other_bytes_is_named(report, tmp_path):
    """Whoever has a stamp of something older cannot make his signature older by it."""
    from pyhanko.sign.timestamps import TimeStamper

    authority = person("TSA", person("Stamps CA"), stamps=True)
    ours = stamping(authority, datetime.now(UTC).replace(microsecond=0) - timedelta(days=300))

    class OfSomethingElse(TimeStamper):
        async def async_request_tsa_response(self, req):
            return await ours.async_request_tsa_response(req)

        async def async_timestamp(self, message_digest, md_algorithm):
            return await super().async_timestamp(bytes(reversed(message_digest)), md_algorithm)

    file = signed(report, person("Ada"), tmp_path / "a.pdf", OfSomethingElse())
    (signature,) = read_signatures(file, [authority.issuer]).signatures
    assert signature.stamp_fault == "is not one of this signature, or was altered"
    assert signature.stamp_trust.trusted is None
