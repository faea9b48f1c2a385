"""A time stamp of a signature by an authority of the test: whom it is by decides what it is worth."""

from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import keys
from asn1crypto import x509 as asn1
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore

from pipeline.findings.signed.signatures import Statement, Trust
from reports.pdf import render
from reports.signing.credentials import opened_credentials
from reports.signing.sign import sign_report
from reports.signing.signatures import read_signatures
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
