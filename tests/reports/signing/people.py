"""People with certificates, made up in memory: an authority, those whom it certifies, and somebody of the same name."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


@dataclass(frozen=True)
class Person:
    """A key, its certificate, and the certificate of whoever signed that."""

    key: EllipticCurvePrivateKey | rsa.RSAPrivateKey | Ed25519PrivateKey | Ed448PrivateKey
    certificate: x509.Certificate
    issuer: x509.Certificate


def person(name, issuer=None, *, days=(-1, 365), stamps=False, usage="digital_signature", key=None):
    """Return somebody with a new key, certified by ``issuer`` or himself; ``days`` from now bound that.

    ``usage`` is what the certificate says that the key is for; None: it does not say.
    """
    if key is None:
        key = rsa.generate_private_key(65537, 2048) if stamps else generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    above = (issuer or Person(key, None, None)).key
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), critical=False
    )
    if usage is not None:
        usages = dict.fromkeys(_USAGES, False) | {usage: True, "key_cert_sign": issuer is None}
        builder = builder.add_extension(x509.KeyUsage(**usages), critical=True)
    if stamps:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    own = builder.sign(above, None if isinstance(above, Ed25519PrivateKey | Ed448PrivateKey) else hashes.SHA256())
    return Person(key, own, issuer.certificate if issuer else own)


def write_p12(owner, path, password=None):
    """Write a key with its certificates as PKCS#12, readable by its owner alone."""
    scheme = BestAvailableEncryption(password) if password else NoEncryption()
    name = b"key"
    path.write_bytes(pkcs12.serialize_key_and_certificates(name, owner.key, owner.certificate, [owner.issuer], scheme))
    path.chmod(0o600)
    return path


def write_pem(owner, path, password=None):
    """Write a key and its certificate as PEM, readable by its owner alone."""
    scheme = BestAvailableEncryption(password) if password else NoEncryption()
    key = owner.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, scheme)
    path.write_bytes(key + owner.certificate.public_bytes(Encoding.PEM))
    path.chmod(0o600)
    return path
