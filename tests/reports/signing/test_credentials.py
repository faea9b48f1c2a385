"""Whose key signs and whose does not: kinds of keys, what certificates say that they are for, and files mixed up."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding

from pipeline.errors import ConfigError
from pipeline.findings.signed.signatures import Statement, Trust
from reports.pdf import render
from reports.signing.credentials import opened_credentials
from reports.signing.sign import sign_report
from reports.signing.signatures import read_signatures
from tests.reports import example
from tests.reports.signing.people import person, write_p12, write_pem


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("credentials")
    example.write_run(folder)
    return render(folder)


def signed(report, path, target, *, check=True):
    with opened_credentials(str(path), lambda: b"") as credentials:
        if check:
            credentials.check()
        sign_report(report, target, credentials, Statement("Ada", "physicist", "review", "2026-11-29T12:00:00+00:00"))
    return target


@pytest.mark.parametrize(
    "who",
    [person("Ada", key=Ed25519PrivateKey.generate()), person("Ada", person("CA"), usage=None)],
    ids=["Ed25519", "a certificate that limits nothing"],
)
def test_what_may_sign_signs_and_is_trusted(report, tmp_path, who):
    file = signed(report, write_p12(who, tmp_path / "a.p12"), tmp_path / "a.pdf")
    above = next(each for each in (who.issuer, who.certificate) if each is not None)
    (signature,) = read_signatures(file, [above]).signatures
    assert (signature.fault, signature.certificate_trust) == ("", Trust(True))


REFUSED = {
    "a short RSA key has 2048 bits or more": person("Ada", person("CA"), key=generate_private_key(65537, 1024)),
    "is RSA, elliptic (P-256, ...) or Ed25519": person("Ada", person("CA"), key=Ed448PrivateKey.generate()),
    "has to name digitalSignature or nonRepudiation": person("Ada", person("CA"), usage="key_agreement"),
    "is valid from": person("Ada", person("CA"), days=(3, 9)),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_nobody_could_trust_signs_nothing(tmp_path, words):
    with (
        pytest.raises(ConfigError) as refused,
        opened_credentials(str(write_p12(REFUSED[words], tmp_path / "a.p12")), lambda: b"") as credentials,
    ):
        credentials.check()
    said = str(refused.value)
    assert (words.removeprefix("a short ") in said, said.startswith("--key: "), "\n" in said) == (True, True, False)


def test_a_certificate_for_something_else_is_said_by_who_verifies(report, tmp_path):
    who = REFUSED["has to name digitalSignature or nonRepudiation"]
    file = signed(report, write_p12(who, tmp_path / "a.p12"), tmp_path / "a.pdf", check=False)
    trust = read_signatures(file, [who.issuer]).signatures[0].certificate_trust
    assert trust == Trust(False, "is not one for signing (its key usage)")


def test_a_key_without_its_certificate_is_told_what_it_lacks(tmp_path):
    ada, bob = person("Ada"), person("Bob")
    lines = write_pem(ada, tmp_path / "ada.pem").read_bytes().partition(b"-----BEGIN CERTIFICATE")
    files = {
        "holds no certificate; a key and": lines[0],
        "holds no private key; a key and": b"".join(lines[1:]),
        "another certificate than that of its key": lines[0] + bob.certificate.public_bytes(Encoding.PEM),
        "in PEM, and cannot be read so": lines[0].replace(b"M", b"!") + b"".join(lines[1:]),
        "in PKCS#12 (.p12), and cannot be read so": b"",
    }
    for words, content in files.items():
        path = tmp_path / "mixed.pem"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(ConfigError) as refused, opened_credentials(str(path), lambda: b"secret"):
            pass
        assert words in str(refused.value), str(refused.value)
        assert "secret" not in str(refused.value)
