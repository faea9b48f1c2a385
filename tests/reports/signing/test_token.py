"""A person's key on a token (PKCS#11) signs like one in a file: tried on SoftHSM, where that is installed."""

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipeline.errors import ConfigError
from pipeline.findings.signed.signatures import Statement, Trust
from reports.pdf import render
from reports.signing.credentials import opened_credentials
from reports.signing.sign import sign_report
from reports.signing.signatures import read_signatures
from tests.pipeline.findings.custody.tokens import MODULE, made_token
from tests.reports import example
from tests.reports.signing.people import person

URI = f"pkcs11:token=hospital;object=ada?module-path={MODULE}"


@pytest.fixture
def ada(tmp_path, monkeypatch):
    """Somebody whose key and certificate are on a token, under one label; in no file of hers."""
    pkcs11 = pytest.importorskip("pkcs11")
    from pkcs11.util.x509 import decode_x509_certificate

    owner, key = person("Ada Author"), tmp_path / "key.pem"
    key.write_bytes(owner.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    library = made_token("hospital", tmp_path, monkeypatch, key=(key, "ada"))
    key.unlink()
    with library.get_token(token_label="hospital").open(rw=True, user_pin="1234") as session:
        facts = decode_x509_certificate(owner.certificate.public_bytes(Encoding.DER))
        session.create_object({**facts, pkcs11.Attribute.LABEL: "ada", pkcs11.Attribute.TOKEN: True})
    return owner


def test_a_report_is_signed_by_a_token_and_a_wrong_pin_is_one_line(ada, tmp_path):
    example.write_run(tmp_path)
    report, target = render(tmp_path), tmp_path / "signed.pdf"
    with opened_credentials(URI, lambda: b"1234") as credentials:
        credentials.check()
        words = Statement(credentials.name, "physicist", "authorship", "2026-11-29T12:00:00+00:00")
        sign_report(report, target, credentials, words)
    (signature,) = read_signatures(target, [ada.certificate]).signatures
    assert (signature.fault, signature.certificate, signature.certificate_trust) == ("", "Ada Author", Trust(True))
    refused = {
        "PinIncorrect": (URI, b"9999"),
        "is the token there": (URI.replace("hospital", "nowhere"), b"1234"),
        "object 'bob'": (URI.replace("=ada", "=bob"), b"1234"),
        "'/nowhere.so'": (URI.replace(str(MODULE), "/nowhere.so"), b"1234"),
    }
    for words, (uri, pin) in refused.items():
        with pytest.raises(ConfigError) as error, opened_credentials(uri, lambda pin=pin: pin):
            pass
        assert words in str(error.value), str(error.value)
        assert "\n" not in str(error.value)
        assert pin.decode() not in str(error.value)
