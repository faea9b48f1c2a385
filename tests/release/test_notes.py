"""What a release is made of: its notes, its files, how it is cited; and the changelog that the notes come from."""

import re
from pathlib import Path

import pytest
import yaml

from tests.release.dist import check
from tests.release.dist import main as check_built
from tests.release.notes import CHANGELOG, main, release_notes, versions

TEXT = """# Changelog

## [Unreleased]

### Added

- New.

## [0.2.0] - 2026-12-01

In short.

### Fixed

- Old.

## [0.1.0] - 2026-11-30

[0.2.0]: https://example.org/0.2.0
"""


def test_the_notes_are_what_stands_below_the_heading():
    assert release_notes(TEXT, "0.2.0") == "In short.\n\n### Fixed\n\n- Old.\n"
    assert release_notes(TEXT, "Unreleased") == "### Added\n\n- New.\n"


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("0.3.0", r"CHANGELOG.md has Unreleased, 0.2.0, 0.1.0, not '0.3.0'"),
        ("0.1.0", "says nothing of '0.1.0'"),
        ("0.2", "not '0.2'"),
    ],
)
def test_a_version_of_which_nothing_is_said_is_refused(version, words):
    with pytest.raises(ValueError, match=words):
        release_notes(TEXT, version)


def test_the_command_prints_them_or_says_what_is_wrong(capsys):
    assert main(["Unreleased"]) is None
    assert capsys.readouterr().out.startswith("The first release")
    assert "not '9.9.9'" in main(["v9.9.9"])
    assert "name one version" in main([])


def test_the_changelog_has_the_form_that_it_names():
    text = CHANGELOG.read_text(encoding="utf-8")
    listed = versions(text)
    assert listed[0] == "Unreleased"
    assert len(listed) == len(re.findall(r"^## ", text, re.MULTILINE)), "a heading is '## [VERSION] - YEAR-MONTH-DAY'"
    released = [tuple(map(int, version.split("."))) for version in listed[1:]]
    assert released == sorted(released, reverse=True)
    for version in listed:
        kinds = re.findall(r"^### (.+)$", release_notes(text, version), re.MULTILINE)
        assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}, kinds
        assert len(kinds) == len(set(kinds)), kinds


def test_a_newcomer_reads_of_a_version_before_its_list():
    text = CHANGELOG.read_text(encoding="utf-8")
    summary = release_notes(text, "Unreleased").split("\n### ")[0]
    assert 5 <= len(re.findall(r"^- \*\*[^*]+\*\*", summary, re.MULTILINE)) <= 12
    assert len(summary.splitlines()) <= 40


@pytest.fixture
def built(tmp_path):
    for name in ("camaudit-0.2.0-py3-none-any.whl", "camaudit-0.2.0.tar.gz"):
        (tmp_path / name).touch()
    return tmp_path


def test_what_is_built_is_what_is_released(built):
    assert check(built, "", TEXT) == "0.2.0"
    assert check(built, "0.2.0", TEXT) == "0.2.0"
    with pytest.raises(ValueError, match=r"wheel is of 0\.2\.0.* and 0\.2\.1 is to be released"):
        check(built, "0.2.1", TEXT)
    with pytest.raises(ValueError, match=r"CHANGELOG\.md has Unreleased"):
        check(built, "0.2.0", "## [Unreleased]\n")
    (built / "camaudit-0.1.dev3.tar.gz").touch()
    assert "must hold one wheel and one source distribution" in check_built([str(built)])


def test_the_citation_file_is_valid():
    """The rules of the Citation File Format 1.2.0 for what stands in ours; no other key may."""
    citation = yaml.safe_load((CHANGELOG.parent / "CITATION.cff").read_text(encoding="utf-8"))
    needed = {"cff-version": "1.2.0", "message": str, "title": str, "authors": list}
    others = {"abstract", "type", "license", "repository-code", "url", "keywords", "version", "date-released", "doi"}
    assert set(needed) <= set(citation) <= set(needed) | others | {"identifiers", "contact", "preferred-citation"}
    assert citation["cff-version"] == "1.2.0"
    assert citation.get("type", "software") in {"software", "dataset"}
    assert all(isinstance(citation[key], str) and citation[key] for key in ("message", "title", "abstract"))
    assert re.fullmatch(r"[A-Za-z0-9.+-]+", citation["license"])  # an SPDX name
    assert re.fullmatch(r"https?://\S+", citation["repository-code"])
    assert len(citation["keywords"]) == len(set(citation["keywords"])) > 0
    persons = {"family-names", "given-names", "name-particle", "name-suffix", "alias", "affiliation", "orcid", "email"}
    entity = {"name", "alias", "website", "orcid", "email", "country", "city", "address"}
    assert citation["authors"]
    for author in citation["authors"]:
        assert set(author) <= (entity if "name" in author else persons), author


def test_no_file_but_the_tag_says_the_version():
    assert "version" not in yaml.safe_load((CHANGELOG.parent / "CITATION.cff").read_text(encoding="utf-8"))
    assert not Path(CHANGELOG.parent / "setup.cfg").exists()
