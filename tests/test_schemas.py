"""What is published of files that others read stays what it says, or gets another version."""

import hashlib
import json
from pathlib import Path

import pytest

from flows.commands.schemas import PUBLISHED, schema_text, write_schemas

FOLDER = Path(__file__).resolve().parents[1] / "schema"

HASHES = {
    ("audit", 1): "de8f4b61b1c7c316d9f3a510123a58ffa4ca06105d897d1ee29a6ef26420714d",
    ("run", 1): "5ec3ad4b5f18a8f00eb8be3afaa3a7196385bc57d8aeb1fb2d33bf78c76149db",
    ("results", 1): "5fe5de593899853cecf09dc27a38a9f06048a94cfa882fba34e3c582a32f617a",
}
"""The SHA-256 of each published file by its version: what has been published under a version never changes."""


def sha256(name):
    return hashlib.sha256((FOLDER / f"{name}.schema.json").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_schema_is_that_of_the_model(name):
    if schema_text(name) == (FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"):
        return
    pytest.fail(
        f"the model of {name!r} is no longer what schema/{name}.schema.json says. Raise its version (CONFIG_VERSION in "
        "pipeline/config.py, SPEC_VERSION in pipeline/findings/spec.py, SCHEMA_VERSION beside Results), run "
        "'python -m flows.commands.schemas schema', add the new hash to HASHES in this file, and keep a finished "
        "run of the new version with 'python -m tests.old_runs.make'"
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_schema_changes_with_its_version_only(name):
    version = PUBLISHED[name].version
    assert HASHES.get((name, version)) == sha256(name), (
        f"schema/{name}.schema.json is not what was published as version {version}: a changed schema needs a new "
        f"version and a line of its own in HASHES: ({name!r}, {version + 1}): {sha256(name)!r}"
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_schema_states_what_it_is(name):
    content = json.loads(schema_text(name))
    assert content["$id"] == f"urn:camaudit:schema:{name}:{PUBLISHED[name].version}"
    assert content["type"] == "object"
    assert content["additionalProperties"] is False


def test_schemas_are_written_as_they_are_printed(tmp_path):
    write_schemas(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        f"{name}.schema.json": schema_text(name) for name in PUBLISHED
    }
