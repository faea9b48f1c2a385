"""Experiments through a whole run: rows, findings, answers, verification, resuming, scoring again."""

import json
import shutil

import pytest

from flows.commands.outcome import outcomes_of
from pipeline.conclusions.conclude import conclude, shown_in
from pipeline.errors import ConfigError, OutputError
from pipeline.experiments.anew import chosen_otherwise
from pipeline.findings.custody.ledger import read_ledger
from pipeline.findings.experiments.bundle import read_experiments
from pipeline.findings.results import load_results
from pipeline.findings.spec import read_members, read_spec
from pipeline.runs.carried_experiments import experiment_recipe
from pipeline.runs.run import Run
from pipeline.runs.verify_archive import audit_anew
from pipeline.verify.conclusions import check_results
from pipeline.verify.failure import FailureKind
from pipeline.verify.run_folder import open_run_folder
from pipeline.verify.verify import verify_run
from tests.falsify.world import sign_anew
from tests.pipeline.planted import plant
from tests.pipeline.runs.test_measure import measured
from tests.pipeline.runs.test_run import change, complete
from tests.pipeline.shared_pool import POOL
from tests.pipeline.steps import begin, finish, lock, work

CRITERIA = [
    {"check": "repeatability", "method": "gradcam"},
    {"check": "shuffled_picture", "method": "gradcam"},
    {"check": "weight_randomisation", "method": "gradcam"},
    {"metric": "hit_rate", "method": "gradcam", "at_least": 0.3},
    {"check": "noise_stability", "method": "hirescam"},
]
EXPERIMENTS = {"sanity": {"studies": 4, "draws": 3}, "stability": {"studies": 4}}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    config = plant(tmp_path_factory.mktemp("tried"), 12, experiments=EXPERIMENTS, criteria=CRITERIA)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CAMAUDIT_REGISTER", str(config.parent / "register"))
        lock(config)
        return config, *complete(config)


@pytest.fixture(autouse=True)
def _the_same_register(finished, _own_register, monkeypatch):
    monkeypatch.setenv("CAMAUDIT_REGISTER", str(finished[0].parent / "register"))


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished[1], tmp_path / finished[1].name)


def test_answers_are_in_the_order_of_the_criteria(finished):
    verdicts = finished[2].verdicts
    assert [verdict.check for verdict in verdicts] == [
        "repeatability", "shuffled_picture", "weight_randomisation", None, "noise_stability",
    ]  # fmt: skip
    assert [verdict.answer for verdict in verdicts] == ["MET"] * 5
    assert finished[2].answers == {"MET": 5}
    assert verdicts[2].criterion == "All weights re-drawn of gradcam: at most 0.85"
    assert (verdicts[0].estimate.value, verdicts[0].estimate.studies, verdicts[0].bound) == (1.0, 4, 0.99)


def test_the_studies_were_chosen_at_the_start(finished):
    spec, members = read_spec(finished[1]), read_members(finished[1])
    patients = {member.study: member.patient for member in members}
    for family in ("sanity", "stability"):
        chosen = spec.experiments[family]
        assert len({patients[study] for study in chosen}) == len(chosen) == 4
    rows = read_experiments(finished[1], ("sanity", "stability"))
    assert {row.study for row in rows.sanity.rows} == set(spec.experiments["sanity"])


def test_the_run_verifies_and_its_events_are_in_order(finished):
    assert verify_run(finished[1]).failures == ()
    events = [entry.event for entry in read_ledger(finished[1] / "ledger.jsonl")]
    tried = [number for number, event in enumerate(events) if event == "experiment.finished"]
    assert len(tried) == 2
    assert events.index("shard.finished") < tried[0] < tried[1] < events.index("inference.finished")


def test_nothing_of_a_patient_is_in_the_rows(finished):
    for path in (finished[1] / "experiments").iterdir():
        text = path.read_text()
        assert "study0" not in text
        assert "patient0" not in text
        assert str(finished[0].parent) not in text


def kinds(folder):
    return {failure.kind for failure in verify_run(folder).failures}


def edit_rows(folder, edit, family="sanity"):
    path = folder / "experiments" / f"{family}.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content, indent=1))


def test_an_edited_row_is_noticed_by_its_hash(copy):
    edit_rows(copy, lambda content: content["rows"][0].update(similarity=0.5))
    assert FailureKind.FILE_ALTERED in kinds(copy)


FALSIFIED = {
    "a similarity": lambda content: [row.update(similarity=0.9) for row in content["rows"][24:]],
    "a study less": lambda content: content["rows"].pop(),
    "other studies": lambda content: [row.update(study="S-0000000000") for row in content["rows"][:1]],
    "no draw": lambda content: content.update(
        rows=[row for row in content["rows"] if row["check"] != "weight_randomisation"]
    ),
    "a failure": lambda content: content.update(failures={content["rows"][0]["study"]: "truncated"}),
    "the calls": lambda content: content["calls"].update(gradcam=1),
    "the weights": lambda content: content["weights"].update(values=100, redrawn=100),
    "a word that is none": lambda content: content["rows"][0].update(outcome="fine"),
}


@pytest.mark.parametrize("what", FALSIFIED)
def test_falsified_rows_are_noticed_also_where_the_ledger_is_signed_anew(copy, what):
    edit_rows(copy, FALSIFIED[what])
    sign_anew(copy)
    run = open_run_folder(copy)
    noticed = {failure.kind for failure in (*run.failures, *check_results(run))}
    assert noticed & {FailureKind.RESULTS, FailureKind.UNREADABLE}


def test_a_better_finding_is_noticed(copy):
    results = json.loads((copy / "results.json").read_text())
    results["experiments"]["sanity"]["checks"][0]["value"] = 0.999
    (copy / "results.json").write_text(json.dumps(results, indent=1))
    sign_anew(copy)
    assert FailureKind.RESULTS in kinds(copy)


def test_rows_that_are_gone_are_missed(copy):
    (copy / "experiments" / "sanity.json").unlink()
    assert {FailureKind.FILE_MISSING, FailureKind.UNREADABLE} <= kinds(copy)
    with pytest.raises(OutputError, match="cannot be read"):
        read_experiments(copy, ("sanity",))


def test_an_interrupted_run_goes_on_with_the_next_family(finished, tmp_path, monkeypatch):
    config = plant(tmp_path, 9, experiments=EXPERIMENTS, criteria=CRITERIA)
    folder = begin(config)
    for shard in range(read_spec(folder).shards):
        work(folder, shard)
    with Run.open(folder, pool=POOL) as run:
        run.experiment("sanity")
    before = (folder / "experiments" / "sanity.json").read_bytes()

    def again(_bench):
        raise AssertionError("sanity was done again")

    from pipeline.experiments import registry

    monkeypatch.setitem(registry.EXPERIMENTS, "sanity", again)
    results = finish(folder)
    assert (folder / "experiments" / "sanity.json").read_bytes() == before
    assert results.experiments.stability is not None
    assert not kinds(folder) - {FailureKind.REGISTER}


def test_scoring_again_takes_the_rows_over(finished):
    again, results = measured(finished[1], "overlap.threshold=0.5")
    assert results.experiments == finished[2].experiments
    assert (again / "experiments" / "sanity.json").read_bytes() == (
        finished[1] / "experiments" / "sanity.json"
    ).read_bytes()
    assert verify_run(again).failures == ()


def forbid(monkeypatch, *families):
    from pipeline.experiments import registry

    def again(_bench):
        raise AssertionError("a family was tried again")

    for family in families:
        monkeypatch.setitem(registry.EXPERIMENTS, family, again)


def started(folder):
    entries = read_ledger(folder / "ledger.jsonl")
    return next(entry.body for entry in entries if entry.event == "inference.started")


def rows_of(folder, family):
    return (folder / "experiments" / f"{family}.json").read_bytes()


@pytest.fixture
def night(finished, tmp_path):
    """The finished run, as a night's that another one follows: its configuration and its folder."""
    config = plant(tmp_path, 9, experiments=EXPERIMENTS, criteria=CRITERIA[:1])
    return config, complete(config)[0]


def test_the_next_night_takes_the_rows_over_and_says_from_where(night, monkeypatch):
    config, before = night
    forbid(monkeypatch, "sanity", "stability")
    again, results = complete(config)
    assert started(again)["experiments_from"] == {"sanity": before.name, "stability": before.name}
    assert all(rows_of(again, family) == rows_of(before, family) for family in ("sanity", "stability"))
    assert results.experiments == load_results(before).experiments
    assert not kinds(again) - {FailureKind.REGISTER}
    edit_rows(before, lambda content: content["calls"].update(gradcam=1))
    sign_anew(before)  # somebody with the key changed the night that the rows are said to be from
    assert FailureKind.EVENTS in kinds(again)
    shutil.rmtree(before)
    assert kinds(again) <= {FailureKind.REGISTER, FailureKind.CARRIED_ABSENT}


def test_a_family_whose_settings_changed_is_tried_anew_and_the_other_one_taken_over(night, monkeypatch):
    config, before = night
    forbid(monkeypatch, "stability")
    change(config, experiments={**EXPERIMENTS, "sanity": {"studies": 5, "draws": 3}})
    again, _ = complete(config)
    assert started(again)["experiments_from"] == {"stability": before.name}
    assert {row.study for row in read_experiments(again, ("sanity",)).sanity.rows} == set(
        read_spec(again).experiments["sanity"]
    )


FAILED = {
    "a map": lambda content: content.update(not_done={"gradcam": "the model or a map raised RuntimeError"}),
    "a study": lambda content: content.update(failures={content["rows"][0]["study"]: "out_of_memory"}),
}


@pytest.mark.parametrize("what", FAILED)
def test_rows_that_do_not_hold_or_that_failed_are_tried_anew(night, what):
    config, before = night
    edit_rows(before, lambda content: content["calls"].update(gradcam=1))
    edit_rows(before, FAILED[what], "stability")
    again = begin(config)
    assert "experiments_from" not in started(again)  # both files are not what the ledger tells of
    shutil.rmtree(again)
    sign_anew(before)
    assert started(begin(config)).get("experiments_from") == {"sanity": before.name}  # the other one had failed


@pytest.mark.parametrize(
    "changed",
    [
        {"study_recipe": "another model"},
        {"masks_recipe": "masks are read otherwise"},
        {"layers": ()},
        {"experiments": {"sanity": ("S-1", "S-2")}},
        {"maps": ()},
    ],
)
def test_rows_follow_from_all_that_they_are_computed_from(finished, changed):
    spec, members = read_spec(finished[1]), read_members(finished[1])
    hashes = {member.study: member.source_sha256 for member in members} | {"S-1": "a", "S-2": "b"}
    recipe = experiment_recipe(spec, "sanity", hashes)
    assert experiment_recipe(spec.model_copy(update={"run": "another", "command": "x"}), "sanity", hashes) == recipe
    assert experiment_recipe(spec.model_copy(update=changed), "sanity", hashes) != recipe
    chosen = spec.experiments["sanity"][0]
    assert experiment_recipe(spec, "sanity", {**hashes, chosen: "another file"}) != recipe
    assert experiment_recipe(spec, "stability", hashes) != recipe


def test_scoring_again_tries_nothing_new(finished):
    with pytest.raises(ConfigError, match=r"experiments\.sanity: changes what the model says"):
        measured(finished[1], "experiments.sanity.draws=4")


def test_without_experiments_nothing_is_another(finished, tmp_path):
    """No file, no event, no key in the lock: a run that asks for none costs what it did."""
    config = plant(tmp_path, 3)
    folder, results = complete(config)
    assert not (folder / "experiments").exists()
    assert read_spec(folder).experiments == {}
    assert "experiment.finished" not in {entry.event for entry in read_ledger(folder / "ledger.jsonl")}
    assert (results.experiments.sanity, results.experiments.stability) == (None, None)
    assert results.experiments.struck() == {}


def test_what_is_tried_is_locked(finished, tmp_path):
    config = plant(tmp_path, 9, experiments=EXPERIMENTS, criteria=CRITERIA)
    lock(config)
    change(config, experiments={"sanity": {"studies": 5, "draws": 3}})
    results = load_results(complete(config)[0])
    assert any("the acceptance criteria changed after the lock" in why for why in results.lock.exploratory)


def test_a_check_that_is_not_met_ends_a_pipeline(finished):
    verdicts = finished[2].verdicts
    failed = verdicts[0].model_copy(update={"answer": "NOT MET"})
    assert "not-met" in outcomes_of(finished[2].model_copy(update={"verdicts": (failed, *verdicts[1:])}))


def test_the_model_at_hand_tells_rows_that_somebody_with_the_key_made_up(copy):
    """Rows, findings and signatures fit each other; what the model says now does not."""
    assert list(audit_anew(copy, 0)) == []

    def better(content):
        for row in content["rows"]:
            if row["check"] == "weight_randomisation" and row["outcome"] == "compared":
                row["similarity"] = -0.5

    edit_rows(copy, better)
    run = open_run_folder(copy)
    results = conclude(run.spec, run.members, run.records, shown_in(run.results), run.experiments)
    (copy / "results.json").write_text(results.model_dump_json(indent=1))
    sign_anew(copy)
    assert list(check_results(open_run_folder(copy))) == []
    (failure,) = audit_anew(copy, 0)
    assert failure.kind is FailureKind.RECOMPUTED
    assert failure.sentence.startswith("experiments/sanity.json: rows.")


def test_the_archive_at_hand_tells_studies_that_were_picked(copy):
    with Run.open(copy, pool=POOL) as run:
        sources = list(run.sources.studies.values())
    assert list(chosen_otherwise(run.spec, sources)) == []
    others = tuple(reversed(run.spec.experiments["sanity"]))
    changed = run.spec.model_copy(update={"experiments": {**run.spec.experiments, "sanity": others}})
    (failure,) = chosen_otherwise(changed, sources)
    assert failure.kind is FailureKind.ARCHIVE
