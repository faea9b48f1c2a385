"""The run's attestation: a statement that others can check, and that fits its run and no other."""

import base64
import hashlib
import json

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pipeline.findings.custody.ledger import read_ledger
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.signed.attestation import ATTESTATION_FILE, attest
from pipeline.verify.verify import verify_run
from tests.falsify.world import sign_anew


def sentences(run):
    return " | ".join(f"{failure.kind.code}: {failure.sentence}" for failure in verify_run(run).failures)


def test_whoever_knows_dsse_and_in_toto_can_check_it_without_camaudit(world):
    envelope = json.loads((world.run / ATTESTATION_FILE).read_bytes())
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    encoded = b" ".join([b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload])
    first, *_, last = read_ledger(world.run / "ledger.jsonl")
    public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(first.body["public"]))
    public.verify(base64.b64decode(envelope["signatures"][0]["sig"]), encoded)
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    for subject in statement["subject"]:
        content = (world.run / subject["name"]).read_bytes()
        assert subject["digest"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert {each["name"] for each in statement["subject"]} >= {"report.pdf", "results.json", "run.json"}
    assert statement["predicate"]["ledger"] == {"head": last.previous, "length": last.sequence}


def test_another_runs_attestation_or_an_altered_one_is_named(copy):
    sound = (copy.run / ATTESTATION_FILE).read_bytes()
    other = (copy.other / ATTESTATION_FILE).read_bytes()
    envelope = json.loads(sound)
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"]["exploratory"] = not statement["predicate"]["exploratory"]
    forged = {**envelope, "payload": base64.b64encode(json.dumps(statement).encode()).decode()}
    said = {
        "not of the files that the ledger tells of": other,
        "was not signed with the ledger's key, or was altered": json.dumps(forged).encode(),
        "is no envelope": b"[" * 100_000,
    }
    for words, content in said.items():
        (copy.run / ATTESTATION_FILE).write_bytes(content)
        assert "30: attestation.json is not the file" in sentences(copy.run)
        assert f"63: attestation.json {words}" in sentences(copy.run) or words in sentences(copy.run)
    (copy.run / ATTESTATION_FILE).write_bytes(sound)
    assert sentences(copy.run) == ""


def test_with_the_key_it_can_be_made_anew_and_then_fits_again(copy):
    (copy.run / "cohort.json").write_bytes((copy.run / "cohort.json").read_bytes() + b"\n")
    assert sentences(copy.run) == "30: cohort.json is not the file that the run wrote"
    attest(copy.run, load_site_key())  # of a file that is not the ledger's
    assert "63: attestation.json is not of the files" in sentences(copy.run)
    sign_anew(copy.run, pages=False)
    assert "63" not in sentences(copy.run)
    attest(copy.run, load_site_key())
    assert "63" not in sentences(copy.run)
