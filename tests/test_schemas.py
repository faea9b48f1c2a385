"""What is published of files that others read stays what it says, or gets another version."""

import hashlib
import json
from pathlib import Path

import pytest

from flows.commands.schemas import PUBLISHED, schema_text, write_schemas

FOLDER = Path(__file__).resolve().parents[1] / "schema"

HASHES = {
    ("results", 7): "b325ccd74643650ccdfb81ad253a0ee70e2ee20e447727082c6aa25a068233c8",
    ("run", 6): "8b0f40cc615326f9a3843624accc17b0411a17852eaf53ae90926e0bbfa1a30b",
    ("audit", 6): "066fc2a2e72c2534c084e7970fbc6b480ea243875308615f990d055fd0c2b971",
    ("results", 6): "3f0bbabfb1659254ee89451b5b63d698b600e04af5505aef4b0ef03eeaf1425c",
    ("run", 5): "e871608a0b54041b843af4c8afc6a347fc05366e27491b8181ec031adab39271",
    ("audit", 5): "965f10d63c26477534dc745822e0284e71ed5f1ba2738dbc766f31831af4af92",
    ("audit", 4): "db27d20ec35eae5838b7cb97e9110d6bd2c066594144dd6c91df26986d48c0a4",
    ("results", 5): "c3ec74ca884250044222973a7204fcbbcc9e5ea1ea9fd5ea520e16515c632a95",
    ("results", 4): "c0e8dedc01641e77091342743894e7ff8f30c5937411d0aca6036c27b2f4c3b7",
    ("run", 4): "2bcb82772514dc710822324bca1fce98e825f3b74cd2f7f09dea3fe78a6ac8a3",
    ("audit", 3): "904dbd13879bf27b85ca02114e79219fc7d517ad0e90c37c9ea0b0478b33904f",
    ("run", 3): "8d1b740c92316a9a688085d57a8ba1e45d4e6560c41e7f6b8363cf90c2a71aa5",
    ("results", 3): "8455f9478e636ad2601d87b0eb95817b961c81fbe166677c006e72920804b116",
    ("audit", 2): "7e0d9c7f32b13dd3540e7c0c3c029b3b5d66badc3a55ca4d2871a57d0dc58a83",
    ("audit", 1): "af77d2a9e06c13bf5cd94ca86b4e23b2565ba5d6a0a5ff6fb66fee47c02da24a",
    ("run", 1): "939c8dbaf3f889960a40ea6e1b0b92af5104dc625bb44dd556da04a90e7f1a07",
    ("results", 1): "792d5351a8258f167fc3bd7e98d038df159bb8384b533ac890fb1ee38b4ac683",
    ("run", 2): "d3e48a9c9ca59d99d2096c16643faf64a284c7b73886ba3d76156323d9601c08",
    ("results", 2): "60d7309e810f349e74dac165aeafa1d43c8a1d8c52df4037c7d38f3eccb52b2c",
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
