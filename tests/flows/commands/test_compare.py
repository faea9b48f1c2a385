"""``camaudit compare``, the report's page of what changed, and a verification that computes both again."""

import json
import os
import shutil
import subprocess

import pytest
import yaml

from camaudit import audit, compare, read_run
from flows.commands.verify import verified
from pipeline.findings.custody.ledger import Ledger
from pipeline.findings.custody.recorded_files import record_files
from pipeline.findings.custody.site_key import load_site_key
from pipeline.findings.results import load_results
from pipeline.studies.pseudonyms import KEY_FILE
from reports.pdf import render
from tests.pipeline.planted import plant
from tests.reports.test_sentences import said

WORSE = {"model.arguments": {"sign": -1.0}}


@pytest.fixture(scope="module")
def nights(tmp_path_factory):
    """An audit's first night, a second with the same model, and one of a model that answers the wrong way round."""
    folder = tmp_path_factory.mktemp("nights")
    config = plant(folder, 24, explain={"methods": ["gradcam"]}, change={"margins": {"accuracy": 0.3}})
    first = audit(config)
    return config, first, audit(config), audit(config, overrides=WORSE)


def edited(config, target, **sections):
    """Write a configuration beside another one, with sections of its own."""
    content = yaml.safe_load(config.read_text()) | sections
    path = config.with_name(target)
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_first_run_was_held_against_nothing(nights):
    assert nights[1].results.changes == ()
    assert said("Change", nights[1].results) == ""
    assert "change. None came before it" in said("Not measured", nights[1].results)


def test_a_second_night_with_the_same_model_is_not_worse_and_takes_a_line(nights):
    _, first, second, _ = nights
    (change,) = second.results.changes
    assert (change.kind, change.run_a, change.answer) == ("previous", first.name, "not worse")
    assert change.results_sha256 == first.results_sha256
    assert change.is_unchanged
    text = said("Change", second.results)
    assert "are the same for every patient, and no study flipped" in text
    assert "24 studies analysed in both, matched by pseudonyms; none is left out" in text
    assert "The margins were not locked: exploratory." in text


def test_a_model_that_answers_the_wrong_way_round_is_worse_in_words_and_code(nights, camaudit):
    _, _, second, third = nights
    (change,) = third.results.changes
    assert (change.run_a, change.answer) == (second.name, "worse")
    assert change.differs == ("the code that builds the model differs",) or "weights" in " ".join(change.differs)
    flips = [flip for flip in change.flips if flip.what == "call"]
    assert len(flips) == 24
    text = said("Change", third.results)
    assert "Worse: Accuracy of the classifier is worse by more than 0.3" in text
    assert "24 studies" in text
    code, out, _ = camaudit("compare", second.folder, third.folder)
    assert code == 1
    assert out.splitlines()[-1].startswith("worse: accuracy of classifier is worse by more than 0.3")
    assert camaudit("compare", third.folder, second.folder)[0] == 0
    assert camaudit("compare", nights[1].folder, second.folder)[0] == 0


def test_the_json_is_what_the_results_hold(nights, camaudit):
    _, _, second, third = nights
    code, out, _ = camaudit("compare", second.folder, third.folder, "--json")
    content = json.loads(out)
    kept = third.results.changes[0].model_dump(mode="json")
    assert {key: content[key] for key in kept if key != "kind"} == {key: kept[key] for key in kept if key != "kind"}
    assert content["exit_code"] == code == 1
    assert len(content["studies_by_name"]["paired"]) == 24


def test_an_audits_folder_stands_for_its_newest_run(nights, camaudit):
    _, first, _, third = nights
    code, out, _ = camaudit("compare", first.folder, third.folder.parent, "--json")
    assert (code, json.loads(out)["run_b"]) == (1, third.name)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--margin", "iou"), "--margin: must be METRIC=NUMBER with a positive number, such as iou=0.05, not 'iou'"),
        (("--margin", "iou=nan"), "--margin: must be METRIC=NUMBER"),
        (("--margin", "dica=0.1"), "margins: 'dica' is no figure of both runs"),
        (("--maps", "gradcam"), "--maps: must be MAP_A=MAP_B"),
        (("--maps", "gradcam=rise"), "maps: run_b has no map 'rise'; it has"),
    ],
)
def test_what_cannot_be_compared_is_bad_input(nights, camaudit, arguments, says):
    code, out, err = camaudit("compare", nights[1].folder, nights[2].folder, *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_a_folder_that_is_no_run_or_was_altered_is_bad_input(nights, camaudit, tmp_path):
    first, second = nights[1].folder, nights[2].folder
    assert camaudit("compare", tmp_path, second)[0] == 2
    assert "is no folder" in camaudit("compare", tmp_path / "none", second)[2]
    altered = tmp_path / "audit" / first.name
    shutil.copytree(first, altered)
    path = altered / "results.json"
    path.write_text(path.read_text().replace('"patients": 12', '"patients": 13', 1))
    code, _, err = camaudit("compare", altered, second)
    assert code == 2
    assert "results.json" in err


def test_margins_of_the_command_line_stand_in_place_of_the_locked_ones(nights, camaudit):
    code, out, _ = camaudit("compare", nights[1].folder, nights[2].folder, "--margin", "energy_in_mask=0.6")
    assert code == 0
    assert "EXPLORATORY" in out
    code, out, _ = camaudit("compare", nights[1].folder, nights[2].folder, "--margin", "energy_in_mask=0.001")
    assert code == 1, "sixteen studies cannot show so little"
    assert "not shown to be not worse: energy_in_mask of gradcam" in out


def test_the_report_is_the_same_whatever_else_lies_in_the_folder(nights, tmp_path):
    third = nights[3]
    beside = render(third.folder, tmp_path / "beside.pdf").read_bytes()
    alone = tmp_path / "elsewhere" / "run"
    shutil.copytree(third.folder, alone)
    assert render(alone, tmp_path / "alone.pdf").read_bytes() == beside
    text = subprocess.run(["pdftotext", "-layout", tmp_path / "alone.pdf", "-"], capture_output=True, check=True)
    assert "Against the previous run of this audit" in text.stdout.decode()


@pytest.fixture
def copied(nights, tmp_path):
    """A copy of the second and the third night, side by side."""
    for run in nights[1:]:
        shutil.copytree(run.folder, tmp_path / "runs" / "planted" / run.folder.name)
    return [tmp_path / "runs" / "planted" / run.folder.name for run in nights[1:]]


def falsify(folder, change):
    """Alter results.json as somebody who has the key would: with a ledger that tells of it."""
    results = load_results(folder)
    changed = results.model_copy(update={"changes": change(results.changes)})
    (folder / "results.json").write_bytes(changed.model_dump_json(indent=1).encode())
    record_files(Ledger(folder / "ledger.jsonl", load_site_key()), "results.written", folder, ["results.json"])


def sentences(folder):
    return [failure.sentence for failure in verified(folder, None).failures if "changes" in failure.sentence]


def with_figure(changes, **update):
    figure = changes[0].figures[0].model_copy(update=update)
    return (changes[0].model_copy(update={"figures": (figure, *changes[0].figures[1:])}),)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda changes: with_figure(changes, worsened=0), "changes.0.figures.0.worsened is not what follows"),
        (lambda changes: with_figure(changes, answer="MET"), "changes.0.figures.0.answer is not what follows"),
        (lambda changes: (changes[0].model_copy(update={"answer": "not worse"}),), "changes.0.answer is not what"),
        (lambda changes: (changes[0].model_copy(update={"flips": ()}),), "changes.0.the length of flips is not what"),
        (lambda changes: (changes[0].model_copy(update={"results_sha256": "0" * 64}),), "changes.0.results_sha256"),
        (lambda changes: (changes[0].model_copy(update={"refused": "it burnt"}),), "changes.0.refused is not what"),
        (lambda changes: (changes[0].model_copy(update={"run_a": "planted/none"}),), "changes.0.run_a is not what"),
        (lambda changes: (), "changes are not those against the previous run"),
        (lambda changes: (changes[0].model_copy(update={"kind": "named"}),), "changes are not those against"),
    ],
)
def test_a_falsified_change_is_refused(copied, change, says):
    third = copied[2]
    assert sentences(third) == []
    falsify(third, change)
    found = sentences(third)
    assert len(found) == 1
    assert says in found[0]


def test_a_run_whose_previous_one_is_not_here_says_what_was_not_computed_again(copied):
    shutil.rmtree(copied[1])
    verification = verified(copied[2], None)
    assert not [failure for failure in verification.failures if "changes" in failure.sentence]
    assert "what changed against the previous run of this audit was not computed again: it is not here" in (
        verification.unchecked
    )


def test_a_previous_run_that_was_altered_is_not_compared_and_ends_nothing(tmp_path):
    config = plant(tmp_path, 6, explain={"methods": ["gradcam"]})
    first = audit(config)
    path = first.folder / "results.json"
    path.write_bytes(path.read_bytes() + b" ")
    (change,) = audit(config).results.changes
    assert change.refused is not None
    assert "results.json" in change.refused
    assert str(tmp_path) not in change.refused
    assert change.answer == "not compared"


def test_a_named_predecessor_stands_beside_the_previous_run(nights):
    config, first, second, _ = nights
    path = edited(
        config, "successor.yaml", name="successor", report={"predecessor": f"runs/planted/{first.folder.name}"}
    )
    run = audit(path)
    (change,) = run.results.changes
    assert (change.kind, change.run_a, change.answer) == ("predecessor", first.name, "not worse")
    assert sentences(run.folder) == []
    assert not [text for text in verified(run.folder, None).unchecked if "predecessor" in text]
    again = audit(edited(config, "successor.yaml", name="successor", report={"predecessor": "runs/planted"}))
    assert [change.kind for change in again.results.changes] == ["previous", "predecessor"]
    text = said("Change", again.results)
    assert "Against the previous run of this audit" in text
    assert "Against the named predecessor" in text
    assert second.name != again.results.changes[1].run_a, "the newest run of that audit is the third"
    assert again.results.changes[1].answer == "not worse", "better than a model that answers the wrong way round"


def test_margins_that_were_locked_say_so(tmp_path, camaudit):
    config = plant(tmp_path, 24, explain={"methods": ["gradcam"]}, change={"margins": {"accuracy": 0.3}})
    assert camaudit("lock", config, "--quiet")[0] == 0
    audit(config)
    (change,) = audit(config).results.changes
    assert change.locked
    assert change.answer == "not worse"
    content = yaml.safe_load(config.read_text())
    content["change"]["margins"]["accuracy"] = 0.9
    config.write_text(yaml.safe_dump(content))
    later = audit(config)
    assert not later.results.changes[0].locked
    assert "the acceptance criteria" in " ".join(later.results.lock.exploratory)


def other_key(config, folder):
    """Audit the same archive under a key of its own."""
    return audit(edited(config, "elsewhere.yaml", run={"output": str(folder), "device": "cpu", "replicates": 200}))


def test_runs_under_two_keys_are_joined_by_the_archives_names(nights, camaudit, tmp_path):
    config, first, _, third = nights
    other = other_key(config, tmp_path / "elsewhere")
    assert not {audit.study for audit in other.audits} & {audit.study for audit in first.audits}
    with pytest.raises(Exception, match="shares no study with"):
        compare(first, other)
    for a, b, expected in ((first, other, 0), (other, third, 1), (third, other, 0)):
        code, out, _ = camaudit("compare", a.folder, b.folder, "--json")
        content = json.loads(out)
        assert (code, content["matched_by"], content["studies"]["paired"]) == (expected, "names under two keys", 24)
        own = {audit.study for audit in b.audits}
        assert {flip["study"] for flip in content["flips"]} <= own
    assert not [name for name in ("patient0", "study0") if name in out]


def test_two_keys_need_the_names_of_one_run_and_the_key_of_the_other(nights, camaudit, tmp_path):
    config, first, _, _ = nights
    other = other_key(config, tmp_path / "elsewhere")
    handed_on = tmp_path / "handed-on" / "planted" / other.folder.name
    shutil.copytree(other.folder, handed_on, ignore=shutil.ignore_patterns("private"))
    code, _, err = camaudit("compare", first.folder, handed_on)
    assert code == 2
    assert "--key-b: the pseudonym key of" in err
    key = tmp_path / "elsewhere" / KEY_FILE
    assert camaudit("compare", first.folder, handed_on, "--key-b", key)[0] == 0
    assert camaudit("compare", handed_on, first.folder, "--key-a", key)[0] == 0
    wrong = tmp_path / "wrong.key"
    wrong.write_text("0" * 64)
    wrong.chmod(0o600)
    code, _, err = camaudit("compare", first.folder, handed_on, "--key-b", wrong)
    assert code == 2
    assert "shares no study with" in err
    if os.name == "posix":
        wrong.chmod(0o644)
        assert "others may read it" in camaudit("compare", first.folder, handed_on, "--key-b", wrong)[2]
    bare = tmp_path / "bare" / "planted" / first.folder.name
    shutil.copytree(first.folder, bare, ignore=shutil.ignore_patterns("private"))
    code, _, err = camaudit("compare", bare, handed_on, "--key-b", key)
    assert code == 2
    assert "neither run has its private/sources.json" in err


def test_python_compares_as_the_command_does(nights):
    _, first, second, third = nights
    compared = compare(read_run(first.folder), third)
    assert compared.change.answer == "worse"
    assert compared.flips
    assert compare(first, second, margins={"accuracy": 0.1}).change.answer == "not shown"
    assert "not shown" in compare(first, second, margins={"accuracy": 0.1})._repr_html_()
