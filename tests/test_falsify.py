"""A quick part of ``python -m tests.falsify``, which prints all of them."""

import pytest

from tests.falsify.__main__ import what_is_said
from tests.falsify.all import FALSIFICATIONS
from tests.falsify.finished import finished_world

QUICK = (
    "an entry edited, its hash mended", "the end cut off", "rebuilt with another key, nobody asking for one",
    "an earlier run removed", "an estimate raised", "scores made perfect, conclusions too", "a reader left out",
    "rows by another recipe", "another map", "the criteria eased afterwards", "a look struck from the run",
    "a look, with another seed, then the lock", "the register rebuilt, after the run",
    "a forged shard, then a plain run",
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
