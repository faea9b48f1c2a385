"""The run against the register of locks and looks, where it is the one that this run was entered in."""

from collections.abc import Iterator
from datetime import datetime

from pipeline.errors import OutputError
from pipeline.findings.custody.ledger import LedgerEntry, LedgerError, LedgerFault
from pipeline.findings.custody.register import Register, read_register, register_folder, register_is_here
from pipeline.findings.custody.seen_studies import study_content
from pipeline.findings.custody.site_key import fingerprint_of, site_fingerprint
from pipeline.findings.custody.study_lists import read_study_list
from pipeline.findings.facts import Lock
from pipeline.findings.members.table import MemberTable
from pipeline.findings.spec import RunSpec
from pipeline.verify.failure import Failure, FailureKind
from pipeline.verify.run_folder import RunFolder

__all__ = ["check_register", "register_unchecked"]


def register_unchecked(run: RunFolder) -> str | None:
    """Return why the register cannot be held against the run; None where it can."""
    if run.spec is None or run.public is None:
        return "the register was not asked, because the run's own record does not hold"
    if site_fingerprint() != fingerprint_of(run.public):
        return "the register of looks is with the site that signed this run: who looked before was not checked"
    return None


def check_register(run: RunFolder) -> Iterator[Failure]:
    """Yield what the register of this site says otherwise than the run that it signed."""
    if run.spec is None or register_unchecked(run) is not None:
        return
    folder = register_folder(run.path)
    if not register_is_here(folder):
        yield _failure("the register of looks that this site's key signs is not here: it was moved or deleted")
        return
    try:
        register = read_register(folder)
    except LedgerError as error:
        yield _failure(f"the register of looks does not hold: it is {_WORDS[error.fault]}")
        return
    except OutputError:
        yield _failure("the register of looks cannot be read")
        return
    yield from _entries(run.spec, run.members, register, run.public or "")


_WORDS = {
    LedgerFault.UNREADABLE: "missing or damaged",
    LedgerFault.UNFINISHED: "unfinished",
    LedgerFault.EDITED: "edited",
    LedgerFault.REORDERED: "reordered",
    LedgerFault.MISSING: "short of entries",
    LedgerFault.SIGNATURE: "signed falsely",
    LedgerFault.KEY: "signed with another key",
    LedgerFault.TIME: "out of its times",
    LedgerFault.CUT: "cut",
}

_SAYS_NOT = "this run does not say EXPLORATORY"


def _failure(sentence: str) -> Failure:
    return Failure(FailureKind.REGISTER, sentence)


def _entries(spec: RunSpec, members: MemberTable | None, register: Register, public: str) -> Iterator[Failure]:
    lock, mark = spec.lock, spec.lock.register_mark
    if register.public != public:
        yield _failure("the register of looks was signed with another key than the run")
    if mark is None or not register.holds(mark.length, mark.head):
        yield _failure(
            "the register of looks is not the one that the run was entered in: it was begun anew, or is another"
        )
        return
    looks = [entry for entry in register.entries if entry.event == "look" and entry.body.get("run") == spec.run]
    expected = {"run": spec.run, "weights": lock.model, "lock": lock.digest}
    if not looks or any(looks[0].body.get(name) != value for name, value in expected.items()):
        yield _failure("the register of looks does not know this run, or knows it with other weights or another lock")
    elif not lock.exploratory:
        yield from _looked_before(lock, register, looks[0])
        if lock.open_cohort:
            yield from _had_before(members, register, looks[0])


def _looked_before(lock: Lock, register: Register, look: LedgerEntry) -> Iterator[Failure]:
    """Ask again who had looked at these weights on these studies before the first lock."""
    if lock.locked_at not in [entry.time.isoformat() for entry in register.locks]:
        yield _failure("the register of looks does not know the run's lock, and the run does not say EXPLORATORY")
        return
    first = lock.amendments[0].previous_locked_at if lock.amendments else lock.locked_at
    earlier = register.looks_at(look, datetime.fromisoformat(str(first)))
    if earlier:
        yield _failure(f"run {earlier[0].run} looked before the lock was set, and {_SAYS_NOT}")


def _had_before(members: MemberTable | None, register: Register, look: LedgerEntry) -> Iterator[Failure]:
    """Hold what the run had against what runs under the lock had before it, wherever they were kept.

    Where the list of its own images is lost or altered, which they were is not known, and nothing is told.
    """
    images = read_study_list(register.folder, look.body["cohort"])
    if isinstance(images, str):
        return
    seen = register.seen(look.body["lock"], look.sequence)
    if gone := seen.gone(images):
        yield _failure(f"{gone} of the images that earlier runs under the lock had are gone, and {_SAYS_NOT}")
    if members is None:
        return
    contents = {study_content(member.source_sha256, member.study).encode("ascii") for member in members}
    if altered := len(seen.altered(images, contents)):
        otherwise = "with other masks, another reference, in other groups or under another name"
        yield _failure(f"runs under the lock had {altered} of the images before, {otherwise}, and {_SAYS_NOT}")
