"""The run's attestation against its folder: the signature, every subject's hash, and the ledger that it names."""

import json
from collections.abc import Iterator, Mapping

from pipeline.errors import OutputError
from pipeline.findings.custody.envelope import EnvelopeError
from pipeline.findings.custody.recorded_files import recorded_files
from pipeline.findings.signed.attestation import (
    ATTESTATION_FILE,
    ATTESTED_EVENT,
    hashes_of,
    read_statement,
    statement_of,
)
from pipeline.verify.failure import Failure, FailureKind
from pipeline.verify.run_folder import RunFolder

__all__ = ["check_attestation"]


def check_attestation(run: RunFolder) -> Iterator[Failure]:
    """Yield what the attestation says otherwise than the folder; nothing where there is none, or no ledger to hold."""
    path = run.path / ATTESTATION_FILE
    if run.entries is None or run.public is None or run.spec is None or run.results is None or not path.is_file():
        return
    try:
        statement = read_statement(path.read_bytes(), run.public)
    except EnvelopeError as error:
        yield _failure(str(error))
        return
    except (ValueError, RecursionError):
        yield _failure("is no statement that can be read")
        return
    written = [entry.sequence for entry in run.entries if entry.event == ATTESTED_EVENT]
    before = run.entries[: written[-1]] if written else ()
    if not before:
        return  # the file is none of the run's, which its own check says
    try:
        # a file that is not as the ledger has it is named by its own check; here the ledger is what counts
        hashes = hashes_of(run.path, recorded_files(before))
        stated = statement_of(run.spec, run.results, hashes, (before[-1].hash, len(before)))
        expected = json.loads(json.dumps(stated))
    except OutputError:
        return  # the file's own check names it
    yield from _differences(expected, statement)


def _differences(expected: Mapping[str, object], statement: Mapping[str, object]) -> Iterator[Failure]:
    if statement == expected:
        return
    wanted, stated = expected["predicate"], statement.get("predicate")
    if statement.get("subject") != expected["subject"]:
        yield _failure("is not of the files that the ledger tells of")
    elif isinstance(wanted, dict) and isinstance(stated, dict):
        wrong = next((name for name in wanted if stated.get(name) != wanted[name]), "more than is known")
        yield _failure(f"states another {wrong} than the run")
    else:
        yield _failure("is no statement of a run")


def _failure(why: str) -> Failure:
    return Failure(FailureKind.ATTESTATION, f"{ATTESTATION_FILE} {why}", ATTESTATION_FILE)
