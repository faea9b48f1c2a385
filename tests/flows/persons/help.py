"""What tests of persons' commands share: certificates in a file, a signature without questions, the codes of verify."""

import json
from datetime import UTC, datetime

from cryptography.hazmat.primitives.serialization import Encoding

from pipeline.findings.signed.signatures import Statement
from reports.signing.credentials import opened_credentials
from reports.signing.sign import sign_report
from tests.reports.signing.people import write_pem


def certificates(path, *people):
    path.write_bytes(b"".join(each.certificate.public_bytes(Encoding.PEM) for each in people))
    return path


def put_signature(source, target, who, folder, meaning="authorship", name=None, time=None):
    """Sign without asking whether the report holds, or the certificate is valid now."""
    at = time or datetime.now(UTC).replace(microsecond=0).isoformat()
    pem = write_pem(who, folder / "key.pem")
    with opened_credentials(str(pem), lambda: b"") as credentials:
        sign_report(source, target, credentials, Statement(name or credentials.name, "physicist", meaning, at))


def codes(camaudit, path, *options):
    code, out, _ = camaudit("verify", path, "--json", *options)
    said = json.loads(out)
    assert code == said["code"]
    return {failure["code"] for failure in said["failures"]}
