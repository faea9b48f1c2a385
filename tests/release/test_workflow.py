"""The workflow file, looked at without running it: what it calls is there, and it may do no more than it needs."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
WORKFLOW = yaml.load(TEXT, Loader=yaml.BaseLoader)  # BaseLoader: else the key `on` is read as true
JOBS = WORKFLOW["jobs"]
STEPS = [(name, step) for name, job in JOBS.items() for step in job["steps"]]
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
# what runs where the sources are not at hand: the files that `build` attested go out as they are
WITHOUT_SOURCES = {"release": ["gh release create"], "publish": ["python -m pip install", "uv publish"]}
WRITES = {
    "build": {"id-token": "write", "attestations": "write", "contents": "read"},
    "pages": {"pages": "write", "id-token": "write"},
    "release": {"contents": "write"},
    "publish": {"id-token": "write"},
}


def test_the_pythons_are_those_that_the_package_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert JOBS["test"]["strategy"]["matrix"]["python"] == named
    first, end = (int(minor) for minor in re.findall(r"3\.(\d+)", project["requires-python"]))
    assert named == [f"3.{minor}" for minor in range(first, end)]


def test_every_command_is_one_that_a_desk_has():
    commands = [(name, step["run"]) for name, step in STEPS if "run" in step]
    assert {name for name, _ in commands} == {"test", "docs", "build", "release", "publish"}
    for name, command in commands:
        assert "\n" not in command, command
        target = re.match(r"make (?:--silent )?([\w-]+)", command)
        if name in WITHOUT_SOURCES:
            assert any(command.startswith(start) for start in WITHOUT_SOURCES[name]), command
        elif target:
            assert target[1] in TARGETS, command
        else:
            assert (ROOT / command).stat().st_mode & 0o100, command


@pytest.mark.parametrize("name", JOBS)
def test_a_job_may_do_no_more_than_it_needs(name):
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert JOBS[name].get("permissions") == WRITES.get(name)
    assert int(JOBS[name]["timeout-minutes"]) <= 90
    assert {"runs-on", "steps"} <= set(JOBS[name])
    needed = JOBS[name].get("needs", [])
    assert set([needed] if isinstance(needed, str) else needed) <= set(JOBS)


def test_nothing_is_written_by_a_change_that_nobody_has_merged():
    """A pull request reaches no job that may write: each is of a tag or of main, or waits for one that is."""
    reached = {name for name, job in JOBS.items() if "if" not in job}
    while held := {name for name in reached if set(_needs(name)) - reached}:
        reached -= held
    assert reached == {"test", "docs"}
    assert "pull_request_target" not in TEXT


def _needs(name):
    needed = JOBS[name].get("needs", [])
    return [needed] if isinstance(needed, str) else needed


def test_actions_are_named_by_the_commit_of_a_release():
    used = re.findall(r"uses: (\S+)(.*)", TEXT)
    assert len(used) == sum("uses" in step for _, step in STEPS) > 0
    for action, comment in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
    versions = {(action.partition("@")[0], action, comment) for action, comment in used}
    assert len({name for name, *_ in versions}) == len(versions), "an action has one version here"


def test_no_secret_is_asked_for_and_no_name_becomes_a_command():
    assert "secrets." not in TEXT
    for _, step in STEPS:
        assert "${{" not in step.get("run", ""), step
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"] == {"fetch-depth": "0", "persist-credentials": "false"}, step
