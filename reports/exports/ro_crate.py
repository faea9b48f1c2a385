"""A run as an RO-Crate (Process Run Crate): its public files, and who made which of them from what, as JSON-LD.

Only files that the run's ledger tells of are taken, and nothing of its private folder.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.files import written
from pipeline.findings.custody.recorded_files import check_file, files_told_by
from pipeline.findings.results import Results
from pipeline.findings.spec import LEDGER_FILE

__all__ = ["crate_metadata", "write_crate"]

METADATA = "ro-crate-metadata.json"
_CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
_CRATE = "https://w3id.org/ro/crate/1.1"
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_PRIVATE = "private/"
_RUN = "run"
"""The folder in the crate that the files lie in, and nothing else, so that it verifies as the run does."""

_KINDS = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".csv": "text/csv",
    ".pdf": "application/pdf",
    ".npz": "application/zip",
    ".parquet": "application/vnd.apache.parquet",
    ".yaml": "application/yaml",
}
_TITLES = {
    "results.json": "Findings of the audit",
    "report.pdf": "Report of the audit",
    "per_study.csv": "Scores, one row a study and map",
    "run.json": "Specification of the run",
    "cohort.json": "Studies by pseudonym, with the hashes of their files",
    "ledger.jsonl": "Signed chain of events",
}
Entity = dict[str, object]


def write_crate(run: Path, results: Results, folder: Path) -> tuple[Path, ...]:
    """Copy a run's public files into a new folder and describe them.

    Raises:
        OutputError: when a file is not the one that the ledger tells of, or cannot be copied.
    """
    recorded = files_told_by(run / LEDGER_FILE)
    public = {name: sha256 for name, sha256 in recorded.items() if not name.startswith(_PRIVATE)}
    files = []
    for name in [*public, LEDGER_FILE]:
        if not (run / name).is_file():  # a report that was withdrawn, an earlier picture
            public.pop(name, None)
            continue
        if name != LEDGER_FILE:
            check_file(run, name, recorded)
        files.append(_copied(run / name, folder / _RUN / name))
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
    public = {f"{_RUN}/{name}": sha256 for name, sha256 in public.items()}
    with written(folder / METADATA) as file:
        file.write(json.dumps(crate_metadata(results, public, sizes), indent=1).encode())
    return (*files, folder / METADATA)


def _copied(source: Path, target: Path) -> Path:
    try:
        with source.open("rb") as content, written(target) as file:
            shutil.copyfileobj(content, file)
    except OSError as error:
        raise OutputError(f"{source}: cannot be copied: {error.strerror}") from error
    return target


def crate_metadata(results: Results, hashes: Mapping[str, str], sizes: Mapping[str, int]) -> Entity:
    """Return the crate's metadata; ``sizes`` are the bytes of each file in it, ``hashes`` what the ledger says."""
    files = list(_files(hashes, sizes))
    graph = [_descriptor(), _root(results, sizes), _run_action(results, sizes), *_things(results), *files]
    return {"@context": _CONTEXT, "@graph": graph}


def _descriptor() -> Entity:
    return {
        "@id": METADATA,
        "@type": "CreativeWork",
        "conformsTo": {"@id": _CRATE},
        "about": {"@id": "./"},
    }


def _root(results: Results, sizes: Mapping[str, int]) -> Entity:
    return {
        "@id": "./",
        "@type": "Dataset",
        "conformsTo": {"@id": _PROFILE},
        "name": f"{results.title}: audit run {results.run}",
        "description": "Where a medical-imaging classifier looked, against experts' masks. Not for diagnosis.",
        "datePublished": results.provenance.finished_at,
        "license": "not stated: ask the organisation that made the run",
        "hasPart": [{"@id": name} for name in sorted(sizes)],
        "mentions": {"@id": "#run"},
    }


def _run_action(results: Results, sizes: Mapping[str, int]) -> Entity:
    return {
        "@id": "#run",
        "@type": "CreateAction",
        "name": results.provenance.command,
        "instrument": {"@id": "#camaudit"},
        "agent": {"@id": "#organisation"},
        "object": [{"@id": "#model"}, {"@id": "#cohort"}, {"@id": "#criteria"}],
        "result": [{"@id": name} for name in sorted(sizes)],
        "startTime": results.provenance.started_at,
        "endTime": results.provenance.finished_at,
        "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
    }


def _things(results: Results) -> Iterator[Entity]:
    """Yield what the run was made with and from: hashes, no files."""
    model, lock = results.model, results.lock
    yield {
        "@id": "#camaudit",
        "@type": "SoftwareApplication",
        "name": "camaudit",
        "version": results.provenance.camaudit,
        "softwareVersion": results.provenance.camaudit,
    }
    yield {"@id": "#organisation", "@type": "Organization", "name": results.organisation or "not stated"}
    yield {
        "@id": "#model",
        "@type": ["SoftwareSourceCode", "CreativeWork"],
        "name": model.name,
        "version": model.version,
        "identifier": f"sha256:{model.sha256}",
        "description": model.architecture,
    }
    yield _hashed("#cohort", "The cohort: its studies' files, as they were", lock.cohort)
    locked = f"locked at {lock.locked_at}" if lock.locked_at else "not locked beforehand: exploratory"
    yield _hashed("#criteria", f"The criteria, {locked}", lock.criteria)


def _hashed(name: str, words: str, digest: str) -> Entity:
    return {"@id": name, "@type": "CreativeWork", "name": words, "identifier": f"sha256:{digest}"}


def _files(hashes: Mapping[str, str], sizes: Mapping[str, int]) -> Iterator[Entity]:
    for name in sorted(sizes):
        entity: Entity = {
            "@id": name,
            "@type": "File",
            "name": _TITLES.get(Path(name).name, name),
            "contentSize": str(sizes[name]),
            "encodingFormat": _KINDS.get(Path(name).suffix, "application/octet-stream"),
        }
        yield {**entity, "sha256": hashes[name]} if name in hashes else entity
