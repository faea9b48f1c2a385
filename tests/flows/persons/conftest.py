"""A finished audit whose first run is signed by its author, and the people of its hospital."""

import shutil

import pytest

from flows.commands import verify
from tests.falsify.finished import copy_of, finished_world
from tests.flows.persons.help import certificates, put_signature
from tests.reports.signing.people import person, write_p12


@pytest.fixture(scope="session")
def people():
    authority = person("Hospital CA")
    return {
        "authority": authority,
        "author": person("Ada Author", authority),
        "reviewer": person("Rita Reviewer", authority),
        "namesake": person("Ada Author", person("Hospital CA")),
        "expired": person("Ada Author", authority, days=(-30, -3)),
    }


@pytest.fixture(scope="session")
def world(tmp_path_factory, people):
    """A finished audit whose first run is signed by its author."""
    root = tmp_path_factory.mktemp("sign")
    with finished_world(root) as made:
        write_p12(people["author"], root / "author.p12")
        certificates(root / "ca.pem", people["authority"])
        put_signature(made.run / "report.pdf", made.root / "signed.pdf", people["author"], root)
        yield made


@pytest.fixture
def copy(world, tmp_path):
    with copy_of(world, tmp_path) as made:
        yield made


@pytest.fixture
def ca(world):
    return world.root.parent / "ca.pem"


@pytest.fixture(autouse=True)
def quick_pages(request, monkeypatch):
    """Take a report's pages as rendered again, but in the test that asks for ``rendered_again``: it takes a second."""
    if "rendered_again" not in request.fixturenames:
        monkeypatch.setattr(verify, "render", lambda run, target: shutil.copy(run / "report.pdf", target))


@pytest.fixture
def rendered_again():
    """Let a report's pages be rendered again, as a verification does."""
