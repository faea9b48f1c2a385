"""A quick part of ``python -m tests.falsify``, which prints all of them."""

import pytest

from pipeline.verify.verify import verify_run
from tests.falsify.__main__ import what_is_said
from tests.falsify.all import FALSIFICATIONS
from tests.falsify.finished import copy_of, finished_world
from tests.falsify.world import by_verify_of_the_other

QUICK = (
    "an entry edited, its hash mended", "the end cut off", "rebuilt with another key, nobody asking for one",
    "an earlier run removed", "an estimate raised", "scores made perfect, conclusions too", "a reader left out",
    "peaks moved", "peaks renamed, conclusions too",
    "rows by another recipe", "another map", "the criteria eased afterwards", "a look struck from the run",
    "a look, with another seed, then the lock", "the register rebuilt, after the run",
    "a forged shard, then a plain run", "a look hidden everywhere",
    "another attachment, signed", "another cover, signed", "another attachment, without the folder",
)  # fmt: skip
BY_THE_FOLDER = (
    "the last line cut off", "cases removed", "a shard added", "a link in a file's place",
    "a map of an earlier run altered", "a verdict turned", "equivalent maps hidden", "another case's picture",
    "another case's volume", "results laid out otherwise",
    "a picture from elsewhere", "another device", "the end set back", "a study moved to excluded",
    "a study left out of the rows", "a study left out of the cohort", "a study of other bytes", "rows of another run",
    "the table edited", "an event edited, signed", "an event renamed, signed", "the start set back",
    "the lock set back", "the replicates changed afterwards", "other weights named",
    "the register cut, after the run", "the register deleted, after the run",
    "the register cut with its head, after the run",
)  # fmt: skip
BY_NAME = {falsification.name: falsification for falsification in FALSIFICATIONS}


def test_the_list_is_long_and_its_names_differ():
    assert len(BY_NAME) == len(FALSIFICATIONS) >= 100


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with finished_world(tmp_path_factory.mktemp("falsify")) as made:
        yield made


@pytest.mark.parametrize("name", QUICK)
def test_a_falsification_is_detected_and_named(world, tmp_path, name):
    falsification = BY_NAME[name]
    assert not falsification.is_detected(""), "nothing said must not pass"
    said = what_is_said(falsification, world, tmp_path / "copy")
    assert falsification.is_detected(said), said


@pytest.mark.parametrize("name", BY_THE_FOLDER)
def test_a_falsification_is_found_without_rendering_the_report(world, tmp_path, name):
    falsification = BY_NAME[name]
    with copy_of(world, tmp_path) as copy:
        falsification.falsify(copy)
        run = copy.other if falsification.detect is by_verify_of_the_other else copy.run
        failures = verify_run(run).failures
    said = " | ".join(f"{failure.kind.code} {failure.kind.label}: {failure.sentence}" for failure in failures)
    assert falsification.is_detected(said), said
