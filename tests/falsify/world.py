"""A planted audit with two finished runs, made once and copied for each falsification."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from flows.commands.verify import verified, verified_with_archive
from flows.conduct import begun, conduct, plainly
from flows.engines import Engine
from flows.request import AuditRequest
from flows.watch import Watcher
from pipeline.checks.config_checks import checked_config
from pipeline.errors import AuditError
from pipeline.findings.custody import chain
from pipeline.findings.custody.recorded_files import digest_of_file
from pipeline.findings.custody.site_key import SiteKey, load_site_key
from pipeline.findings.results import Results, load_results
from pipeline.findings.signed import attestation
from pipeline.findings.spec import RunSpec, read_spec
from pipeline.studies.untrusted.workers import WorkerPool
from reports.pdf import render
from tests.pipeline.planted import plant
from tests.pipeline.steps import lock

STUDIES = 6


@dataclass(frozen=True)
class World:
    """A copy to falsify. ``run`` was locked; ``other`` has another threshold and refers to the maps of ``run``."""

    root: Path
    pool: WorkerPool

    @property
    def config(self) -> Path:
        """The audit's configuration."""
        return self.root / "audit" / "audit.yaml"

    @property
    def runs(self) -> list[Path]:
        """The folders of all runs, the oldest first."""
        return sorted(path.parent for path in (self.root / "audit" / "runs").glob("*/*/run.json"))

    @property
    def run(self) -> Path:
        """The locked run."""
        return self.runs[0]

    @property
    def other(self) -> Path:
        """The run with another threshold."""
        return self.runs[-1]

    def change(self, **keys: object) -> None:
        """Change keys of the configuration; a mapping is merged into its section."""
        content = yaml.safe_load(self.config.read_text())
        for name, value in keys.items():
            content[name] = {**content.get(name, {}), **value} if isinstance(value, Mapping) else value
        self.config.write_text(yaml.safe_dump(content))

    def audit(self, *overrides: str) -> Path:
        """Do what ``camaudit run`` does, without Prefect."""
        request = AuditRequest(checked_config(self.config, overrides), "camaudit run audit.yaml", False)
        engine = Engine([].append, "local")
        return conduct(begun(request, Watcher(), self.pool), engine, Watcher(), plainly)

    def lock(self) -> None:
        """Do what ``camaudit lock`` does."""
        lock(self.config)


@contextmanager
def of_its_own(root: Path) -> Iterator[None]:
    """Let key and register of a world be its own while the block lasts."""
    ours = {"CAMAUDIT_STATE": str(root / "state"), "CAMAUDIT_REGISTER": str(root / "register")}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def make_world(root: Path, pool: WorkerPool) -> World:
    """Plant an archive, lock it, and audit it twice."""
    world = World(root, pool)
    with of_its_own(root):
        plant(root / "audit", STUDIES)
        world.change(run={"engine": "local"})
        world.lock()
        world.audit()
        world.audit("overlap.threshold=0.5")
    return world


def copied(world: World, root: Path) -> World:
    """Copy a world, to be falsified."""
    shutil.copytree(world.root, root)
    return World(root, world.pool)


# what detects


def by_verify(world: World) -> str:
    """Verify the locked run; return its failures, that whose code ends the command first."""
    return _failures(world.run)


def by_verify_of_the_other(world: World) -> str:
    """Verify the run that refers to maps of the locked one."""
    return _failures(world.other)


def by_key(world: World) -> str:
    """Verify with the fingerprint that the site has published."""
    return _failures(world.run, key=load_site_key().fingerprint)


def by_deep(world: World) -> str:
    """Read the archive again."""
    return _words(verified_with_archive(world.run, None, deep=True, recompute=0).failures)


def by_recompute(world: World) -> str:
    """Audit every study anew."""
    return _words(verified_with_archive(world.run, None, deep=False, recompute=STUDIES).failures)


def by_report_alone(world: World) -> str:
    """Verify the report where its folder is not."""
    alone = world.root / "alone.pdf"
    shutil.copy(world.run / "report.pdf", alone)
    return _failures(alone)


def by_exploratory(world: World) -> str:
    """Run the audit; return why it is EXPLORATORY."""
    return " | ".join(load_results(world.audit()).lock.exploratory)


def by_carrying_nothing(world: World) -> str:
    """Run the audit; return what was not carried over and why, and how many studies were."""
    spec = read_spec(world.audit())
    results = load_results(world.runs[-1])
    return " | ".join((*spec.not_carried, f"{results.flow.reused} reused"))


def by_refusal(world: World) -> str:
    """Run the audit; return the sentence that refuses it."""
    try:
        world.audit()
    except AuditError as error:
        return str(error)
    return ""


def _failures(path: Path, key: str | None = None) -> str:
    return _words(verified(path, key).failures)


def _words(failures) -> str:
    return " | ".join(f"{failure.kind.code} {failure.kind.label}: {failure.sentence}" for failure in failures)


# what falsifies


def edit_json(path: Path, edit: Callable[[dict], object]) -> None:
    """Edit a JSON file as a run would have written it."""
    content = json.loads(path.read_text())
    edit(content)
    if path.name == "results.json":
        path.write_text(Results.model_validate(content).model_dump_json(indent=1))
    elif path.name == "run.json":
        path.write_text(RunSpec.model_validate(content).model_dump_json(indent=1))
    else:
        path.write_text(json.dumps(content, indent=1))


def flip(path: Path, place: float = 0.5) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 4
    path.write_bytes(content)


def sign_anew(
    run: Path, key: SiteKey | None = None, edit: Callable[[dict], object] = dict.keys, *, pages: bool = True
) -> None:
    """Be whoever has the key: sign the whole ledger anew over the files as they lie there now.

    The ledger's head in the results is mended, and the report is rendered again (``pages``). ``edit`` changes entries.
    """
    key = key or load_site_key()
    path, previous, lines = run / "ledger.jsonl", "0" * 64, []
    for line in path.read_bytes().splitlines():
        entry = json.loads(line)
        if entry["event"] == "results.written":
            mend_head(run, previous)
        if entry["event"] == "report.rendered" and pages:
            render(run)
        if entry["event"] == "attestation.written":
            put_attestation(run, previous, len(lines), key)
        files = entry["body"].get("files", {})
        for name in list(files):
            files[name] = digest_of_file(run / name)
        edit(entry)
        if entry["event"] == "ledger.opened":
            entry["body"]["public"] = key.public
        entry |= {"previous": previous, "key": key.fingerprint}
        del entry["hash"], entry["signature"]
        previous = chain._digest(entry)
        entry |= {"hash": previous, "signature": key.sign(chain._statement(previous))}
        lines.append(chain._canonical(entry).encode() + b"\n")
    path.write_bytes(b"".join(lines))


def put_attestation(run: Path, head: str, length: int, key: SiteKey) -> None:
    """Attest what lies in a run's folder now, with its ledger up to here."""
    statement = attestation.statement_of(read_spec(run), load_results(run), attestation.hashes_of(run), (head, length))
    (run / attestation.ATTESTATION_FILE).write_bytes(attestation.sealed_run(statement, key))


def mend_head(run: Path, head: str) -> None:
    """Put the ledger's new head into the results."""
    edit_json(run / "results.json", lambda results: results["provenance"].update(ledger_head=head))
