"""The table of other packages' methods against the registry, the packages themselves, and the page made of it."""

import importlib
import importlib.metadata
import inspect

import pytest

from cam import METHODS
from tests.cam.methods.authors import names_in
from tests.cam.methods.compared_page import PAGE, authors, offered, packages, page

BY_NAME = {package["name"]: {row["name"]: row for row in package["rows"]} for package in packages()}


def test_a_row_names_methods_of_the_registry_or_says_why_there_is_none():
    for package, rows in BY_NAME.items():
        assert len(rows) == next(len(entry["rows"]) for entry in packages() if entry["name"] == package), "named twice"
        for name, row in rows.items():
            assert ("ours" in row) != ("why" in row), f"{package} {name}: either ours or why"
            assert set(row.get("ours", ())) <= set(METHODS), f"{package} {name}"
            assert row.get("why") or row.get("ours"), f"{package} {name} says nothing"


def test_the_page_is_made_from_the_data():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.cam.methods.compared_page"


def test_every_attribution_of_captum_has_a_row():
    attr = importlib.import_module("captum.attr")
    abstract = {
        "Attribution",
        "GradientAttribution",
        "PerturbationAttribution",
        "NeuronAttribution",
        "LayerAttribution",
    }
    offered = {
        name
        for name in attr.__all__
        if inspect.isclass(getattr(attr, name)) and hasattr(getattr(attr, name), "attribute") and name not in abstract
    }
    assert offered <= set(BY_NAME["captum"]), sorted(offered - set(BY_NAME["captum"]))
    unknown = [name for name in BY_NAME["captum"] if not hasattr(attr, name)]
    assert not unknown


def test_every_composite_and_attributor_of_zennit_has_a_row(zennit):
    composites = zennit("composites")
    attribution = zennit("attribution")
    classes = [each for _, each in inspect.getmembers(attribution, inspect.isclass)]
    attributors = {each.__name__ for each in classes if issubclass(each, attribution.Attributor)} - {"Attributor"}
    assert set(BY_NAME["zennit"]) == set(composites.COMPOSITES) | attributors


@pytest.mark.parametrize("package", BY_NAME)
def test_the_packages_that_are_installed_have_the_version_that_is_stated(package):
    try:
        version = importlib.metadata.version({"pytorch-grad-cam": "grad-cam"}.get(package, package))
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    assert version == next(entry["version"] for entry in packages() if entry["name"] == package)


@pytest.mark.parametrize("package", [entry for entry in packages() if "repository" in entry], ids=lambda e: e["name"])
def test_every_map_of_a_clone_has_a_row(package):
    """Where ``CAMAUDIT_PEERS`` names clones; at another commit the list may be another."""
    assert offered(package) == sorted(BY_NAME[package["name"]])


def test_names_are_read_from_a_module_without_running_it():
    assert names_in("__all__ = ['CAM', 'SSCAM']\nfrom a import B\nraise SystemExit") == ["CAM", "SSCAM"]
    source = "from a.b import GradCAM, run_it\nfrom c import Layer as Other\nimport torch\nX = 3"
    assert names_in(source) == ["GradCAM", "Other"]


def test_what_is_said_of_the_authors_code_is_of_our_methods_and_names_a_commit():
    assert {row["ours"] for row in authors()} <= set(METHODS)
    assert all(len(row["commit"]) == 40 and int(row["commit"], 16) for row in authors())
