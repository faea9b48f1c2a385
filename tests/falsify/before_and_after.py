"""What is done around a run: changes after the lock, looks before it, the register, runs that build on forged ones."""

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from unittest.mock import patch

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipeline.findings.custody.site_key import SiteKey
from pipeline.findings.lock import LockFile
from pipeline.findings.shards import write_shard
from pipeline.findings.spec import read_spec
from tests.falsify.falsification import Falsification
from tests.falsify.insiders import edit_rows, perfect, said_in
from tests.falsify.world import (
    World,
    by_carrying_nothing,
    by_exploratory,
    by_refusal,
    edit_json,
    flip,
    sign_anew,
)
from tests.pipeline.planted import write_manifest


def changed(**keys: object) -> Callable[[World], None]:
    """Return what changes the configuration after the lock."""
    return lambda world: world.change(**keys)


def looked_first(**keys: object) -> Callable[[World], None]:
    """Return what runs before it locks: the looks that there are, and one more, under changed keys; none is left."""

    def falsify(world: World) -> None:
        (world.config.with_name("audit.lock.yaml")).unlink()
        world.change(**keys)
        for run in world.runs:
            shutil.rmtree(run)
        world.lock()

    return falsify


def in_another_folder(world: World) -> None:
    """Lock and run a copy of the audit elsewhere, after a look here."""
    elsewhere = world.root / "elsewhere"
    shutil.copytree(world.root / "audit", elsewhere, ignore=shutil.ignore_patterns("runs", "*.lock.yaml"))
    shutil.rmtree(world.root / "audit")
    elsewhere.rename(world.root / "audit")
    world.lock()


def fewer_studies(world: World) -> None:
    """Lock and run without a study that came out badly, after a look at all."""
    world.config.with_name("audit.lock.yaml").unlink()
    study_removed(world)
    world.lock()


def study_removed(world: World) -> None:
    """Leave a study out of the manifest."""
    manifest = world.root / "audit" / "archive" / "manifest.csv"
    with manifest.open() as file:
        rows = list(csv.DictReader(file))
    write_manifest(manifest.parent, rows[1:])


def mask_altered(world: World) -> None:
    """Put another reader's mask in the place of one."""
    archive = world.root / "audit" / "archive"
    shutil.copy(archive / "study00_ben.nii.gz", archive / "study00_anna.nii.gz")


def code_altered(world: World) -> None:
    """Add a line to what builds the model."""
    path = world.root / "audit" / "planted_network.py"
    path.write_text(path.read_text() + "\n# another code\n")


def by_another_program(detect: Callable[[World], str]) -> Callable[[World], str]:
    """Return what detects, with a program whose sources were edited."""

    def detected(world: World) -> str:
        with (
            patch("pipeline.runs.locking.program_digest", lambda: "0" * 64),
            patch("pipeline.runs.start.program_digest", lambda: "0" * 64),
        ):
            return detect(world)

    return detected


def lock_edited(edit: Callable[[dict], object], key: Callable[[], SiteKey] | None = None) -> Callable[[World], None]:
    """Return what edits the lock, and signs it with a key of one's own where there is one."""

    def falsify(world: World) -> None:
        path = world.config.with_name("audit.lock.yaml")
        content = json.loads(path.read_text())
        edit(content)
        path.write_text(json.dumps(content))
        if key is not None:
            own = key()
            lock = LockFile.model_validate({**content, "public": own.public})
            path.write_text(lock.signed(own).model_dump_json())

    return falsify


def own_key() -> SiteKey:
    """Return a key of one's own."""
    return SiteKey(Ed25519PrivateKey.generate())


def this_site() -> SiteKey:
    """Return the site's key."""
    from pipeline.findings.custody.site_key import load_site_key

    return load_site_key()


def register_lines(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[World], None]:
    """Return what changes the register's lines."""

    def falsify(world: World) -> None:
        path = world.root / "register" / "register.jsonl"
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    return falsify


def register_deleted(world: World) -> None:
    """Delete the register."""
    shutil.rmtree(world.root / "register")


def register_rebuilt(world: World) -> None:
    """Delete the register, and begin another by a lock of something else."""
    register_deleted(world)
    with_other_weights(world, world.lock)


def with_other_weights(world: World, act: Callable[[], object]) -> None:
    """Act while the configuration names another model; lock and configuration are as before then."""
    paths = [world.config, world.config.with_name("audit.lock.yaml")]
    before: Mapping[Path, bytes] = {path: path.read_bytes() for path in paths}
    world.change(model={"arguments": {"sign": -1.0}})
    act()
    for path, content in before.items():
        path.write_bytes(content)


def register_cut_with_its_head(world: World) -> None:
    """Cut the register back to before this run, the head beside it, too: be whoever has the key."""
    from pipeline.findings.custody import register

    folder = world.root / "register"
    path = folder / "register.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)[:2]
    path.write_bytes(b"".join(lines))
    head = {"length": 2, "head": json.loads(lines[-1])["hash"]}
    signature = this_site().sign(register._head_statement(head))
    (folder / "register.head.json").write_text(json.dumps({**head, "signature": signature}))


def forged_shard(world: World) -> None:
    """Forge the rows of all runs, and leave only the first."""
    shutil.rmtree(world.other)
    edit_rows(world.run, perfect)


def forged_map(world: World) -> None:
    """Alter the maps that are to be carried over."""
    shutil.rmtree(world.other)
    for path in (world.run / "maps").glob("*.npz"):
        flip(path)


def forged_ledger(world: World) -> None:
    """Forge rows, and sign them with another key."""
    forged_shard(world)
    sign_anew(world.run, own_key())


def edited_ledger(world: World) -> None:
    """Edit the ledger of what is to be carried over."""
    shutil.rmtree(world.other)
    flip(world.run / "ledger.jsonl")


def forged_reuse(world: World) -> None:
    """Forge what a run says that it carried over."""
    path = world.other / "shards" / "reused.parquet"
    from pipeline.findings.shards import read_shard

    write_shard(path, [perfect(audit) for audit in read_shard(path)], read_spec(world.other).recipes)


def look_unentered(world: World) -> None:
    """Give a run another name than the register knows."""
    edit_json(world.run / "run.json", lambda spec: spec.update(run="20200101T000000000Z" + spec["run"][-9:]))
    sign_anew(world.run)


def look_then_hidden(world: World) -> None:
    """Look, lock, run, and strike the look from what the run says of itself."""
    looked_first()(world)
    run = world.audit()
    for name in ("run.json", "results.json"):
        edit_json(run / name, lambda content: content["lock"].update(exploratory=[]))
    sign_anew(run, edit=said_in(run))


AFTER_THE_LOCK = tuple(
    Falsification(f"{name} after the lock", falsify, f"{says} after the lock", by_exploratory)
    for name, falsify, says in (
        ("a threshold", changed(overlap={"threshold": 0.4}), "the configuration changed"),
        ("a method", changed(explain={"methods": ["gradcam"]}), "the configuration changed"),
        (
            "the criteria",
            changed(criteria=[{"metric": "iou", "method": "gradcam", "at_least": 0.01}]),
            "the acceptance criteria changed",
        ),
        ("the seed", changed(run={"seed": 7}), "the number of replicates or the seed changed"),
        ("the replicates", changed(run={"replicates": 300}), "the number of replicates or the seed changed"),
        (
            "the cases that are shown",
            changed(report={"cases": {"worst": 0, "best": 3}}),
            "the choice of the cases that are shown changed",
        ),
        ("the weights", changed(model={"arguments": {"sign": -1.0}}), "the model's weights changed"),
        ("the model's code", code_altered, "the code that builds the model changed"),
        ("a mask", mask_altered, "altered in the cohort"),
        ("the cohort", study_removed, "removed from the cohort"),
    )
)

LOOKS = tuple(
    Falsification(
        f"a look, {name}, then the lock", falsify, "looked at these weights on studies of this cohort", by_exploratory
    )
    for name, falsify in (
        ("its run deleted", looked_first()),
        ("under another name", looked_first(name="renamed")),
        ("with another seed", looked_first(run={"seed": 9})),
        ("with another method", looked_first(explain={"methods": ["layercam", "gradcam"]})),
        ("with another threshold", looked_first(overlap={"threshold": 0.3})),
        ("in another folder", in_another_folder),
        ("at a study more", fewer_studies),
    )
)

LOCKS = (
    Falsification(
        "camaudit edited after the lock",
        lambda world: None,
        "camaudit itself changed",
        by_another_program(by_exploratory),
    ),
    Falsification(
        "nothing locked",
        lambda world: world.config.with_name("audit.lock.yaml").unlink(),
        "nothing was locked",
        by_exploratory,
    ),
    Falsification(
        "the lock's date set back",
        lock_edited(lambda lock: lock.update(locked_at="2020-01-01T00:00:00+00:00")),
        "is not as it was signed",
        by_refusal,
    ),
    Falsification(
        "a study struck from the lock",
        lock_edited(lambda lock: lock["studies"].popitem()),
        "is not as it was signed",
        by_refusal,
    ),
    Falsification(
        "the lock opened",
        lock_edited(lambda lock: lock.update(open_cohort=True)),
        "is not as it was signed",
        by_refusal,
    ),
    Falsification(
        "the lock signed with another key",
        lock_edited(lambda lock: None, own_key),
        "signed with another key",
        by_exploratory,
    ),
    Falsification(
        "the lock's date set back, signed",
        lock_edited(lambda lock: lock.update(locked_at="2020-01-01T00:00:00+00:00"), this_site),
        "the lock's time is not the one of its entry",
        by_exploratory,
    ),
    Falsification(
        "the register deleted after the lock", register_deleted, "there is no register of looks here", by_exploratory
    ),
    Falsification("the register rebuilt after the lock", register_rebuilt, "does not know this lock", by_exploratory),
    Falsification(
        "the register's end cut off", register_lines(lambda lines: lines[:-1]), "its end was cut off", by_refusal
    ),
    Falsification(
        "a look struck from the register", register_lines(lambda lines: [*lines[:2], *lines[3:]]), "missing", by_refusal
    ),
    Falsification(
        "the register cut, after the run",
        register_lines(lambda lines: lines[:-1]),
        "61 register: the register of looks does not hold: it is cut",
    ),
    Falsification(
        "the register deleted, after the run",
        register_deleted,
        "61 register: the register of looks that this site's key signs is not here",
    ),
    Falsification(
        "the register rebuilt, after the run", register_rebuilt, "61 register: the register of looks is not the one"
    ),
    Falsification("the register cut with its head, after the run", register_cut_with_its_head, "61 register"),
    Falsification("a look struck from the run", look_then_hidden, "61 register: run "),
    Falsification("a run under a name that the register does not know", look_unentered, "50 results"),
)

CARRIED = (
    Falsification(
        "a forged shard, then a plain run",
        forged_shard,
        "is not used: is not the file that the run wrote",
        by_carrying_nothing,
    ),
    Falsification("a forged map, then a plain run", forged_map, "maps/0000.npz is not used", by_carrying_nothing),
    Falsification(
        "a ledger by another key, then a plain run", forged_ledger, "nothing of it is used", by_carrying_nothing
    ),
    Falsification("an edited ledger, then a plain run", edited_ledger, "nothing of it is used", by_carrying_nothing),
    Falsification(
        "what was carried over forged, then a plain run",
        forged_reuse,
        "shards/reused.parquet is not used",
        by_carrying_nothing,
    ),
    Falsification(
        "another program, then a plain run", lambda world: None, "0 reused", by_another_program(by_carrying_nothing)
    ),
)

BEFORE_AND_AFTER = (*AFTER_THE_LOCK, *LOOKS, *LOCKS, *CARRIED)
