"""What somebody can do who may write the folder and has no key: every change of a byte is named."""

import json
import shutil
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipeline.findings.custody import chain
from pipeline.findings.custody.site_key import SiteKey
from tests.falsify.falsification import Falsification
from tests.falsify.world import World, by_key, by_report_alone, by_verify_of_the_other, edit_json, flip, sign_anew


def lines(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[World], None]:
    """Return what changes the ledger's lines."""

    def falsify(world: World) -> None:
        path = world.run / "ledger.jsonl"
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    return falsify


def entry_edited(line: bytes, *, hashed: bool = False) -> bytes:
    """Say that one study more was locked; with a hash that fits, where it is ``hashed``."""
    entry = json.loads(line)
    entry["body"]["studies"] = 7
    if hashed:
        facts = {name: value for name, value in entry.items() if name not in ("hash", "signature")}
        entry["hash"] = chain._digest(facts)
    return chain._canonical(entry).encode() + b"\n"


def bit(name: str, place: float = 0.5) -> Callable[[World], None]:
    """Return what flips a bit of a file of the run; ``*`` stands for the first that there is."""

    def falsify(world: World) -> None:
        flip(sorted(world.run.glob(name))[0], place)

    return falsify


def results(edit: Callable[[dict], object]) -> Callable[[World], None]:
    """Return what edits the results."""
    return lambda world: edit_json(world.run / "results.json", edit)


def look_hidden(world: World) -> None:
    """Let an exploratory run say that it was locked."""
    edit_json(world.other / "results.json", lambda results: results["lock"].update(exploratory=[]))


def cases_exchanged(world: World) -> None:
    """Show each case's picture for another's."""
    first, second = sorted((world.run / "cases").glob("*.npz"))[:2]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def nan_in_results(world: World) -> None:
    """Write a number that is none."""
    path = world.run / "results.json"
    path.write_text(path.read_text().replace('"lost_at_most": 0.05', '"lost_at_most": NaN'))


def linked(world: World) -> None:
    """Put a link in a file's place, to the same bytes elsewhere."""
    path, away = world.run / "per_study.csv", world.root / "away.csv"
    shutil.move(path, away)
    path.symlink_to(away)


def another_key(world: World) -> None:
    """Sign everything anew with a key of one's own, and say so."""
    key = SiteKey(Ed25519PrivateKey.generate())
    edit_json(world.run / "run.json", lambda spec: spec["lock"].update(site_key=key.fingerprint))
    edit_json(world.run / "results.json", lambda results: results["lock"].update(site_key=key.fingerprint))
    sign_anew(world.run, key)


def other_report(world: World) -> None:
    """Put another run's report in the place of this one's."""
    shutil.copy(world.other / "report.pdf", world.run / "report.pdf")


def attachment_exchanged(world: World) -> None:
    """Let the report carry results with another title."""
    import pikepdf

    path = world.run / "report.pdf"
    with pikepdf.open(path, allow_overwriting_input=True) as pdf:
        content = pdf.attachments["results.json"].get_file().read_bytes().replace(b"Saliency audit", b"Sound audit")
        pdf.attachments["results.json"] = pikepdf.AttachedFileSpec(pdf, content, filename="results.json")
        pdf.save(path)


def page_exchanged(world: World) -> None:
    """Let the report show the cover of another run's."""
    import pikepdf

    path = world.run / "report.pdf"
    with pikepdf.open(path, allow_overwriting_input=True) as pdf, pikepdf.open(world.other / "report.pdf") as other:
        del other.pages[0].obj.Annots  # its boxes for signatures: fields of the form stay behind
        pdf.pages[0] = other.pages[0]
        pdf.save(path)


def map_of_the_earlier_run(world: World) -> None:
    """Alter a map that another run refers to."""
    flip(sorted((world.run / "maps").glob("*.npz"))[0])


OUTSIDERS = (
    # the ledger
    Falsification("an entry edited", lines(lambda all: [*all[:4], entry_edited(all[4]), *all[5:]]), "12 ledger_edited"),
    Falsification(
        "an entry edited, its hash mended",
        lines(lambda all: [*all[:4], entry_edited(all[4], hashed=True), *all[5:]]),
        "17 ledger_signature",
    ),
    Falsification(
        "two lines exchanged", lines(lambda all: [*all[:2], all[3], all[2], *all[4:]]), "13 ledger_reordered"
    ),
    Falsification("a line twice", lines(lambda all: [*all[:3], all[2], *all[3:]]), "13 ledger_reordered"),
    Falsification("a line taken out", lines(lambda all: [*all[:3], *all[4:]]), "14 ledger_missing"),
    Falsification("the last line cut off", lines(lambda all: all[:-1]), "32 file_unknown"),
    Falsification("the end cut off", lines(lambda all: all[:-3]), "18 ledger_cut"),
    Falsification("all but the start cut off", lines(lambda all: all[:6]), "18 ledger_cut"),
    Falsification("half a line cut off", lines(lambda all: [*all[:-1], all[-1][:40]]), "11 ledger_unfinished"),
    Falsification("the ledger emptied", lines(lambda all: []), "10 ledger_unreadable"),
    Falsification("the ledger removed", lambda world: (world.run / "ledger.jsonl").unlink(), "10 ledger_unreadable"),
    Falsification(
        "another run's ledger", lambda world: shutil.copy(world.other / "ledger.jsonl", world.run), "30 file_altered"
    ),
    Falsification("rebuilt with another key", another_key, "19 other_key", by_key),
    Falsification("rebuilt with another key, nobody asking for one", another_key, "60 lock"),
    # its files
    Falsification(
        "a verdict edited", results(lambda all: all["verdicts"][0].update(answer="NOT MET")), "30 file_altered"
    ),
    Falsification("a bound edited", results(lambda all: all["estimates"][0].update(low=0.9)), "30 file_altered"),
    Falsification("a look hidden", look_hidden, "30 file_altered", by_verify_of_the_other),
    Falsification("a number that is none", nan_in_results, "30 file_altered"),
    Falsification("the results removed", lambda world: (world.run / "results.json").unlink(), "31 file_missing"),
    Falsification("a bit of a shard", bit("shards/*"), "30 file_altered"),
    Falsification("a bit of the maps", bit("maps/*"), "30 file_altered"),
    Falsification("a bit of a case", bit("cases/*"), "30 file_altered"),
    Falsification("a bit of the input's picture", bit("model-input.npz"), "30 file_altered"),
    Falsification("a bit of the table", bit("per_study.csv"), "30 file_altered"),
    Falsification("a bit of the report", bit("report.pdf"), "30 file_altered"),
    Falsification("a bit of the lock", bit("audit.lock.yaml"), "30 file_altered"),
    Falsification("a bit of the specification", bit("run.json"), "30 file_altered"),
    Falsification("a bit of the cohort", bit("cohort.json"), "30 file_altered"),
    Falsification("a bit of the private file", bit("private/sources.json"), "30 file_altered"),
    Falsification(
        "a study dropped", lambda world: edit_json(world.run / "cohort.json", lambda all: all.pop()), "30 file_altered"
    ),
    Falsification("cases exchanged", cases_exchanged, "30 file_altered"),
    Falsification("cases removed", lambda world: shutil.rmtree(world.run / "cases"), "31 file_missing"),
    Falsification(
        "a shard added",
        lambda world: shutil.copy(world.run / "shards/0000.parquet", world.run / "shards/0009.parquet"),
        "32 file_unknown",
    ),
    Falsification("a link in a file's place", linked, "30 file_altered"),
    Falsification("another run's report", other_report, "30 file_altered"),
    Falsification("another attachment", attachment_exchanged, "30 file_altered"),
    Falsification("another cover", page_exchanged, "30 file_altered"),
    Falsification("another attachment, without the folder", attachment_exchanged, "71 pdf_attachment", by_report_alone),
    Falsification("another cover, without the folder", page_exchanged, "72 pdf_pages", by_report_alone),
    Falsification(
        "a map of an earlier run altered", map_of_the_earlier_run, "46 carried_altered", by_verify_of_the_other
    ),
    Falsification(
        "an earlier run removed",
        lambda world: shutil.rmtree(world.run),
        "45 carried_absent",
        by_verify_of_the_other,
    ),
)
