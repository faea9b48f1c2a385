"""A run's attestation: one signed statement (in-toto) over its report, results, ledger, model and cohort.

Whoever knows in-toto reads it without camaudit; it says nothing that the run's folder does not.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.files import written
from pipeline.findings.custody.envelope import EnvelopeError, sealed, unsealed
from pipeline.findings.custody.ledger import Ledger
from pipeline.findings.custody.recorded_files import digest_of_file, record_files
from pipeline.findings.custody.site_key import SiteKey
from pipeline.findings.results import Results, load_results
from pipeline.findings.spec import COHORT_FILE, LEDGER_FILE, LOCK_FILE, SPEC_FILE, RunSpec, read_spec

__all__ = [
    "ATTESTATION_FILE",
    "ATTESTED_EVENT",
    "attest",
    "hashes_of",
    "read_statement",
    "sealed_run",
    "sealed_statement",
    "statement_of",
]

ATTESTATION_FILE, ATTESTED_EVENT = "attestation.json", "attestation.written"
_PAYLOAD = "application/vnd.in-toto+json"
_STATEMENT = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://github.com/camaudit/camaudit/blob/main/docs/signing.md#attestation-v1"
_SUBJECTS = ("report.pdf", "results.json", "per_study.csv", SPEC_FILE, COHORT_FILE, LOCK_FILE)


def attest(run: Path, key: SiteKey) -> None:
    """Write a run's attestation as it is now, and tell its ledger, which the attestation names as it was before.

    Raises:
        OutputError: when a file cannot be read or written, or the ledger does not hold.
    """
    ledger = Ledger(run / LEDGER_FILE, key)
    with written(run / ATTESTATION_FILE) as file:
        content = statement_of(read_spec(run), load_results(run), hashes_of(run), (ledger.head, ledger.length))
        file.write(sealed_run(content, key))
    record_files(ledger, ATTESTED_EVENT, run, [ATTESTATION_FILE])


def sealed_run(statement: Mapping[str, object], key: SiteKey) -> bytes:
    """Return the envelope of a statement, signed."""
    content = json.dumps(statement, sort_keys=True, separators=(",", ":"))
    return sealed(content.encode(), _PAYLOAD, key)


def sealed_statement(
    hashes: Mapping[str, str], predicate_type: str, predicate: Mapping[str, object], key: SiteKey
) -> bytes:
    """Return a signed statement over files: their SHA-256 by name, and what is said of them."""
    subjects = [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in hashes.items()]
    statement = {"_type": _STATEMENT, "subject": subjects, "predicateType": predicate_type, "predicate": predicate}
    return sealed_run(statement, key)


def hashes_of(run: Path, recorded: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the hashes of what is attested: as the ledger has ``recorded`` them, else those of the files.

    Raises:
        OutputError: when a file of the run cannot be read.
    """
    hashes = dict(recorded or {})
    return hashes | {
        name: digest_of_file(run / name) for name in _SUBJECTS if name not in hashes and (run / name).is_file()
    }


def statement_of(
    spec: RunSpec, results: Results, hashes: Mapping[str, str], ledger: tuple[str, int]
) -> dict[str, object]:
    """Return what is stated of a run with these ``hashes`` of files, whose ``ledger`` has this head and length."""
    head, length = ledger
    subjects = [{"name": name, "digest": {"sha256": hashes[name]}} for name in _SUBJECTS if name in hashes]
    predicate = {
        "audit": spec.audit,
        "run": spec.run,
        "program": {"camaudit": spec.program.camaudit, "sha256": spec.program.digest},
        "model": {"sha256": spec.model.sha256, "code": spec.model.code_sha256},
        "cohort": {"sha256": spec.lock.cohort, "studies": results.flow.found},
        "criteria": {"sha256": spec.lock.criteria, "locked_at": spec.lock.locked_at},
        "exploratory": bool(spec.lock.exploratory),
        "ledger": {"head": head, "length": length},
        "finished_at": results.provenance.finished_at,
    }
    return {"_type": _STATEMENT, "subject": subjects, "predicateType": _PREDICATE, "predicate": predicate}


def read_statement(envelope: bytes, public: str) -> dict[str, object]:
    """Return the statement in an attestation that ``public`` signed.

    Raises:
        EnvelopeError: when it is none, or not as it was signed.
    """
    statement = json.loads(unsealed(envelope, _PAYLOAD, public))
    if not isinstance(statement, dict):
        raise EnvelopeError("states nothing")
    return statement
