"""What whoever holds the key can do: every hash, signature and page fits, and only computing again tells."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.conclusions.conclude import conclude, shown_in
from pipeline.conclusions.equivalent_maps import equivalent_maps, mapped_places
from pipeline.conclusions.per_study_csv import columns_of, per_study_csv
from pipeline.findings.custody.recorded_files import digest_of_file
from pipeline.findings.results import load_results
from pipeline.findings.scores import Score
from pipeline.findings.shards import map_digest, read_shard, write_shard
from pipeline.findings.spec import read_members, read_spec
from pipeline.findings.study_audit import StudyAudit, methods_at_layers
from tests.falsify.falsification import Falsification
from tests.falsify.outsiders import attachment_exchanged, page_exchanged
from tests.falsify.world import World, by_deep, by_recompute, edit_json, sign_anew


def results(edit: Callable[[dict], object]) -> Callable[[World], None]:
    """Return what edits the results, and signs."""
    return signed("results.json", edit)


def signed(name: str, edit: Callable[[dict], object], **options: object) -> Callable[[World], None]:
    """Return what edits a JSON file of the run, and signs; a run's name and lock are edited in both places."""

    def falsify(world: World) -> None:
        edit_json(world.run / name, edit)
        sign_anew(world.run, **options)

    return falsify


def specification(edit: Callable[[dict], object]) -> Callable[[World], None]:
    """Return what edits the specification, draws the conclusions anew from it, and signs."""

    def falsify(world: World) -> None:
        edit_json(world.run / "run.json", edit)
        conclude_anew(world.run)
        sign_anew(world.run, edit=said_in(world.run))

    return falsify


def said_in(run: Path) -> Callable[[dict], None]:
    """Return what lets the ledger's events say what the specification says."""
    spec, members = read_spec(run), read_members(run)
    lock = spec.lock
    bodies = {
        "criteria.locked": {"criteria": lock.criteria, "locked_at": lock.locked_at},
        "configuration.locked": {"recipe": lock.recipe, "exploratory": list(lock.exploratory)},
        "model.hashed": {"sha256": lock.model, "code": spec.model.code_sha256},
        "cohort.locked": {"cohort": lock.cohort, "studies": len(members)},
    }
    return lambda entry: entry["body"].update(bodies.get(entry["event"], {}))


def rows(edit: Callable[[StudyAudit], StudyAudit], *, concluded: bool = False) -> Callable[[World], None]:
    """Return what edits the first row with a map, and signs; conclusions are drawn from it if ``concluded``."""

    def falsify(world: World) -> None:
        edit_rows(world.run, edit)
        if concluded:
            conclude_anew(world.run)
        sign_anew(world.run)

    return falsify


def edit_rows(run: Path, edit: Callable[[StudyAudit], StudyAudit]) -> None:
    """Edit the first row with a map."""
    path, audits = shard_with_maps(run)
    number = next(number for number, audit in enumerate(audits) if audit.map_scores)
    audits[number] = edit(audits[number])
    write_shard(path, audits, read_spec(run).recipes)


def shard_with_maps(run: Path) -> tuple[Path, list[StudyAudit]]:
    """Return the first shard."""
    path = sorted((run / "shards").glob("*.parquet"))[0]
    return path, read_shard(path)


def conclude_anew(run: Path) -> None:
    """Write results and table as they follow from the rows."""
    spec, members = read_spec(run), read_members(run)
    by_study = {audit.study: audit for path in sorted((run / "shards").glob("*.parquet")) for audit in read_shard(path)}
    audits = [by_study[member.study] for member in members]
    shown = shown_in(load_results(run))
    made = shown.provenance.model_copy(
        update={"seed": spec.config.run.seed, "replicates": spec.config.run.replicates, "started_at": spec.started_at}
    )
    shown = replace(
        shown,
        provenance=made,
        equivalent=equivalent_maps(run, audits, mapped_places(audits), methods_at_layers(audits)),
    )
    results = conclude(spec, members, audits, shown)
    (run / "results.json").write_text(results.model_dump_json(indent=1))
    (run / "per_study.csv").write_bytes(b"".join(per_study_csv(audits, spec.metrics, columns_of(audits))))


def perfect(audit: StudyAudit) -> StudyAudit:
    """Give every map a perfect overlap."""
    entries = [
        entry.model_copy(update={"scores": tuple(Score(name=score.name, value=1.0) for score in entry.scores)})
        for entry in audit.map_scores
    ]
    return audit.model_copy(update={"map_scores": tuple(entries)})


def peaks_moved(audit: StudyAudit) -> StudyAudit:
    """Say that every map has its peak somewhere else."""
    return _with_peaks(audit, position_mm=(-3.0, 5.0, 7.0), region="lesion")


def peaks_renamed(audit: StudyAudit) -> StudyAudit:
    """Say that the peaks would lie outside the body, were there no mask."""
    return _with_peaks(audit, body_region="outside")


def _with_peaks(audit: StudyAudit, **changes: object) -> StudyAudit:
    entries = [
        entry if entry.peak is None else entry.model_copy(update={"peak": entry.peak.model_copy(update=changes)})
        for entry in audit.map_scores
    ]
    return audit.model_copy(update={"map_scores": tuple(entries)})


def lost(audit: StudyAudit) -> StudyAudit:
    """Say that a study was excluded."""
    return StudyAudit(
        study=audit.study,
        patient=audit.patient,
        source_sha256=audit.source_sha256,
        status="excluded",
        stage="read",
        reason="other_grid",
        message="the mask lies on another grid",
    )


def without_a_reader(audit: StudyAudit) -> StudyAudit:
    """Leave out what was measured against a reader."""
    kept = tuple(entry for entry in audit.map_scores if entry.reader != "ben")
    return audit.model_copy(update={"map_scores": kept})


def another_map(world: World, *, mended: bool) -> None:
    """Put another map into the place of one; its hash in the row is ``mended``."""
    path = sorted((world.run / "maps").glob("*.npz"))[0]
    with np.load(path) as file:
        arrays = dict(file)
    key = next(key for key in arrays if "/gradcam/" in key and not key.endswith("/affine"))
    arrays[key] = arrays[key][::-1].copy()
    np.savez_compressed(path, **arrays)
    if mended:
        study = key.split("/")[0]
        shard, audits = shard_with_maps(world.run)
        audits = [with_map(audit, key, map_digest(arrays[key])) if audit.study == study else audit for audit in audits]
        write_shard(shard, audits, read_spec(world.run).recipes)
        conclude_anew(world.run)
    sign_anew(world.run)


def with_map(audit: StudyAudit, key: str, sha256: str) -> StudyAudit:
    """Say that a map has another hash."""
    entries = [
        entry.model_copy(update={"map_sha256": sha256}) if str(entry.map).endswith(key) else entry
        for entry in audit.map_scores
    ]
    return audit.model_copy(update={"map_scores": tuple(entries)})


def study_dropped(world: World) -> None:
    """Leave a study out of the cohort, and nobody else."""
    edit_json(world.run / "cohort.json", lambda members: members.pop())
    sign_anew(world.run, edit=said_in(world.run))


def study_dropped_from_rows(world: World) -> None:
    """Leave a study out of the rows."""
    path, audits = shard_with_maps(world.run)
    write_shard(path, audits[1:], read_spec(world.run).recipes)
    sign_anew(world.run)


def other_bytes(world: World) -> None:
    """Say that a study was of other bytes."""
    edit_json(world.run / "cohort.json", lambda members: members[0].update(source_sha256="0" * 64))
    sign_anew(world.run)


def other_recipe(world: World) -> None:
    """Take rows that were measured with another threshold."""
    path, audits = shard_with_maps(world.run)
    write_shard(path, audits, read_spec(world.other).recipes)
    sign_anew(world.run)


def of_the_other(name: str) -> Callable[[World], None]:
    """Return what takes a file of the run with another threshold, and signs."""

    def falsify(world: World) -> None:
        shutil.copy(sorted(world.other.glob(name))[0], sorted(world.run.glob(name))[0])
        sign_anew(world.run)

    return falsify


def nan_in_rows(world: World) -> None:
    """Write a score that is no number."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = sorted((world.run / "shards").glob("*.parquet"))[0]
    table = pq.read_table(path)
    column = pa.array([float("nan")] * table.num_rows, pa.float64())
    pq.write_table(table.set_column(table.schema.get_field_index("mask_share"), "mask_share", column), path)
    sign_anew(world.run)


def table_edited(world: World) -> None:
    """Edit the table alone."""
    path = world.run / "per_study.csv"
    path.write_text(path.read_text().replace("analysed", "excluded", 1))
    sign_anew(world.run)


def report_edited(edit: Callable[[World], None]) -> Callable[[World], None]:
    """Return what edits the report alone, and signs."""

    def falsify(world: World) -> None:
        edit(world)
        sign_anew(world.run, pages=False)

    return falsify


def resaved(world: World) -> None:
    """Save the report by another program: the same pages, other bytes."""
    import pikepdf

    with pikepdf.open(world.run / "report.pdf", allow_overwriting_input=True) as pdf:
        pdf.save(world.run / "report.pdf")


def times_set_back(world: World) -> None:
    """Let the inference have started a year before the lock, by the ledger."""

    def edit(entry: dict) -> None:
        if entry["event"] == "inference.started":
            entry["time"] = entry["time"].replace("2026", "2025").replace("2027", "2025")

    sign_anew(world.run, edit=edit)


def event_edited(world: World) -> None:
    """Let the ledger say that fewer studies were carried over than were."""

    def edit(entry: dict) -> None:
        if entry["event"] == "cohort.locked":
            entry["body"]["reused"] += 1

    sign_anew(world.run, edit=edit)


def event_renamed(world: World) -> None:
    """Let the ledger lack that the criteria were locked before the first inference."""

    def edit(entry: dict) -> None:
        if entry["event"] == "criteria.locked":
            entry["event"] = "criteria.noted"

    sign_anew(world.run, edit=edit)


def look_hidden(world: World) -> None:
    """Let an exploratory run say that it was locked, everywhere."""
    edit_json(world.other / "run.json", lambda spec: spec["lock"].update(exploratory=[]))
    edit_json(world.other / "results.json", lambda results: results["lock"].update(exploratory=[]))
    sign_anew(world.other, edit=said_in(world.other))


def of_the_look_hidden(world: World) -> str:
    """Verify the run with another threshold."""
    from tests.falsify.world import by_verify_of_the_other

    return by_verify_of_the_other(world)


def easier(spec: dict) -> None:
    """Ask for less than was locked."""
    spec["configuration"]["criteria"][0]["at_least"] = 0.01


def year_before(spec: dict) -> None:
    """Let the run have started a year before."""
    spec["started_at"] = str(int(spec["started_at"][:4]) - 1) + spec["started_at"][4:]


def verdict(results: dict) -> None:
    """Turn a verdict."""
    answer = results["verdicts"][0]["answer"]
    results["verdicts"][0]["answer"] = "NOT MET" if answer == "MET" else "MET"


def bound(results: dict) -> None:
    """Raise a bound."""
    estimate = next(each for each in results["estimates"] if each["value"] is not None)
    estimate["value"] = 0.123


def beyond(audit: StudyAudit) -> StudyAudit:
    """Give every map a score that no overlap can have."""
    entries = [
        entry.model_copy(update={"scores": tuple(Score(name=score.name, value=1.5) for score in entry.scores)})
        for entry in audit.map_scores
    ]
    return audit.model_copy(update={"map_scores": tuple(entries)})


def last_digit(results: dict) -> None:
    """Narrow an interval by the last of the digits that it has, and no more."""
    estimate = next(each for each in results["estimates"] if each["low"])
    estimate["low"] = round(estimate["low"] + 1e-8, 8)


def laid_out_otherwise(world: World) -> None:
    """Write the same results in more lines: what is signed could then say more than is looked at."""
    path = world.run / "results.json"

    def lay_out(entry: dict) -> None:
        if entry["event"] == "results.written":
            path.write_text(json.dumps(json.loads(path.read_text()), indent=2))
            entry["body"]["files"][path.name] = digest_of_file(path)

    sign_anew(world.run, edit=lay_out)


def everywhere(results: dict) -> None:
    """Narrow every interval, of estimates and of verdicts: no other place contradicts it."""
    for each in (*results["estimates"], *(verdict["estimate"] for verdict in results["verdicts"])):
        if each["low"] is not None:
            each["low"] = round((each["low"] + each["value"]) / 2, 8)


INSIDERS = (
    Falsification("a verdict turned", results(verdict), "50 results: results.json: verdicts.0.answer"),
    Falsification("a bound moved by its last digit", results(last_digit), "50 results: results.json: estimates"),
    Falsification("results laid out otherwise", laid_out_otherwise, "50 results: results.json is not written as a run"),
    Falsification("scores beyond their scale", rows(beyond), "50 results: nothing follows from the rows"),
    Falsification("all bounds narrowed", results(everywhere), "50 results: results.json: estimates"),
    Falsification("an estimate raised", results(bound), "50 results: results.json: estimates"),
    Falsification("a case's reason edited", results(lambda all: all["cases"][0].update(rule="typical")), "50 results"),
    Falsification("equivalent maps hidden", results(lambda all: all.update(equivalent_methods=[])), "52 equivalent"),
    Falsification(
        "another case's picture",
        results(lambda all: all["cases"][0].update({key: all["cases"][1][key] for key in ("panels", "picture")})),
        "53 pictures",
    ),
    Falsification(
        "another case's volume",
        results(lambda all: all["cases"][0].update(volume=all["cases"][1]["panels"])),
        "53 pictures",
    ),
    Falsification(
        "a picture from elsewhere", results(lambda all: all["inputs"].update(picture="cohort.json")), "53 pictures"
    ),
    Falsification("another device", results(lambda all: all["provenance"].update(device="cuda")), "54 provenance"),
    Falsification(
        "the end set back",
        results(lambda all: all["provenance"].update(finished_at="2020-01-01T00:00:00+00:00")),
        "54 provenance",
    ),
    Falsification("scores made perfect", rows(perfect), "50 results"),
    Falsification("scores made perfect, conclusions too", rows(perfect, concluded=True), "81 scores", by_deep),
    Falsification("peaks moved", rows(peaks_moved, concluded=True), "44 map"),
    Falsification("peaks renamed, conclusions too", rows(peaks_renamed, concluded=True), "81 scores", by_deep),
    Falsification("a study moved to excluded", rows(lost), "43 counts"),
    Falsification("a study moved to excluded, conclusions too", rows(lost, concluded=True), "81 scores", by_deep),
    Falsification("a reader left out", rows(without_a_reader), "50 results"),
    Falsification("a reader left out, conclusions too", rows(without_a_reader, concluded=True), "81 scores", by_deep),
    Falsification("a score that is none", nan_in_rows, "33 unreadable"),
    Falsification("a study left out of the rows", study_dropped_from_rows, "40 members"),
    Falsification("a study left out of the cohort", study_dropped, "34 specification"),
    Falsification("a study of other bytes", other_bytes, "41 source"),
    Falsification("rows by another recipe", other_recipe, "42 recipe"),
    Falsification("rows of another run", of_the_other("shards/*.parquet"), "40 members"),
    Falsification("results of another run", of_the_other("results.json"), "50 results"),
    Falsification("the table of another run", of_the_other("per_study.csv"), "51 table"),
    Falsification("another map", lambda world: another_map(world, mended=False), "44 map"),
    Falsification("another map, its hash mended", lambda world: another_map(world, mended=True), "81 scores", by_deep),
    Falsification(
        "another map, its hash mended, the model asked",
        lambda world: another_map(world, mended=True),
        "82 recomputed",
        by_recompute,
    ),
    Falsification("the table edited", table_edited, "51 table"),
    Falsification("another attachment, signed", report_edited(attachment_exchanged), "71 pdf_attachment"),
    Falsification("another cover, signed", report_edited(page_exchanged), "72 pdf_pages"),
    Falsification("the report saved by another program, signed", report_edited(resaved), "72 pdf_pages"),
    Falsification("an event edited, signed", event_edited, "35 events"),
    Falsification("an event renamed, signed", event_renamed, "35 events"),
    Falsification("the ledger's times set back", times_set_back, "15 ledger_time"),
    Falsification("the start set back", specification(year_before), "54 provenance"),
    Falsification(
        "the lock set back",
        specification(lambda spec: spec["lock"].update(locked_at="2020-01-01T00:00:00+00:00")),
        "60 lock",
    ),
    Falsification("the criteria eased afterwards", specification(easier), "60 lock: run.json: lock.criteria"),
    Falsification(
        "the seed changed afterwards",
        specification(lambda spec: spec["configuration"]["run"].update(seed=7)),
        "60 lock",
    ),
    Falsification(
        "the replicates changed afterwards",
        specification(lambda spec: spec["configuration"]["run"].update(replicates=300)),
        "60 lock: run.json: lock.statistics",
    ),
    Falsification(
        "other weights named", specification(lambda spec: spec["model"].update(sha256="0" * 64)), "34 specification"
    ),
    Falsification(
        "other code named",
        specification(lambda spec: spec["model"].update(code_sha256="0" * 64)),
        "60 lock: run.json: lock.code",
    ),
    Falsification(
        "another program named",
        specification(lambda spec: spec["program"].update(digest="0" * 64)),
        "60 lock: run.json: lock.program",
    ),
    Falsification(
        "a look hidden everywhere", look_hidden, "60 lock: run.json: recipe is not what was locked", of_the_look_hidden
    ),
)
